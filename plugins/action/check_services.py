# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the services that do not run, and fail if the cluster has no running scheduler."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import stopped_services
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        scheduler = scheduler_of(task_vars["groups"])
        hosts = host_infos(task_vars["ansible_play_hosts_all"], task_vars["hostvars"])
        hosts = {host: info for host, info in hosts.items() if host not in arguments["maintenance"]}
        found = list(stopped_services(hosts, scheduler))
        info = hosts.get(scheduler) or arguments["scheduler_info"]
        if scheduler and scheduler not in hosts:
            found += stopped_services({scheduler: info}, scheduler)
        silent = scheduler and "dask-scheduler.service" not in info.get("running", {})
        return failed_if({"stopped": found}, found if silent else [])
