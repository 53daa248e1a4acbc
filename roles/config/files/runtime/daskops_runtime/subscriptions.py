# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell every ``Cluster`` object about the workers.

Dask expects one such object for each scheduler. All subscriptions have the same name, so a new one ends the previous one
without a notice. Here, notebooks of many users are connected at the same time.
"""

from __future__ import annotations

import logging
from typing import Any

from distributed import Scheduler
from distributed.batched import BatchedSend
from distributed.comm import Comm, CommClosedError
from distributed.diagnostics.plugin import SchedulerPlugin

logger = logging.getLogger("distributed.daskops.subscriptions")

#: Command of the scheduler with which a ``Cluster`` object subscribes.
COMMAND = "subscribe_worker_status"
#: Largest number of subscriptions.
LIMIT = 1_000


def describe(scheduler: Scheduler, address: str) -> dict[str, Any]:
    """Return what a ``Cluster`` object is told about a worker."""
    identity = scheduler.workers[address].identity()
    return {key: value for key, value in identity.items() if key not in ("metrics", "last_seen")}


class Subscriptions(SchedulerPlugin):
    """One plugin for all subscriptions, because Dask calls each plugin in each transition of a task."""

    name = "daskops-subscriptions"

    def __init__(self) -> None:
        self.streams: dict[Comm, BatchedSend] = {}

    def subscribe(self, comm: Comm) -> None:
        """Add a connection, of which more requests change nothing. Raises RuntimeError if there are too many."""
        self.remove_closed()
        if comm in self.streams:
            return
        if len(self.streams) >= LIMIT:
            logger.warning("A subscription was refused: there are %d", LIMIT)
            raise RuntimeError(f"{LIMIT} Cluster objects are connected to this scheduler. Close unused ones.")
        stream = self.streams[comm] = BatchedSend(interval="5ms")
        stream.start(comm)

    def remove_closed(self) -> None:
        """Forget the connections of programs that have ended."""
        for comm in [comm for comm in self.streams if comm.closed()]:
            del self.streams[comm]

    def tell(self, *message: Any) -> None:
        self.remove_closed()
        for comm, stream in list(self.streams.items()):
            try:
                stream.send(list(message))
            except CommClosedError:
                del self.streams[comm]

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self.tell("add", {"workers": {worker: describe(scheduler, worker)}})

    def remove_worker(self, scheduler: Scheduler, worker: str, **dummy: Any) -> None:
        self.tell("remove", worker)


def start(scheduler: Scheduler) -> None:
    """Replace Dask's command."""
    subscriptions = Subscriptions()
    scheduler.add_plugin(subscriptions)

    def subscribe(comm: Comm) -> dict[str, Any]:
        subscriptions.subscribe(comm)
        workers = {address: describe(scheduler, address) for address in scheduler.workers}
        return {**scheduler.identity(), "workers": workers}

    scheduler.handlers[COMMAND] = subscribe
