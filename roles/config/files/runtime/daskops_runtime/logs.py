# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of all services of the cluster, for ``Cluster.get_logs()``.

The scheduler asks one worker of each host, which reads the lines of all services there, also of those that do not run. On a
host without such a worker, it asks a unit on standby or outside of its hours, in the answer to the unit's question whether
it may start.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from distributed import Scheduler, Worker
from distributed.core import connect, send_recv
from distributed.scheduler import WorkerState

from daskops_runtime import control, scaling
from daskops_runtime.journal import LENGTH, LINES, UNITS, Place, find_place, limit, read_journals

#: Command of a scheduler and of a worker, and the one with which a unit that waits sends its host's journals.
COMMAND, FROM_WAITING = "daskops_journals", "daskops_waiting_journals"
#: Key of the place in the information that a worker sends when it registers.
KEY = "daskops_place"
#: Largest number of lines of all services in an answer of the scheduler.
ALL_LINES = 50_000
#: Seconds to wait for an answer of a worker, and for those of all hosts.
ANSWER_TIMEOUT, TIMEOUT = 10.0, 30.0
#: Number of workers of a host that are asked for the journals of all its services, if the first one does not answer.
ATTEMPTS = 2
#: Number of connections to workers at the same time.
CONNECTIONS = 32
#: Instead of the lines of a service.
NO_ANSWER = "The journal cannot be read, or the service does not answer."


@dataclass
class Host:
    """The workers of one host whose lines are wanted.

    Attributes
    ----------
    name : str
        Name of the host, which no other one has.
    workers : list of WorkerState
        Registered workers.
    places : dict
        The places of those that have one, by address.
    waiting : dict
        The places of workers whose units wait, by name.
    """

    name: str
    workers: list[WorkerState] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    waiting: dict[str, Place] = field(default_factory=dict)


def key(unit: str, host: Host) -> str:
    """Return the key of the lines of a service without a registered worker."""
    return f"{unit} on {host.name}"


def place_here(server: Scheduler | Worker) -> Place | None:
    return find_place(control.get_directory(server))


async def read_here(kind: str) -> dict[str, list[str]]:
    try:
        return await asyncio.to_thread(read_journals, kind)
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
    place = place_here(worker)
    if not place:
        return

    async def serve(number: int = LINES) -> dict[str, list[str]]:
        return limit(await read_here("worker"), number)

    worker.startup_information[KEY] = lambda worker: list(place)
    worker.handlers[COMMAND] = serve


class Journals:
    """The commands of the scheduler."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler
        self.lock = asyncio.Lock()  # for the memory of one answer at a time
        self.running: dict[Any, asyncio.Task[dict[str, list[str]]]] = {}  # by the addresses that were asked for
        self.answers: dict[str, asyncio.Future[Any]] = {}  # by the name of a worker whose unit waits

    async def serve(self, workers: Any = True, scheduler: bool = True) -> dict[str, list[str]]:
        """Return the lines of ``Scheduler``, of the workers by address, and of other services by unit and host.

        Parameters
        ----------
        workers : bool or list of str
            Addresses of workers. True for all services, also those without a registered worker.
        scheduler : bool
            Whether to return the lines of the scheduler.

        Raises
        ------
        ValueError
            If there is no worker with an address.
        """
        journals = {"Scheduler": await self.own()} if scheduler else {}
        if not workers:
            return journals
        asked = None if workers is True else frozenset([workers] if isinstance(workers, str) else workers)
        unknown = sorted(map(str, (asked or set()) - self.scheduler.workers.keys()))
        if unknown:
            raise ValueError(
                f"There is no worker with the address {unknown[0][:100]}. Give addresses of registered workers."
            )
        # Users who ask for the same at the same time get the same answer.
        task = self.running.get(asked)
        if task is None:
            task = self.running[asked] = asyncio.create_task(self.collect(asked))
            task.add_done_callback(lambda dummy: self.running.pop(asked))
        return {**journals, **await asyncio.shield(task)}

    async def own(self) -> list[str]:
        """Return the lines of the scheduler. If they cannot be read, those that Dask keeps in memory."""
        place = place_here(self.scheduler)
        journals = await read_here("scheduler") if place else {}
        return journals.get(place.unit if place else "") or kept_by_dask(self.scheduler.get_logs(n=LINES))

    def hosts(self, asked: Iterable[str] | None) -> list[Host]:
        """Return the hosts of workers. With None, of all workers, also of those whose units wait."""
        hosts: dict[Any, Host] = {}
        names: Counter[str] = Counter()

        def host_of(place: Place) -> Host:
            key = place.host, place.boot
            if key not in hosts:
                names[place.host] += 1
                hosts[key] = Host(f"{place.host} ({names[place.host]})" if names[place.host] > 1 else place.host)
            return hosts[key]

        for address in self.scheduler.workers if asked is None else asked:
            ws = self.scheduler.workers.get(address)
            if ws is None:  # it has left
                continue
            place = scaling.read_place(ws.extra.get(KEY))
            host = host_of(place) if place else hosts.setdefault(address, Host(address))
            host.workers.append(ws)
            if place:
                host.places[address] = place
        if asked is None:
            for name, place in scaling.waiting_places(self.scheduler).items():
                host_of(place).waiting[name] = place
        return list(hosts.values())

    async def collect(self, asked: Iterable[str] | None) -> dict[str, list[str]]:
        async with self.lock:
            hosts = self.hosts(asked)
            number = ALL_LINES // max(1, len(hosts))
            found = {ws.address: [NO_ANSWER] for host in hosts for ws in host.workers}
            found |= {key(place.unit, host): [NO_ANSWER] for host in hosts for place in host.waiting.values()}
            slots = asyncio.Semaphore(CONNECTIONS)
            tasks = [asyncio.create_task(self.read(host, asked is None, number, slots, found)) for host in hosts]
            if tasks:
                for late in (await asyncio.wait(tasks, timeout=TIMEOUT))[1]:
                    late.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            return found

    async def read(
        self, host: Host, others: bool, number: int, slots: asyncio.Semaphore, found: dict[str, list[str]]
    ) -> None:
        """Add the lines of the workers of a host to ``found``, and with ``others`` those of its other services."""
        journals, silent = await self.ask_workers(host, number, slots)
        if not journals and host.waiting:
            journals = await self.ask_waiting(next(iter(host.waiting)), number)
        rest = []
        for ws in host.workers:
            lines = journals.get(host.places[ws.address].unit) if ws.address in host.places else None
            if lines:
                found[ws.address] = lines
            elif ws.address not in silent:
                rest.append(ws.address)
        if others:
            units = {place.unit for place in host.places.values()}
            found.update({key(unit, host): lines for unit, lines in journals.items() if unit not in units})
        kept = await asyncio.gather(*(self.ask_kept(address, number // len(host.workers), slots) for address in rest))
        found.update(zip(rest, kept))

    async def ask_workers(
        self, host: Host, number: int, slots: asyncio.Semaphore
    ) -> tuple[dict[str, list[str]], set[str]]:
        """Return the journals of a host, and the addresses of the workers that do not answer."""
        silent: set[str] = set()
        # A worker that hangs sends no heartbeat.
        lately = sorted((ws for ws in host.workers if ws.address in host.places), key=lambda ws: -ws.last_seen)
        for ws in lately[:ATTEMPTS]:
            try:
                return checked(await self.ask(ws.address, slots, op=COMMAND, number=number), number), silent
            except OSError:
                silent.add(ws.address)
        return {}, silent

    async def ask_kept(self, address: str, number: int, slots: asyncio.Semaphore) -> list[str]:
        """Return the lines of a worker that Dask keeps in memory."""
        try:
            logs = await self.ask(address, slots, op="get_logs", n=max(1, min(LINES, number)))
            return checked({"kept": kept_by_dask(logs)}, number)["kept"]
        except (OSError, TypeError, ValueError):
            return [NO_ANSWER]

    async def ask(self, address: str, slots: asyncio.Semaphore, **message: Any) -> Any:
        """Return the answer of a worker. Raises OSError if there is none."""

        async def exchange() -> Any:
            # A connection of its own: one of the scheduler's pool would stay in use after a timeout.
            comm = await connect(address, **self.scheduler.connection_args)
            try:
                return await send_recv(comm, **message)
            finally:
                comm.abort()

        async with slots:
            try:
                return await asyncio.wait_for(exchange(), ANSWER_TIMEOUT)
            except Exception as e:  # also what the worker has raised
                raise ConnectionError(f"{address} does not answer: {e}") from e

    async def ask_waiting(self, name: str, number: int) -> dict[str, list[str]]:
        """Return the journals of the host of a worker whose unit waits; none if it does not send them."""
        answer = self.answers[name] = asyncio.get_running_loop().create_future()
        try:
            with scaling.request_journals(self.scheduler, name, number) as interval:
                return checked(await asyncio.wait_for(answer, interval + ANSWER_TIMEOUT), number)
        except asyncio.TimeoutError:
            return {}
        finally:
            del self.answers[name]

    def take(self, comm: Any, name: Any = None, journals: Any = None) -> None:
        """Take the journals of the host of a unit that waits. A command for `daskops_runtime.standby`."""
        answer = self.answers.get(name) if isinstance(name, str) else None
        if answer and not answer.done() and scaling.is_connection_of(self.scheduler, name, comm):
            answer.set_result(journals)


def start_scheduler(scheduler: Scheduler) -> None:
    journals = Journals(scheduler)
    scheduler.handlers[COMMAND] = journals.serve
    scheduler.handlers[FROM_WAITING] = journals.take
