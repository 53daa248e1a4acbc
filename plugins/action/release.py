# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a host's release on the controller and ship it whole, in one module execution."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import host_release, host_settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    checks,
    user_environment_variables,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import shipped
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, values_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments["plan"]
        about = plan["hosts"][host]
        info = host_infos([host], task_vars["hostvars"])[host]
        # The plan holds no secrets, so the release is rendered again where it is written.
        settings = host_settings(values_of(self._templar, task_vars, [host])[host], info, plan["addresses"])
        release = host_release(settings, about["kinds"], about, about["environment"]["id"], info)
        if release.id != about["release"]["id"]:
            return failed_if(
                {},
                [
                    f"{host}: variables of its release have another value each time they are evaluated, such as that of a "
                    "lookup, or a play sets them. Give them fixed values, in the inventory."
                ],
            )
        result = self.execute(
            {
                "home": settings.home,
                "manifest": release.manifest,
                "environment_built": arguments["environment_built"],
                "staged": plan["change"],
                "check": checks(settings, about["kinds"]),
                # One text: Ansible hides what may not be shown wherever it finds it, and short values are found everywhere.
                "variables": json.dumps(user_environment_variables(settings, about["kinds"]), default=str),
                "user": settings.user,
                "groups": settings.user_groups,
                **shipped(release),
            },
            task_vars,
        )
        environments, current = info["environments"], info["current"].get("environment", "")
        # Where the environment is built, the module `environment` has shown the packages.
        if not result.get("failed") and result.get("changed") and about["environment"]["id"] in environments:
            before = environments.get(current, {}).get("packages", {})
            after = environments[about["environment"]["id"]].get("packages", {})
            result["diff"] = [*package_differences(before, after), *result.get("diff", [])]
        return result
