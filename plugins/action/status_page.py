# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the status of a cluster into files on the controller."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import explain
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import COLLECTION, Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import status_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.status_files import (
    WrongFile,
    as_json,
    as_page,
    content_of,
    replace,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if not (arguments["page"] or arguments["json"]):
            return {"changed": False}
        infos = host_infos(task_vars["ansible_play_hosts_all"], task_vars["hostvars"])
        if arguments["changes"] is None:
            arguments["changes"] = self._plan_change(arguments, task_vars)
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
                    self._display.display(f"Wrote {path}.")
            except WrongFile as error:
                problems.append(f"dask_status_{name}: {error}")
                continue
            except OSError as error:
                problems.append(f"dask_status_{name}: the file cannot be written. {explain(error)}")
                continue
            result["changed"] = True
            result["diff"].append({"before_header": path, "after_header": path, "before": before, "after": text})
        return failed_if(result, problems)

    def _plan_change(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the result of the action `plan` for a change. If it fails, the page shows the reason."""
        task = self._task.copy()
        task.args = {"purpose": "change", "scheduler_info": arguments["scheduler_info"]}
        action = self._shared_loader_obj.action_loader.get(
            f"{COLLECTION}.plan",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        try:
            changes: dict[str, Any] = action.run(task_vars=task_vars)
        except AnsibleError as error:
            return {"failed": True, "msg": str(error)}
        return changes
