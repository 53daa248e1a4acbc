# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of the services, for ``Cluster.get_logs()``: what they wrote, and what systemd says about them.

The services' account cannot read the journal of its host. For each connection to the socket of
``dask-KIND-journal.socket``, systemd starts a program that can, and that writes the lines of the services of this kind, the
newest first. The reader closes the connection when it has enough.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from distributed import Scheduler, Worker
from distributed.core import connect, send_recv

from daskops_runtime import control
from daskops_runtime.metrics import unit_of

#: Command of a scheduler and of a worker.
COMMAND = "daskops_journal"
#: Directory of the sockets.
SOCKETS = "/run"
#: Largest number of lines of a service, of lines of all services in an answer of the scheduler, and of characters of a line.
LINES, ALL_LINES, LENGTH = 1_000, 50_000, 1_000
#: Largest number of bytes that are read from a host's journal, in which all workers of the host have their lines.
SIZE = 16 * 1024**2
#: Seconds to read a journal, and to wait for the answer of a worker.
READ_TIMEOUT, ANSWER_TIMEOUT = 8.0, 15.0
#: Number of workers that the scheduler asks at the same time.
CONNECTIONS = 32
#: Instead of the lines of a worker.
NO_ANSWER = "The worker does not answer."


def socket_path(unit: str) -> str:
    kind = "scheduler" if unit == "dask-scheduler.service" else "worker"
    return os.path.join(SOCKETS, f"dask-{kind}-journal.sock")


def parse(entry: bytes, unit: str) -> str | None:
    """Return a line of ``journalctl --output=json`` as text with the host's local time; None if it is not of the unit."""
    try:
        fields = json.loads(entry)
        if unit not in (fields.get("_SYSTEMD_UNIT"), fields.get("UNIT")):
            return None
        moment = datetime.fromtimestamp(int(fields["__REALTIME_TIMESTAMP"]) / 1e6)
        message = fields["MESSAGE"]
        if isinstance(message, list):  # the bytes of a text that is not UTF-8 or has control characters
            message = bytes(message).decode(errors="replace")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None  # the last entry may be cut off
    text = "(a very long line)" if message is None else str(message)
    return f"{moment:%Y-%m-%d %H:%M:%S} {text}"[:LENGTH]


def newest(entries: Iterable[bytes], unit: str, number: int) -> list[str]:
    """Return the newest lines of a unit, in the order of time, from entries that begin with the newest."""
    lines: list[str] = []
    for entry in entries:
        if (line := parse(entry, unit)) is not None:
            lines.append(line)
        if len(lines) >= number:
            break
    return lines[::-1]


def entries_of(file: BinaryIO, deadline: float) -> Iterable[bytes]:
    """Yield the lines of a connection until the deadline, up to `SIZE` bytes."""
    left = SIZE
    try:
        while left > 0 and time.monotonic() < deadline and (entry := file.readline(left)):
            left -= len(entry)
            yield entry
    except OSError:  # a timeout: keep what was read
        return


def read_journal(unit: str, number: int = LINES) -> list[str]:
    """Return the newest lines of a unit in the journal, since the start of the host, up to ``number``.

    Returns no lines if systemd cannot start the program.

    Raises
    ------
    OSError
        If the socket does not exist, or systemd does not listen at it.
    """
    deadline = time.monotonic() + READ_TIMEOUT
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(READ_TIMEOUT)
            sock.connect(socket_path(unit))
            with sock.makefile("rb") as file:
                lines = newest(entries_of(file, deadline), unit, number)
        # systemd closes a connection at once if there are too many.
        pause = random.uniform(0.2, 1.0)
        if lines or time.monotonic() + pause > deadline:
            return lines
        time.sleep(pause)


async def own_journal(server: Scheduler | Worker, number: int) -> list[str]:
    """Return the newest lines of the unit of this process. If they cannot be read, those that Dask keeps in memory."""
    unit = unit_of(control.get_directory(server))
    try:
        lines = await asyncio.to_thread(read_journal, unit, number) if unit else []
    except OSError:
        lines = []
    return lines or kept_by_dask(server.get_logs(n=number))


def kept_by_dask(logs: Any) -> list[str]:
    """Return the lines of an answer to Dask's command ``get_logs``, which begins with the newest."""
    return [str(line)[:LENGTH] for _level, line, *_time in reversed(logs)]


def checked(answer: Any, number: int) -> list[str]:
    """Return the lines of a worker's answer within the limits."""
    if not isinstance(answer, (list, tuple)):  # Dask makes tuples of lists
        return [NO_ANSWER]
    return [line[:LENGTH] for line in answer[-number:] if isinstance(line, str)]


def start_worker(worker: Worker) -> None:
    async def serve(lines: int = LINES) -> list[str]:
        return await own_journal(worker, lines)

    worker.handlers[COMMAND] = serve


class Journals:
    """The command of the scheduler."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler
        self.lock = asyncio.Lock()  # for the memory of one answer at a time

    async def serve(self, workers: Any = True, scheduler: bool = True) -> dict[str, list[str]]:
        """Return the lines of ``Scheduler`` and of the workers, by address. ``workers`` are addresses, or True for all."""
        async with self.lock:
            known = self.scheduler.workers
            asked = list(known) if workers is True else [address for address in workers or () if address in known]
            number = max(10, min(LINES, ALL_LINES // max(1, len(asked))))
            journals = {"Scheduler": await own_journal(self.scheduler, LINES)} if scheduler else {}
            slots = asyncio.Semaphore(CONNECTIONS)
            answers = await asyncio.gather(*(self.ask(address, number, slots) for address in asked))
            journals.update(zip(asked, answers))
            return journals

    async def ask(self, address: str, number: int, slots: asyncio.Semaphore) -> list[str]:
        async with slots:
            try:
                return await asyncio.wait_for(self.exchange(address, number), ANSWER_TIMEOUT)
            except (OSError, asyncio.TimeoutError):
                return [NO_ANSWER]

    async def exchange(self, address: str, number: int) -> list[str]:
        # A connection of its own: one of the scheduler's pool would stay in use after a timeout.
        comm = await connect(address, **self.scheduler.connection_args)
        try:
            answer = await send_recv(comm, op=COMMAND, lines=number)
            if answer is None:  # the release of the worker has no such command
                answer = kept_by_dask(await send_recv(comm, op="get_logs", n=number))
            return checked(answer, number)
        except (TypeError, ValueError):
            return [NO_ANSWER]
        finally:
            comm.abort()


def start_scheduler(scheduler: Scheduler) -> None:
    scheduler.handlers[COMMAND] = Journals(scheduler).serve
