# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the scheduler run a release, and put it back to the release that served before if it does not serve."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils import reverting
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
        if scheduler_is_pending(before):
            return {"changed": False, "pending": True, "older": True}
        state, back = plan["state"], plan["back"]
        if state not in ("started", "restarted"):
            return self.change("scheduler", state, {}, arguments, task_vars)
        result = self.try_to_change("scheduler", state, release, {**arguments, "back": back}, task_vars)
        failures = [problem for problem in [reverting.problem_of(host, result)] if problem]
        expected = reverting.workers_to_return(before, before, host, info, release)
        if not failures and result.get("restarted") and not self._task.check_mode:
            gate = self._gate(arguments, release)
            answer = self.ask(gate, task_vars)
            if not reverting.gate_problem("scheduler", answer):
                expected = reverting.workers_to_return(before, answer, host, info, release)
                answer = self.ask({**gate, "workers": named(expected)}, task_vars) if expected else answer
            failures = [problem for problem in [reverting.gate_problem("scheduler", answer)] if problem]
        if failures:
            return self._revert(host, info, release, result, failures, named(expected), arguments, task_vars)
        return {**result, "pending": False, "older": scheduler_is_older({}, result, info, release, others)}

    @staticmethod
    def _gate(arguments: dict[str, Any], release: dict[str, Any]) -> dict[str, Any]:
        """What the scheduler is asked."""
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
        """Put the scheduler back, and return what failed and what runs now."""
        # `services` already reports the journal when the scheduler fails to start.
        journal = "" if result.get("failed") else self.journal(SCHEDULER)
        way = reverting.served_before(info, release, "scheduler")
        served, enabled = reverting.has_served(info, "scheduler"), arguments["rollback_on_failure"]
        back: dict[str, Any] = {}
        stopped: dict[str, Any] = {}
        workers: dict[str, Any] = {"skipped": True}
        again: dict[str, Any] = {}
        if enabled and way:
            back = self.try_to_change("scheduler", "started", way, {**arguments, "back": True}, task_vars, True)
            # Without its scheduler a worker ends, and systemd may have started it from the release that failed.
            if "worker" in way["services"] and any(unit.startswith("dask-worker@") for unit in info["running"]):
                workers = self.try_to_change("worker", "started", way, {**arguments, "back": True}, task_vars, True)
            if not reverting.problem_of(host, back) and not self._task.check_mode:
                gate = {**self._gate(arguments, way), "scheduler_release": None, "workers": expected}
                again = self.ask(gate, task_vars)
        elif enabled and not served:
            stopped = self.try_to_change("scheduler", "stopped", {}, arguments, task_vars)
        said = [
            *failures,
            *reverting.last_words({host: journal}),
            *reverting.scheduler_state(way, back, again, expected, served, enabled, stopped, workers),
        ]
        return {"failed": True, "changed": True, "msg": "\n".join(said)}


def named(names: list[str]) -> list[dict[str, str]]:
    """Workers as `cluster_health` wants them."""
    return [{"name": name} for name in names]
