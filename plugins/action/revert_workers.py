# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revert the workers of a host to the previous release after a failed change."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._services import ServicesAction
from ansible_collections.daskops.cluster.plugins.plugin_utils.failed_changes import revert_target
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(ServicesAction):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host = task_vars["inventory_hostname"]
        target = revert_target(
            host_infos([host], task_vars["hostvars"])[host], arguments["plan"]["hosts"][host]["release"], "worker"
        )
        # `services` already reports the journal when a worker fails to start.
        journal = "" if arguments["change"].get("failed") else self.journal("dask-worker@*")
        result = {"changed": False, "release": target.get("id", ""), "journal": journal}
        if not (target and arguments["rollback_on_failure"]):
            return result
        return {
            **result,
            **self.try_to_change("worker", "started", target, {**arguments, "back": True}, task_vars, True),
        }
