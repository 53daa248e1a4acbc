# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Examine a host for `doctor.yml`, and validate the result."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.doctor import (
    names_to_resolve,
    reached_at,
    scratch_directories,
    targets,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.doctor_answers import without_unbelievable
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import connection_names, host_infos, values_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        playing, hostvars = task_vars["ansible_play_hosts_all"], task_vars["hostvars"]
        try:
            values = values_of(self._templar, self._task, task_vars, [host])[host]
        except ValueError as error:
            return failed_if({}, [str(error)])
        plans, infos = plan["hosts"], host_infos(playing, hostvars)
        wanted = targets(host, task_vars["groups"], plans, infos)
        others = [reached_at(other, plans, infos) for other in plans if other != host]
        contacts = [about.get("contact_host", "") for about in plans.values()]
        scheduler = host_of(plan["addresses"]["scheduler"])
        asked = {
            "user": values["dask_user"],
            "targets": [[target.address, target.port] for target in wanted],
            "names": names_to_resolve(connection_names(playing, hostvars), scheduler, contacts),
            "addresses": [address for address in dict.fromkeys(others) if address],
            "scratch": scratch_directories(values) if host in task_vars["groups"].get("dask_workers", []) else [],
            "accounts": [str(task_vars["ansible_user"])] if task_vars.get("ansible_user") else [],
        }
        result = self.execute("examine_host", {**arguments, **asked}, task_vars)
        if result.get("failed") or result.get("unreachable"):
            return result
        return without_unbelievable(result, len(wanted))
