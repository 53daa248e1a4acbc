# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which services of a cluster can be started at once."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.starting import startable
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import starts


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        tags, skipped = task_vars["ansible_run_tags"], task_vars["ansible_skip_tags"]
        groups, scheduler = task_vars["groups"], arguments["scheduler"]
        held = bool(arguments["hosts"].get(scheduler, {}).get("held"))
        if not held or not all(starts(kind, tags, skipped) for kind in ("scheduler", "worker")):
            return {"held": held, "hosts": {}}
        # The task that reads the states skips hosts in maintenance.
        asked = {host: result for host, result in arguments["hosts"].items() if not result.get("skipped")}
        states = {host: result.get("states", {}) for host, result in asked.items()}
        kinds = {
            host: [
                kind
                for kind, group in (("scheduler", "dask_scheduler"), ("worker", "dask_workers"))
                if host in groups.get(group, [])
            ]
            for host in states
        }
        return {"held": held, "hosts": startable(states, kinds, scheduler)}
