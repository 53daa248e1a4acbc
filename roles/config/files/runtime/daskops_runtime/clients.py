# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose work the scheduler has: a command at its socket, which is root's and the services' user's alone.

It names people and their machines, so it is not part of a page that everybody may open who may see the dashboard.
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

#: Clients that are described, and tasks of each that are looked at: all take 50 ms, in which nothing else runs.
CLIENTS, TASKS = 10, 10_000


def describe_client(scheduler: Scheduler, client: ClientState) -> dict[str, Any]:
    """The work of one client

    Returns
    -------
    dict
        ``client`` is its id. ``address`` is where it is connected from, None for one that is not. ``wanted`` is the number
        of tasks that it waits for or holds the results of. ``looked_at`` of them are counted by state in ``tasks``, and
        the bytes of their results are in ``bytes``.
    """
    tasks: Counter[str] = Counter()
    size = 0
    for ts in islice(client.wants_what, TASKS):
        tasks[ts.state] += 1
        if ts.state == "memory":
            size += max(0, ts.nbytes)  # -1 where it is unknown
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
    """The clients that want tasks, those with most tasks first, and the number of those beyond `CLIENTS`"""
    wanting = sorted((c for c in scheduler.clients.values() if c.wants_what), key=lambda c: -len(c.wants_what))
    return {
        "clients": [describe_client(scheduler, client) for client in wanting[:CLIENTS]],
        "more": len(wanting[CLIENTS:]),
    }


class Command:
    """The command for `daskops_runtime.control`"""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(describe_clients(self.scheduler)).encode())
        await writer.drain()
