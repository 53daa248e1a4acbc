# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell every ``Cluster`` object about the workers.

Dask expects one such object for each scheduler. All subscriptions have the same name, so a new one ends the
previous one without a notice. Here, notebooks of many users are connected at the same time.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from distributed import Scheduler
from distributed.scheduler import WorkerStatusPlugin

#: Command of the scheduler with which a ``Cluster`` object subscribes.
COMMAND = "subscribe_worker_status"


def remove_closed(scheduler: Scheduler) -> None:
    """Remove the subscriptions of programs that have ended. Dask does so only when a worker starts or stops."""
    for name, plugin in list(scheduler.plugins.items()):
        if isinstance(plugin, WorkerStatusPlugin) and plugin.bcomm.closed():
            scheduler.remove_plugin(name=name)


def start(scheduler: Scheduler) -> None:
    """Give each subscription a name of its own."""
    subscribe, numbers = scheduler.handlers[COMMAND], count(1)

    def subscribe_beside_others(comm: Any) -> Any:
        remove_closed(scheduler)
        workers = subscribe(comm)
        plugin: Any = scheduler.plugins.pop(WorkerStatusPlugin.name)
        plugin.name = f"{plugin.name}-{next(numbers)}"
        scheduler.plugins[plugin.name] = plugin
        return workers

    scheduler.handlers[COMMAND] = subscribe_beside_others
