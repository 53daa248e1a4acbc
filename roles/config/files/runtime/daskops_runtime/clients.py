# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients whose tasks the scheduler has: a command of its control socket, for root and the services' user only.

The response names people and their machines, so it is not an HTTP route for everyone who can open the dashboard.
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

#: Number of clients in the response, and of tasks examined for each. Together they block the event loop for 50 ms.
CLIENTS, TASKS = 10, 10_000


def describe_client(scheduler: Scheduler, client: ClientState) -> dict[str, Any]:
    """Describe the tasks of one client.

    Returns
    -------
    dict
        ``client``, its id. ``address``, the address it is connected from, or None. ``wanted``, the number of tasks that it
        waits for or holds results of. ``tasks``, the number of tasks by state among the first ``looked_at`` of these.
        ``bytes``, the size of their results in bytes.
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
    """Return the `CLIENTS` clients with the most tasks, and the number of further ones as ``more``."""
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
