# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a host's release on the controller, and copy it to the host in one module execution."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils._planned_release import planned_release
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    checks,
    user_environment_variables,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import shipped
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments["plan"]
        about = plan["hosts"][host]
        if host not in plan["plays"]["stage"]:
            return {"changed": False}
        info = host_infos([host], task_vars["hostvars"])[host]
        try:
            settings, release = planned_release(self._templar, self._task, task_vars, plan)
        except ValueError as error:
            return failed_if({}, [str(error)])
        result = self.execute(
            "stage_release",
            {
                "home": settings.home,
                "manifest": release.manifest,
                "environment_built": arguments["environment_built"],
                "staged": plan["change"],
                "check": checks(settings, about["kinds"]),
                # Pass one JSON text. Ansible hides every occurrence of a no_log value, and short values occur in any output.
                "variables": json.dumps(user_environment_variables(settings, about["kinds"]), default=str),
                "user": settings.user,
                "groups": settings.user_groups,
                **shipped(release),
            },
            task_vars,
        )
        environments, current = info["environments"], info["current"].get("environment", "")
        # If this run builds the environment, the module `environment` has already shown the packages.
        planned = about["release"]["environment"]
        if not result.get("failed") and result.get("changed") and planned in environments:
            before = environments.get(current, {}).get("packages", {})
            after = environments[planned].get("packages", {})
            result["diff"] = [*package_differences(before, after), *result.get("diff", [])]
        return result
