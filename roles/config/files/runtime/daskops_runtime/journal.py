# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of the services, for ``Cluster.get_logs()``: what they wrote, and what systemd says about them.

The services' account cannot read the journal of its host. For each connection to the socket of
``dask-KIND-journal.socket``, systemd starts a program that can, and that writes the lines of the services of this kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from distributed import Scheduler, Worker

from daskops_runtime import control
from daskops_runtime.metrics import unit_of

#: Command of a scheduler and of a worker.
COMMAND = "daskops_journal"
#: Directory of the sockets.
SOCKETS = "/run"
#: Largest number of lines of a service, of characters of a line, and of bytes in all lines of a host.
LINES, LENGTH, SIZE = 1_000, 2_000, 32 * 1024**2
#: Seconds to wait for data of a host's journal, and for the answer of a worker.
READ_TIMEOUT, ANSWER_TIMEOUT = 10.0, 20.0
#: Instead of the lines of a worker.
NO_ANSWER = "The worker does not answer, or its release has no journal."


def socket_path(unit: str) -> str:
    kind = "scheduler" if unit == "dask-scheduler.service" else "worker"
    return os.path.join(SOCKETS, f"dask-{kind}-journal.sock")


def parse(entries: Iterable[bytes], unit: str) -> list[str]:
    """Return the last lines of a unit from the output of ``journalctl --output=json``, each with the local time."""
    lines: deque[str] = deque(maxlen=LINES)
    for entry in entries:
        try:
            fields = json.loads(entry)
            if unit not in (fields.get("_SYSTEMD_UNIT"), fields.get("UNIT")):
                continue
            time = datetime.fromtimestamp(int(fields["__REALTIME_TIMESTAMP"]) / 1e6)
            message = fields["MESSAGE"]
            if isinstance(message, list):  # the bytes of a text that is not UTF-8 or has control characters
                message = bytes(message).decode(errors="replace")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            continue  # the last entry may be cut off
        text = "(a very long line)" if message is None else str(message)
        lines.append(f"{time:%Y-%m-%d %H:%M:%S} {text}"[:LENGTH])
    return list(lines)


def entries(file: BinaryIO) -> Iterable[bytes]:
    """Yield the lines of a file, up to `SIZE` bytes."""
    left = SIZE
    while left > 0 and (line := file.readline(left)):
        left -= len(line)
        yield line


def read_journal(unit: str) -> list[str]:
    """Return the last lines of a unit in the journal, since the start of the host.

    Raises
    ------
    OSError
        If the socket does not exist, or systemd does not answer.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(READ_TIMEOUT)
        sock.connect(socket_path(unit))
        with sock.makefile("rb") as file:
            return parse(entries(file), unit)


async def own_journal(server: Scheduler | Worker) -> list[str]:
    """Return the last lines of the unit of this process. If they cannot be read, those that Dask keeps in memory."""
    unit = unit_of(control.get_directory(server))
    if unit:
        with contextlib.suppress(OSError):
            lines = await asyncio.to_thread(read_journal, unit)
            if lines:  # systemd could start the program
                return lines
    return [line[:LENGTH] for dummy, line in reversed(server.get_logs(n=LINES))]  # the newest line comes first


def checked(answer: Any) -> list[str]:
    """Return the answer of a worker within the limits."""
    if not isinstance(answer, (list, tuple)):  # Dask makes tuples of lists
        return [NO_ANSWER]
    return [line[:LENGTH] for line in answer[-LINES:] if isinstance(line, str)]


def start_worker(worker: Worker) -> None:
    async def serve() -> list[str]:
        return await own_journal(worker)

    worker.handlers[COMMAND] = serve


def start_scheduler(server: Scheduler) -> None:
    async def ask(address: str) -> list[str]:
        question = server.broadcast(msg={"op": COMMAND}, workers=[address], on_error="ignore")
        try:
            return checked((await asyncio.wait_for(question, ANSWER_TIMEOUT)).get(address))
        except (OSError, asyncio.TimeoutError):
            return [NO_ANSWER]

    async def serve(workers: Any = True, scheduler: bool = True) -> dict[str, list[str]]:
        """Return the lines of ``Scheduler`` and of the workers, by address. ``workers`` are addresses, or True for all."""
        asked = list(server.workers) if workers is True else [one for one in workers or () if one in server.workers]
        journals = {"Scheduler": await own_journal(server)} if scheduler else {}
        journals.update(zip(asked, await asyncio.gather(*map(ask, asked))))
        return journals

    server.handlers[COMMAND] = serve
