# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients for which the scheduler has work. A command of the scheduler's control socket.

The answer has names of people and their machines. So it is available only to root and the services' account, and not as an
HTTP route to everyone who can open the dashboard.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import islice
from typing import Any

from distributed import Scheduler
from distributed.scheduler import ClientState

from daskops_runtime.summary import plain

#: Largest number of clients in the answer, and of examined tasks of each. Together they block the event loop for 50 ms.
CLIENTS, TASKS = 10, 10_000


def describe_client(scheduler: Scheduler, client: ClientState) -> dict[str, Any]:
    """Return the description of one client and its tasks.

    Returns
    -------
    dict
        ``client`` is the id of the client. ``address`` is the address from which it is connected, or None. ``wanted`` is the
        number of tasks for which it waits or whose results it holds. ``tasks`` is the number by state of the first
        ``looked_at`` of these tasks, and ``bytes`` the size of their results in bytes.
    """
    tasks: Counter[str] = Counter()
    size = 0
    for ts in islice(client.wants_what, TASKS):
        tasks[ts.state] += 1
        if ts.state == "memory":
            size += max(0, ts.nbytes)  # -1 means unknown
    comm = getattr(scheduler.client_comms.get(client.client_key), "comm", None)
    return {
        "client": plain(client.client_key),
        "address": plain(getattr(comm, "peer_address", None)),
        "wanted": len(client.wants_what),
        "looked_at": sum(tasks.values()),
        "tasks": dict(tasks),
        "bytes": size,
    }


def describe_clients(scheduler: Scheduler) -> dict[str, Any]:
    """Return the `CLIENTS` clients with the most tasks, and the number of other clients in ``more``."""
    wanting = sorted((c for c in scheduler.clients.values() if c.wants_what), key=lambda c: -len(c.wants_what))
    return {
        "clients": [describe_client(scheduler, client) for client in wanting[:CLIENTS]],
        "more": len(wanting[CLIENTS:]),
    }


class Command:
    """The command ``clients`` of `daskops_runtime.control`."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(describe_clients(self.scheduler)).encode())
        await writer.drain()
