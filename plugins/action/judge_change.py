# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the cluster about a change that hosts have made, and say what is wrong with it."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.reverting import (
    gate_problem,
    has_served,
    problem_of,
    workers_to_return,
)


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        is_scheduler = arguments["kind"] == "scheduler"
        problems = [problem_of(host, seen) for host, seen in sorted(arguments["results"].items())]
        result: dict[str, Any] = {"failures": [problem for problem in problems if problem], "expected": [], "gate": {}}
        if is_scheduler:
            result["served"] = has_served(arguments["seen"], "scheduler")
            # Those that must be there again if it goes back.
            result["expected"] = self._expected(arguments, arguments["before"])
        if not result["failures"] and arguments["gate"] and not self._task.check_mode:
            result["gate"] = self._ask_all(arguments, task_vars)
            problem = gate_problem(arguments["kind"], result["gate"])
            result["failures"] = [problem] if problem else []
        return result

    def _ask_all(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The cluster's answer."""
        gate = arguments["gate"]
        if arguments["kind"] == "worker":
            return self._ask(gate, task_vars)
        gate = {**gate, "registered_only": True, "complete": False}
        answer = self._ask(gate, task_vars)
        workers = [] if gate_problem("scheduler", answer) else self._expected(arguments, answer)
        return self._ask({**gate, "workers": workers}, task_vars) if workers else answer

    @staticmethod
    def _expected(arguments: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
        """The workers that must be there, as `cluster_health` wants them."""
        (host,) = arguments["results"]
        names = workers_to_return(arguments["before"], after, host, arguments["seen"], arguments["release"])
        return [{"name": name} for name in names]

    def _ask(self, gate: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question. That it cannot be asked is an answer, too, whatever the reason."""
        try:
            return self.execute({**gate, "fail_when_unhealthy": False}, task_vars, "cluster_health")
        except Exception as error:  # AnsibleConnectionFailure, AnsibleError, and what connection plugins raise
            return {"failed": True, "msg": str(error)}
