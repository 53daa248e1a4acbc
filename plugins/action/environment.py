# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the packages of an environment to a host that lacks the environment, and build it there."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        environment = plan["hosts"][host]["environment"]
        info = host_infos([host], task_vars["hostvars"])[host]
        arguments.update({name: environment[name] for name in ("id", "python", "lock")})
        archive, packages = environment["archive"], environment["packages"]
        # The plan has an archive only if the host lacks the environment.
        if archive and not self._task.check_mode:
            if not self._connection._shell.tmpdir:
                self._make_tmp_path()
            arguments["archive"] = self._transfer_file(
                archive, self._connection._shell.join_path(self._connection._shell.tmpdir, "environment.tar")
            )
        result = self.execute(arguments, task_vars)
        result.pop("diff", None)
        if packages and not result.get("failed"):
            current = info["environments"].get(info["current"].get("environment", ""), {})
            result["diff"] = package_differences(current.get("packages", {}), packages)
        if archive:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
