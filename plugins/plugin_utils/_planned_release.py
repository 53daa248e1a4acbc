# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a host, made again from the host's variables by a task that needs its content.

The plan holds neither secrets nor the contents of releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import plan as cluster_plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import Release
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, values_of


def planned_release(
    templar: Any, task: Any, task_vars: Mapping[str, Any], plan: Mapping[str, Any]
) -> tuple[Settings, Release]:
    """Return the settings and the release of the task's host.

    Parameters
    ----------
    templar, task : object
        The templar and the task of the action plugin.
    task_vars : dict
        Variables of the task.
    plan : dict
        Result of the module `plan` for the purpose ``change``.

    Raises
    ------
    ValueError
        If a variable cannot be evaluated, or the release is not the planned one.
    """
    host = task_vars["inventory_hostname"]
    about = plan["hosts"][host]
    planned = about["release"]
    settings, release = cluster_plan.planned_release(
        host,
        values_of(templar, task, task_vars, [host])[host],
        host_infos([host], task_vars["hostvars"])[host],
        task_vars["groups"],
        plan["addresses"],
        {**about["environment"], "id": planned["environment"]},
        planned.get("application", ""),
    )
    if release.id != planned["id"]:
        raise ValueError(
            f"{host}: the release differs from the planned one. The value of a variable changes with each evaluation, for "
            "example because it uses a lookup, or only some plays set the variable. Set fixed values in the inventory."
        )
    return settings, release
