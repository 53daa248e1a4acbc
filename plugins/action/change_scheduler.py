# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the scheduler to a release, and revert the change if the scheduler does not serve."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils import failed_changes
from ansible_collections.daskops.cluster.plugins.plugin_utils._services import ServicesAction
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import (
    SCHEDULER,
    scheduler_is_older,
    scheduler_is_pending,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(ServicesAction):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host = task_vars["inventory_hostname"]
        plan, before = arguments["plan"], arguments["before"]
        info = host_infos([host], task_vars["hostvars"])[host]
        release = plan["hosts"][host]["release"]
        others = {name: about["release"] for name, about in plan["hosts"].items()}
        if arguments["restart"] == "idle" and scheduler_is_pending(before):
            return {"changed": False, "pending": True, "older": True}
        state, back = plan["state"], plan["back"]
        if state not in ("started", "restarted"):
            return self.change("scheduler", state, {}, arguments, task_vars)
        result = self.try_to_change("scheduler", state, release, {**arguments, "back": back}, task_vars)
        failures = [problem for problem in [failed_changes.problem_of(host, result)] if problem]
        expected = failed_changes.workers_to_return(before, before, host, info, release)
        if not failures and result.get("restarted") and not self._task.check_mode:
            gate = self._gate(arguments, release)
            answer = self.ask(gate, task_vars)
            if not failed_changes.gate_problem("scheduler", answer):
                expected = failed_changes.workers_to_return(before, answer, host, info, release)
                answer = self.ask({**gate, "workers": named(expected)}, task_vars) if expected else answer
            failures = [problem for problem in [failed_changes.gate_problem("scheduler", answer)] if problem]
        if failures:
            return self._revert(host, info, release, result, failures, named(expected), arguments, task_vars)
        return {**result, "pending": False, "older": scheduler_is_older({}, result, info, release, others)}

    @staticmethod
    def _gate(arguments: dict[str, Any], release: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `cluster_health` for the scheduler."""
        addresses = arguments["plan"]["addresses"]
        return {
            "url": addresses["url"],
            "ca_path": addresses["ca_path"] or None,
            "scheduler_release": release["services"]["scheduler"][SCHEDULER] if arguments["summary_route"] else None,
            "timeout": arguments["health_timeout"],
            "registered_only": True,
            "complete": False,
        }

    def _revert(
        self,
        host: str,
        info: dict[str, Any],
        release: dict[str, Any],
        result: dict[str, Any],
        failures: list[str],
        expected: list[dict[str, str]],
        arguments: dict[str, Any],
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        """Revert the scheduler, and return a failed result that reports the failure and the reverted services."""
        # `services` already reports the journal when the scheduler fails to start.
        journal = "" if result.get("failed") else self.journal(SCHEDULER)
        target = failed_changes.revert_target(info, release, "scheduler")
        served, enabled = failed_changes.has_served(info, "scheduler"), arguments["rollback_on_failure"]
        reverted: dict[str, Any] = {}
        stopped: dict[str, Any] = {}
        workers: dict[str, Any] = {"skipped": True}
        health: dict[str, Any] = {}
        if enabled and target:
            reverted = self.try_to_change("scheduler", "started", target, {**arguments, "back": True}, task_vars, True)
            # A worker ends without its scheduler, and systemd may already have restarted it from the failed release.
            if "worker" in target["services"] and any(unit.startswith("dask-worker@") for unit in info["running"]):
                workers = self.try_to_change("worker", "started", target, {**arguments, "back": True}, task_vars, True)
            if not failed_changes.problem_of(host, reverted) and not self._task.check_mode:
                gate = {**self._gate(arguments, target), "scheduler_release": None, "workers": expected}
                health = self.ask(gate, task_vars)
        elif enabled and not served:
            stopped = self.try_to_change("scheduler", "stopped", {}, arguments, task_vars)
        said = [
            *failures,
            *failed_changes.journal_report({host: journal}),
            *failed_changes.scheduler_report(target, reverted, health, expected, served, enabled, stopped, workers),
        ]
        return {"failed": True, "changed": True, "msg": "\n".join(said)}


def named(names: list[str]) -> list[dict[str, str]]:
    """Return workers in the form that `cluster_health` accepts."""
    return [{"name": name} for name in names]
