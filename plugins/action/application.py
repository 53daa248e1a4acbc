# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the application to a host that lacks it, and install it there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        about, application = plan["hosts"][host], plan["application"]
        info = host_infos([host], task_vars["hostvars"])[host]
        arguments.update(id=application["id"], environment=about["release"]["environment"])
        archive = about["application_archive"]
        if archive and not self._task.check_mode:
            if not self._connection._shell.tmpdir:
                self._make_tmp_path()
            arguments["archive"] = self._transfer_file(
                archive, self._connection._shell.join_path(self._connection._shell.tmpdir, "application.tar.gz")
            )
        result = self.execute("install_application", arguments, task_vars)
        result.pop("diff", None)
        if not result.get("failed"):
            before = info["applications"].get(info["current"].get("application", ""), {})
            result["diff"] = [
                {**shown, "before_header": "application", "after_header": "application"}
                for shown in package_differences(*map(versions, (before, application)))
            ]
        if archive:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result


def versions(application: Mapping[str, Any]) -> dict[str, str]:
    """Return the version of each wheel with the id of the application: a wheel may change without its version."""
    return {name: f"{version} (in {application['id']})" for name, version in application.get("packages", {}).items()}
