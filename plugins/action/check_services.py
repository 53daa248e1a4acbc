# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which services do not run, and fail where workers have no scheduler or nobody could be asked."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils.down import down, unjoinable
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        hosts, scheduler = arguments["hosts"], arguments.get("scheduler", "")
        seen = hosts.get(scheduler) or arguments.get("scheduler_info") or {}
        if not arguments.get("before_start", False):
            result["down"] = list(down(hosts, scheduler))
            if scheduler and scheduler not in hosts:
                result["down"] += down({scheduler: seen}, scheduler)
            silent = scheduler and "dask-scheduler.service" not in seen.get("running", {})
            return refuse(result, result["down"] if silent else [])
        return refuse(result, unjoinable(hosts, scheduler, seen, task_vars))
