# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the health of the cluster after a change of a batch of worker hosts, and return the problems."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._services import ServicesAction
from ansible_collections.daskops.cluster.plugins.plugin_utils.failed_changes import gate_problem, problem_of


class ActionModule(ServicesAction):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        results = arguments["results"]
        hosts = arguments["hosts"] or results
        problems = [problem_of(host, results.get(host)) for host in sorted(hosts)]
        failures = [problem for problem in problems if problem]
        if not failures and arguments["gate"] and not self._task.check_mode:
            problem = gate_problem("worker", self.ask(arguments["gate"], task_vars))
            failures = [problem] if problem else []
        return {"failures": failures}
