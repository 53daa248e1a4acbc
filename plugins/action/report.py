# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print lines as text."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import TEXT_LIMIT, printable
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.run_report import age_of_process, changing, run_report


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        lines = list(arguments["lines"])
        plan = arguments["plan"]
        if plan:
            # All hosts of a run with start.yml have the same __dask_start.
            hosts = [task_vars["inventory_hostname"], *changing(plan)]
            results = {host: task_vars["hostvars"].raw_get(host) for host in hosts}
            # The parent of this process is ansible-playbook.
            lines += run_report(plan, results, age_of_process(os.getppid()), self._task.check_mode)
        # Hosts, and workers of the cluster, wrote parts of the lines.
        lines = [printable(line, TEXT_LIMIT) for line in lines]
        for line in lines:
            self._display.display(line)
        number = len(arguments["problems"])
        if not number:
            return {"changed": False, "lines": lines}
        found = "1 problem" if number == 1 else f"{number} problems"
        # The lines are on the screen already, and a failed task shows its whole result.
        return failed_if({"changed": False}, [f"The report has {found}; see above."])
