# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the status of a cluster into files on the controller."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import explain
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import status_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.status_files import as_json, as_page, content_of, replace
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        infos = host_infos(task_vars["ansible_play_hosts_all"], task_vars["hostvars"])
        given = (arguments[name] for name in ("plan", "health", "changes", "scheduler_info"))
        status = status_of(time.time(), task_vars["groups"], infos, *given)
        result: dict[str, Any] = {"changed": False, "diff": []}
        problems = []
        for name, content in (("page", as_page), ("json", as_json)):
            if not arguments[name]:
                continue
            path, text = os.path.abspath(os.path.expanduser(arguments[name])), content(status)
            if not os.path.isdir(os.path.dirname(path)):
                problems.append(
                    f"dask_status_{name}: the directory {os.path.dirname(path)} does not exist on the controller. Create it."
                )
                continue
            try:
                before = content_of(path)
                if not self._task.check_mode:
                    replace(path, text)
            except OSError as error:
                problems.append(f"dask_status_{name}: the file cannot be written. {explain(error)}")
                continue
            result["changed"] = True
            result["diff"].append({"before_header": path, "after_header": path, "before": before, "after": text})
        return failed_if(result, problems)
