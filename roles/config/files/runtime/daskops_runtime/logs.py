# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of all services of the cluster, for ``Cluster.get_logs()``.

The scheduler asks one worker of each host, which reads the lines of all services there, also of those that do not run. On a
host without a registered worker, it asks a unit on standby or outside of its hours, in the answer to the unit's question
whether it may start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from distributed import Scheduler, Worker
from distributed.core import connect, send_recv
from distributed.scheduler import WorkerState

from daskops_runtime import control, scaling
from daskops_runtime.journal import LENGTH, LINES, UNITS, limit, read_journals
from daskops_runtime.metrics import unit_of

#: Command of a scheduler and of a worker, and the one with which a unit that waits sends its host's journals.
COMMAND, FROM_WAITING = "daskops_journals", "daskops_waiting_journals"
#: Key of the unit in the information that a worker sends when it registers.
KEY = "daskops_unit"
#: Largest number of lines of all services in an answer of the scheduler.
ALL_LINES = 50_000
#: Seconds to wait for an answer.
ANSWER_TIMEOUT = 15.0
#: Number of workers of a host that are asked for the journals of all its services, if the first one does not answer.
ATTEMPTS = 2
#: Number of hosts that the scheduler asks at the same time.
HOSTS = 32
#: Instead of the lines of a service.
NO_ANSWER = "The service does not answer."


def unit_here(server: Scheduler | Worker) -> str | None:
    return unit_of(control.get_directory(server))


async def read_here(kind: str, units: Collection[str]) -> dict[str, list[str]]:
    try:
        return await asyncio.to_thread(read_journals, kind, units)
    except OSError:
        return {}


def kept_by_dask(logs: Any) -> list[str]:
    """Return the lines of an answer to Dask's command ``get_logs``, which begins with the newest."""
    return [str(line)[:LENGTH] for _level, line, *_time in reversed(logs)]


def checked(answer: Any, number: int) -> dict[str, list[str]]:
    """Return the journals in an answer within the limits, together up to ``number`` lines and the least of each unit."""
    if not isinstance(answer, dict):
        return {}
    journals = {}
    for unit, lines in list(answer.items())[:UNITS]:
        # Dask makes tuples of lists.
        if scaling.is_text(unit) and isinstance(lines, (list, tuple)):
            journals[unit] = [line[:LENGTH] for line in lines[-LINES:] if isinstance(line, str)]
    return limit(journals, number)


def start_worker(worker: Worker) -> None:
    """Serve the journals of the workers of this host, if this worker has a unit."""
    unit = unit_here(worker)
    if not unit:
        return

    async def serve(units: Any = (), number: int = LINES) -> dict[str, list[str]]:
        return limit(await read_here("worker", units), number)

    worker.startup_information[KEY] = lambda worker: unit
    worker.handlers[COMMAND] = serve


class Journals:
    """The commands of the scheduler."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler
        self.lock = asyncio.Lock()  # for the memory of one answer at a time
        self.answers: dict[str, asyncio.Future[Any]] = {}  # by the name of a worker whose unit waits

    async def serve(self, workers: Any = True, scheduler: bool = True) -> dict[str, list[str]]:
        """Return the lines of ``Scheduler``, of the workers by address, and of other services by unit and host.

        ``workers`` are addresses. With True, all services are meant.
        """
        async with self.lock:
            journals = {"Scheduler": await self.own()} if scheduler else {}
            hosts: dict[str, list[WorkerState]] = {}
            for address, ws in self.scheduler.workers.items():
                if workers is True or address in (workers or ()):
                    hosts.setdefault(ws.host, []).append(ws)
            waiting: dict[str, str] = {}
            if workers is True:
                waiting = {host: name for host, name in scaling.waiting_units(self.scheduler) if host not in hosts}
            number = ALL_LINES // max(1, len(hosts) + len(waiting))
            slots = asyncio.Semaphore(HOSTS)
            answers = await asyncio.gather(
                *(self.of_workers(host, ours, workers is True, number, slots) for host, ours in hosts.items()),
                *(self.of_waiting(host, name, number) for host, name in waiting.items()),
            )
            for answer in answers:
                journals.update(answer)
            return journals

    async def own(self) -> list[str]:
        """Return the lines of the scheduler. If they cannot be read, those that Dask keeps in memory."""
        unit = unit_here(self.scheduler)
        journals = await read_here("scheduler", [unit]) if unit else {}
        return journals.get(unit or "") or kept_by_dask(self.scheduler.get_logs(n=LINES))

    async def of_workers(
        self, host: str, workers: list[WorkerState], others: bool, number: int, slots: asyncio.Semaphore
    ) -> dict[str, list[str]]:
        """Return the lines of workers of a host, and with ``others`` those of the other services there."""
        units = {ws.address: str(ws.extra[KEY]) for ws in workers if KEY in ws.extra}
        silent = set()
        journals: dict[str, list[str]] = {}
        async with slots:
            for address in list(units)[:ATTEMPTS]:
                try:
                    wanted = [] if others else list(units.values())
                    journals = checked(await self.ask(address, op=COMMAND, units=wanted, number=number), number)
                    break
                except OSError:
                    silent.add(address)

            async def lines_of(address: str) -> list[str]:
                lines = journals.get(units.get(address, ""))
                if lines:
                    return lines
                if address in silent:
                    return [NO_ANSWER]
                return await self.kept(address, number // len(workers))

            found = await asyncio.gather(*(lines_of(ws.address) for ws in workers))
        journals = {f"{unit} on {host}": lines for unit, lines in journals.items() if unit not in units.values()}
        return {**dict(zip((ws.address for ws in workers), found)), **journals}

    async def kept(self, address: str, number: int) -> list[str]:
        """Return the lines of a worker that Dask keeps in memory."""
        try:
            logs = await self.ask(address, op="get_logs", n=max(1, min(LINES, number)))
            return checked({"kept": kept_by_dask(logs)}, number)["kept"]
        except (OSError, TypeError, ValueError):
            return [NO_ANSWER]

    async def ask(self, address: str, **message: Any) -> Any:
        """Return the answer of a worker. Raises OSError if there is none."""

        async def exchange() -> Any:
            # A connection of its own: one of the scheduler's pool would stay in use after a timeout.
            comm = await connect(address, **self.scheduler.connection_args)
            try:
                return await send_recv(comm, **message)
            except (TypeError, ValueError) as e:  # raised by the worker
                raise ConnectionError(str(e)) from e
            finally:
                comm.abort()

        try:
            return await asyncio.wait_for(exchange(), ANSWER_TIMEOUT)
        except asyncio.TimeoutError as e:  # not an OSError in Python 3.10
            raise ConnectionError("no answer") from e

    async def of_waiting(self, host: str, name: str, number: int) -> dict[str, list[str]]:
        """Return the lines of the services of a host where this worker's unit waits."""
        answer = self.answers[name] = asyncio.get_running_loop().create_future()
        try:
            with scaling.request_journals(self.scheduler, name) as interval:
                journals = checked(await asyncio.wait_for(answer, interval + ANSWER_TIMEOUT), number)
        except asyncio.TimeoutError:
            journals = {}
        finally:
            del self.answers[name]
        if not journals:
            return {f"{name} on {host}": [NO_ANSWER]}
        return {f"{unit} on {host}": lines for unit, lines in journals.items()}

    def take(self, name: Any = None, journals: Any = None) -> None:
        """Take the journals of the host of a unit that waits. A command for `daskops_runtime.standby`."""
        answer = self.answers.get(name) if isinstance(name, str) else None
        if answer and not answer.done():
            answer.set_result(journals)


def start_scheduler(scheduler: Scheduler) -> None:
    journals = Journals(scheduler)
    scheduler.handlers[COMMAND] = journals.serve
    scheduler.handlers[FROM_WAITING] = journals.take
