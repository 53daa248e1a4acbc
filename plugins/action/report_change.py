# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail with a report about a failed batch of worker hosts and about the hosts that were reverted."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils import failed_changes
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import SCHEDULER
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        plan, reverted = arguments["plan"], arguments["reverted"]
        scheduler = plan["asked_host"]
        info = host_infos([scheduler], task_vars["hostvars"]).get(scheduler, {})
        release = plan["hosts"].get(scheduler, {}).get("release") or {}
        wanted = release.get("services", {}).get("scheduler", {}).get(SCHEDULER, "")
        said = [
            *arguments["failures"],
            *failed_changes.journal_report({host: result.get("journal", "") for host, result in reverted.items()}),
            *failed_changes.batch_report(reverted, arguments["rollback_on_failure"]),
            "Hosts of later batches were not changed.",
            failed_changes.scheduler_note(info, arguments["scheduler_change"], wanted, plan["back"]),
        ]
        return {"failed": True, "msg": "\n".join(filter(None, said))}
