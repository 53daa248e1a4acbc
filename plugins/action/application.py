# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the application to a host that lacks it, and install it there."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        application, environment = plan["hosts"][host]["application"], plan["hosts"][host]["environment"]
        info = host_infos([host], task_vars["hostvars"])[host]
        arguments.update(id=application["id"], python=environment["python"])
        archive = application["archive"]
        if archive and not self._task.check_mode:
            if not self._connection._shell.tmpdir:
                self._make_tmp_path()
            arguments["archive"] = self._transfer_file(
                archive, self._connection._shell.join_path(self._connection._shell.tmpdir, "application.tar.gz")
            )
        result = self.execute(arguments, task_vars)
        result.pop("diff", None)
        if not result.get("failed"):
            before = info["applications"].get(info["current"].get("application", ""), {})
            # A wheel may change without its version, so the id of the application is shown, too.
            sides = [
                {name: f"{version} (in {one['id']})" for name, version in one["packages"].items()} if one else {}
                for one in (before, application)
            ]
            result["diff"] = [
                dict(one, before_header="application", after_header="application")
                for one in package_differences(*sides)
            ]
        if archive:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
