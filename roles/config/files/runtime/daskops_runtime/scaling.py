# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop and start provisioned workers, as clients ask or as there is work (``dask_worker_scaling``).

The scheduler decides which workers run. To stop a worker, it makes the worker drain without a deadline. The process exits,
systemd starts the unit again, and `daskops_runtime.standby` finds that the worker is not wanted. To start it, the scheduler
answers that it is wanted. No part of this needs the rights of root.

A unit outside of the hours of its worker (``dask_worker_hours``) tells the scheduler so, also without the setting. The
scheduler cannot start its worker. So the worker counts neither for a minimum nor for a request until its unit returns.

A worker is wanted unless this module has stopped it: a new worker, or one that the scheduler does not know, always starts
and registers. Only workers that registered once with the setting are counted and stopped. So a scheduler that loses its
state runs all workers.

How many workers of a pool run is Dask's decision (`distributed.deploy.Adaptive`), within a minimum and a maximum. A request
for a number of workers is a minimum and a maximum that are equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Scheduler, Worker
from distributed.comm import get_address_host
from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.scheduler import TaskState, WorkerState

from daskops_runtime import drain
from daskops_runtime import release as releases
from daskops_runtime.journal import Place
from daskops_runtime.standby import TEXT

logger = logging.getLogger("distributed.daskops.scaling")

#: Key of `information` in the information that a worker sends when it registers. Workers without it are never stopped.
KEY = "daskops_scaling"
#: Operation on a worker's stream that makes it drain.
DRAIN = "daskops_drain"
#: Modes of a pool without a request of a client: all its workers run, or those for which there is work.
MANUAL, ADAPTIVE = "manual", "adaptive"
#: Name of the pool of hosts without ``dask_worker_pools``.
UNNAMED = "default"

#: Seconds in which a wanted worker may be absent, for example because it restarts, until another one starts instead.
ABSENT = 30.0
#: Seconds after its last question in which a worker counts as on standby, in addition to the time between two questions.
SILENT = 10.0
#: Seconds until a worker is missing that was told to start, in addition to the time between two questions. After this time
#: systemd ends a start (``TimeoutStartSec`` of the unit).
START = 90.0
#: Questions each second of all workers on standby together. Each costs the scheduler 0.2 ms.
QUESTIONS = 100
#: Seconds until a worker that did not begin to drain is told again.
RETRY = 10.0
#: Seconds after which a worker that neither registers nor asks is forgotten.
FORGET = 30 * 86400.0
#: Largest number of workers, of characters in a name, and of waiting tasks that are examined, and of their restrictions.
WORKERS, LENGTH, TASKS, KINDS = 10_000, 300, 1_000, 50
#: Largest number of units of one host that wait outside of their hours.
UNITS = 500
#: Fraction of the memory of the remaining workers that may be full with results after a worker has stopped.
FULL = 0.6
#: Largest size of the file that is read, in bytes. 10,000 workers need 4 MB.
SIZE = 16 * 1024**2
#: Version of the file.
SCHEMA = 1

_scalings: dict[Scheduler, Scaling] = {}

NOT_ENABLED = (
    "No worker of this cluster can be stopped and started by clients. Ask the administrator to set dask_worker_scaling"
    " to manual or adaptive in the inventory of daskops.cluster, and to run site.yml."
)


@dataclass
class Member:
    """A worker that can be stopped, whether it runs or not.

    ``minimum`` and ``maximum`` are those of its pool in the inventory. ``seen`` and ``asked`` are seconds since the epoch.
    """

    name: str
    pool: str = UNNAMED
    mode: str = MANUAL
    minimum: int = 0
    maximum: int = WORKERS
    address: str = ""
    host: str = ""
    resources: dict[str, float] = field(default_factory=dict)
    release: str = ""
    seen: float = 0.0
    asked: float = 0.0

    def meets(self, ts: TaskState) -> bool:
        """Return whether a task's restrictions allow this worker."""
        if any(self.resources.get(name, 0) < amount for name, amount in (ts.resource_restrictions or {}).items()):
            return False
        if ts.loose_restrictions or not (ts.worker_restrictions or ts.host_restrictions):
            return True
        return self.address in (ts.worker_restrictions or ()) or self.host in (ts.host_restrictions or ())


@dataclass
class Outside:
    """A worker that may not run now, because it is outside of its hours.

    ``text`` tells until when, such as ``until Mon 19:00``, or why it cannot start, if ``returns`` is false. ``asked`` is the
    time of its last message in seconds since the epoch.
    """

    name: str
    host: str
    release: str
    text: str
    returns: bool
    asked: float


@dataclass
class Starting:
    """A worker that was on standby or outside of its hours, and was told to start at ``since``, seconds since the epoch."""

    name: str
    host: str
    release: str
    since: float


@dataclass
class Request:
    """A request of a client for one pool. ``maximum`` is None without a limit. ``since`` is a time as text."""

    minimum: int
    maximum: int | None
    interval: float | None = None
    wait_count: int | None = None
    target_duration: float | None = None
    since: str = ""
    address: str = ""


def restrictions(ts: TaskState) -> tuple:
    """Return the restrictions of a task in a form that can be compared."""
    resources = frozenset((ts.resource_restrictions or {}).items())
    return (
        resources,
        frozenset(ts.worker_restrictions or ()),
        frozenset(ts.host_restrictions or ()),
        ts.loose_restrictions,
    )


def now_as_text() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")


def is_text(value: object, length: int = LENGTH) -> bool:
    return isinstance(value, str) and 0 < len(value) <= length and value.isprintable()


def read_place(value: Any) -> Place | None:
    """Return a place that another process has sent as a list; None if it is not valid."""
    if not isinstance(value, (list, tuple)) or len(value) != len(Place._fields) or not all(map(is_text, value)):
        return None
    return Place(*value)


def whole(value: Any, name: str, least: int = 0) -> int:
    """Return a whole number of at least ``least``. Raises ValueError for other values."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value:
        raise ValueError(f"{name} is {str(value)[:50]!r}. Give a whole number of at least {least}.")
    return min(value, WORKERS)


def seconds(value: Any, name: str) -> float | None:
    """Return a time between 0.1 s and a day in seconds. Raises ValueError for other values."""
    if value is None:
        return None
    try:
        found = parse_timedelta(value, "seconds")
    except (TypeError, KeyError, ValueError, AttributeError):
        found = math.nan
    if not 0.1 <= found <= 86400:
        raise ValueError(f"{name} is {str(value)[:50]!r}. Give a time between 0.1 s and 1 day.")
    return found


def limited_request(asked: Mapping[str, int], least: int, most: int) -> dict[str, Any] | None:
    """Return what a request asked for, and the numbers of workers that are possible; None if it is within them.

    ``asked`` has at most one number by its parameter.
    """
    for parameter, number in asked.items():
        if not least <= number <= most:
            effective = min(max(number, least), most)
            return {"parameter": parameter, "asked": number, "least": least, "most": most, "effective": effective}
    return None


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts ``w2`` before ``w10``."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d{0,18})", name)]


def divide(number: int, sizes: dict[str, int]) -> dict[str, int]:
    """Return a number divided in proportion to ``sizes``."""
    total = sum(sizes.values())
    parts = {key: number * size // total for key, size in sizes.items()}
    by_rest = sorted(sizes, key=lambda key: (-(number * sizes[key] % total), key))
    for key in by_rest[: number - sum(parts.values())]:
        parts[key] += 1
    return parts


def divide_within(number: int, sizes: dict[str, int], limits: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return a number divided in proportion to ``sizes``, within the smallest and largest part of each key.

    If the number is not possible, the parts are not limited: workers or limits of a later time may make it possible.
    """
    parts = divide(number, sizes)
    if not sum(low for low, dummy in limits.values()) <= number <= sum(high for dummy, high in limits.values()):
        return parts
    parts = {key: min(max(part, limits[key][0]), limits[key][1]) for key, part in parts.items()}
    for key, (low, high) in sorted(limits.items()):
        parts[key] = min(max(parts[key] + number - sum(parts.values()), low), high)
    return parts


class View:
    """A scheduler with only some of its workers and waiting tasks, for those methods of Dask that decide about scaling."""

    def __init__(self, scheduler: Scheduler, workers: list[WorkerState], waiting: list[TaskState]):
        self.scheduler = scheduler
        self.workers = {ws.address: ws for ws in workers}
        self.unrunnable = dict.fromkeys(waiting)
        self.total_occupancy = sum(ws.occupancy for ws in workers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheduler, name)

    def workers_to_close(self, **options: Any) -> list[str]:
        return Scheduler.workers_to_close(self, **options)  # type: ignore[arg-type]

    def adaptive_target(self, target_duration: float) -> int:
        return Scheduler.adaptive_target(self, target_duration)  # type: ignore[arg-type]


class Pool(Adaptive):
    """Dask's adaptive scaling for one pool, without its timer and its cluster."""

    def __init__(self, scaling: Scaling, name: str):
        self.scaling = scaling
        self.name = name
        self.options: Any = None
        self.adapted = 0.0
        super().__init__(cluster=None, interval=0)  # type: ignore[arg-type]

    @property
    def loop(self) -> Any:
        raise RuntimeError("not used without a timer")

    def configure(self, request: Request | None) -> None:
        """Set Dask's options for a request, within the limits of the inventory."""
        low, high = self.scaling.limits(self.name)
        if request is None:
            adaptive = any(
                member.mode == ADAPTIVE and member.pool == self.name for member in self.scaling.known.values()
            )
            request = Request(0 if adaptive else WORKERS, WORKERS)
        maximum = WORKERS if request.maximum is None else request.maximum
        self.minimum = min(max(request.minimum, low), high)
        self.maximum = max(min(maximum, high), self.minimum)

        def configured(name: str) -> Any:
            return dask.config.get(f"distributed.adaptive.{name}")

        self.tick = request.interval or parse_timedelta(configured("interval"))
        self.wait_count = 1 if self.is_fixed else request.wait_count or configured("wait-count")
        self.target_duration = request.target_duration or parse_timedelta(configured("target-duration"))

    @property
    def is_fixed(self) -> bool:
        return self.minimum == self.maximum

    @property
    def members(self) -> list[Member]:
        return [member for member in self.scaling.live() if member.pool == self.name]

    @property
    def plan(self) -> set[Any]:  # names; the classes of Dask differ about the type
        return {member.name for member in self.members if member.name not in self.scaling.stopped}

    @property
    def requested(self) -> set[Any]:
        return self.plan

    @property
    def observed(self) -> set[Any]:
        return self.plan & self.scaling.registered.keys()

    def view(self) -> View:
        members = self.members
        can_run = [tasks for tasks in self.scaling.waiting if any(member.meets(tasks[0]) for member in members)]
        waiting = [ts for tasks in can_run for ts in tasks]
        return View(self.scaling.scheduler, [self.scaling.registered[name] for name in self.observed], waiting)

    async def target(self) -> int:
        return self.minimum if self.is_fixed else self.view().adaptive_target(self.target_duration)

    async def workers_to_close(self, target: int) -> list[str]:
        return [str(name) for name in self.view().workers_to_close(target=target, attribute="name")]

    async def scale_down(self, workers: Any) -> None:
        # A task waits for these workers, which Dask does not see before they have registered.
        self.scaling.stop(set(workers) - (set() if self.is_fixed else self.scaling.needed))

    async def scale_up(self, n: Any) -> None:
        stopped = [member for member in self.members if member.name in self.scaling.stopped]
        lately = time.time() - 2 * self.scaling.again

        def readiness(member: Member) -> tuple:
            # A worker that drains can only start after its drain.
            return member.name in self.scaling.registered, member.asked < lately, natural(member.name)

        stopped.sort(key=readiness)
        self.scaling.start({member.name for member in stopped[: n - len(self.plan)]})


class Scaling:
    """The workers of a scheduler that can be stopped, and those that are."""

    def __init__(self, scheduler: Scheduler, file: str):
        self.scheduler = scheduler
        self.file = file
        self.started = time.time()
        self.known: dict[str, Member] = {}
        self.stopped: set[str] = set()
        self.requests: dict[str, Request] = {}
        self.pools: dict[str, Pool] = {}
        self.told: dict[str, float] = {}  # when a worker was told to drain, by address
        self.registered: dict[str, WorkerState] = {}
        self.waiting: list[list[TaskState]] = []  # tasks with the same restrictions
        self.needed: set[str] = set()
        self.outside: dict[str, Outside] = {}
        self.starting: dict[str, Starting] = {}
        self.places: dict[str, tuple[Place, str]] = {}  # place and connection of units that wait, by the worker's name
        self.journal_requests: dict[str, int] = {}  # lines of the journals that such a unit is asked for
        self.log: deque[str] = deque(maxlen=100)
        self.saved: dict[str, Any] = self.document()
        self.wake = asyncio.Event()
        self.task: asyncio.Task | None = None
        self.load()

    # The file

    def load(self) -> None:
        """Read the file of an earlier scheduler. Without a valid file, all workers are wanted."""
        if not self.file:
            return
        try:
            saved = read_json(self.file)
            if saved["schema"] != SCHEMA:
                raise ValueError("other schema")
            known = {member.name: member for member in map(read_member, saved["known"][:WORKERS])}
            requests = {str(pool): read_request(one) for pool, one in list(saved["requests"].items())[:WORKERS]}
            stopped = {name for name in saved["stopped"] if name in known}
            self.known, self.requests, self.stopped, self.saved = known, requests, stopped, saved
        except FileNotFoundError:
            pass
        except Exception as e:  # tasks on the scheduler's host can write to the file
            logger.warning("%s is not valid, so all workers start: %s", self.file, e)

    def document(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "schema": SCHEMA,
            # One day is exact enough to forget a worker. Do not use asdict, which takes ten times as long.
            "known": [
                {**vars(member), "seen": member.seen // 86400 * 86400, "asked": 0.0} for member in self.known.values()
            ],
            "stopped": sorted(self.stopped),
            "requests": {pool: asdict(request) for pool, request in self.requests.items()},
        }

    def save(self) -> None:
        """Write the file if anything but times has changed."""
        if not self.file:
            return
        now = self.document()
        if now == self.saved:
            return
        new = f"{self.file}.new"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            with open(new, "x", encoding="utf-8") as file:  # "x" opens no FIFO, and follows no link
                json.dump(now, file)
            os.replace(new, self.file)
            self.saved = now
        except OSError as e:
            logger.warning("%s cannot be written, so a restart of the scheduler starts all workers: %s", self.file, e)
            self.saved = now  # do not repeat the warning until something changes

    # What is there

    def update(self, now: float) -> None:
        """Read the registered workers and the waiting tasks of the scheduler."""
        self.registered = {}
        for ws in self.scheduler.workers.values():
            member = describe(ws)
            if member and (member.name in self.known or len(self.known) < WORKERS):
                member.seen = now
                self.known[member.name] = member
                self.registered[member.name] = ws
        names = {str(ws.name) for ws in self.scheduler.workers.values()}
        for name in [name for name, one in self.outside.items() if name in names or self.is_silent(one.asked, now)]:
            del self.outside[name]
        for name in names & self.starting.keys():
            if name in self.registered and self.registered[name].address in self.told:
                self.starting[name].since = now  # it starts after its drain
            else:
                del self.starting[name]
        self.starting = {name: one for name, one in self.starting.items() if self.is_in_time(one, now)}
        for name in [name for name, member in self.known.items() if now - member.seen > FORGET]:
            del self.known[name]
            self.stopped.discard(name)
        self.places = {name: place for name, place in self.places.items() if name in self.known or name in self.outside}
        kinds: dict[tuple, list[TaskState]] = {}
        for ts in islice(self.scheduler.unrunnable, TASKS):
            kind = restrictions(ts)
            if kind in kinds or len(kinds) < KINDS:
                kinds.setdefault(kind, []).append(ts)
        self.waiting = list(kinds.values())
        self.needed = set()
        if not self.waiting:
            return
        live = sorted(self.live(), key=lambda member: (member.name in self.stopped, natural(member.name)))
        for ts, *dummy in self.waiting:
            found = next((member.name for member in live if member.meets(ts)), None)
            if found:
                self.needed.add(found)

    def live(self) -> Iterator[Member]:
        """Yield the workers that are registered, on standby, or only absent for a short time, but within their hours."""
        now = time.time()
        for member in self.known.values():
            if member.name in self.outside:
                continue
            if member.name in self.registered or now - max(member.seen, self.started) < self.again + ABSENT:
                yield member

    @property
    def again(self) -> float:
        """Seconds between two questions of a worker on standby."""
        return max(1.0, (len(self.stopped) + len(self.outside)) / QUESTIONS)

    def is_silent(self, asked: float, now: float) -> bool:
        """Return whether a unit that waits has sent no message for too long."""
        return now - asked >= self.again + SILENT

    def outside_hours(self) -> list[Outside]:
        """Return the workers whose units wait outside of their hours."""
        now = time.time()
        names = {str(ws.name) for ws in self.scheduler.workers.values()}
        found = (one for one in self.outside.values() if one.name not in names and not self.is_silent(one.asked, now))
        return sorted(found, key=lambda one: natural(one.name))

    def on_standby(self, soon: bool = False) -> list[Member]:
        """Return the stopped workers whose units wait.

        With ``soon``, also those whose units will ask soon, because they drained, or because this scheduler started.
        """
        now = time.time()
        names = {*self.outside, *(str(ws.name) for ws in self.scheduler.workers.values())}

        def waits(member: Member) -> bool:
            if member.asked:
                return not self.is_silent(member.asked, now)
            return soon and now - max(member.seen, self.started) < self.again + ABSENT

        stopped = (self.known[name] for name in self.stopped - names if name in self.known)
        return sorted(filter(waits, stopped), key=lambda member: natural(member.name))

    def is_in_time(self, one: Starting, now: float) -> bool:
        """Return whether a worker that was told to start may still be on its way to the scheduler."""
        return now - one.since < self.again + START

    def coming(self) -> list[Starting]:
        """Return the workers that were told to start, and are not registered yet."""
        now = time.time()
        names = {*self.outside, *(str(ws.name) for ws in self.scheduler.workers.values())}
        found = (one for one in self.starting.values() if one.name not in names and self.is_in_time(one, now))
        return sorted(found, key=lambda one: natural(one.name))

    # Changes

    def stop(self, names: set[str]) -> None:
        self.stopped |= names
        for name in names:
            self.starting.pop(name, None)
        self.tell("stop", names)

    def start(self, names: set[str]) -> None:
        self.stopped -= names
        for member in [self.known[name] for name in names if name in self.known]:
            self.starting[member.name] = Starting(member.name, member.host, member.release, time.time())
        self.tell("start", names)

    def tell(self, what: str, names: set[str]) -> None:
        if names:
            listing = sorted(names, key=natural)
            more = f" and {len(listing) - 20} more" if len(listing) > 20 else ""
            self.note(f"{what} {', '.join(listing[:20])}{more}")

    def note(self, text: str) -> None:
        logger.info("%s", text)
        self.log.append(f"{now_as_text()} {text}")

    def drain(self, now: float) -> None:
        """Make the stopped workers drain whose results fit into the memory of the others."""
        staying = [
            ws
            for ws in self.scheduler.workers.values()
            if ws.status == Status.running and str(ws.name) not in self.stopped
        ]
        limit = FULL * sum(ws.memory_limit or math.inf for ws in staying)
        used = sum(ws.nbytes for ws in staying)
        used += sum(ws.nbytes for ws in self.scheduler.workers.values() if ws.address in self.told)
        for name in sorted(self.stopped & self.registered.keys(), key=natural):
            ws = self.registered[name]
            if ws.status not in (Status.running, Status.paused) or now - self.told.get(ws.address, 0) < RETRY:
                continue
            if ws.address not in self.told:
                if ws.actors or (ws.has_what and used + ws.nbytes > limit):
                    continue
                used += ws.nbytes
            self.told[ws.address] = now
            self.scheduler.worker_send(ws.address, {"op": DRAIN})
        self.told = {address: at for address, at in self.told.items() if address in self.scheduler.workers}

    async def adapt(self) -> None:
        """Decide for each pool, and make workers drain."""
        now = time.time()
        self.update(now)
        for name in {member.pool for member in self.known.values()}:
            pool = self.pools.setdefault(name, Pool(self, name))
            pool.configure(self.requests.get(name))
            if now - pool.adapted >= pool.tick * 0.9 or pool.is_fixed:
                pool.adapted = now
                if not pool.is_fixed:
                    self.start_needed(pool)
                await pool.adapt()
        self.drain(now)
        self.save()

    def start_needed(self, pool: Pool) -> None:
        """Start the workers for which a task waits that no running worker may run, for example one of a resource."""
        names = [member.name for member in pool.members if member.name in self.needed & self.stopped]
        self.start(set(names[: max(0, int(pool.maximum) - len(pool.plan))]))

    async def run(self) -> None:
        while True:
            try:
                await self.adapt()
            except Exception:
                logger.exception("The workers could not be scaled")
            interval = min((pool.tick for pool in self.pools.values()), default=1.0)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.wake.wait(), max(0.1, min(1.0, interval)))
            self.wake.clear()

    # Commands

    def ask(
        self,
        comm: Any,
        name: Any = None,
        release: Any = None,
        outside: Any = None,
        returns: Any = True,
        place: Any = None,
        **dummy: Any,
    ) -> dict[str, Any]:
        """Return whether a worker is wanted. A command for `daskops_runtime.standby`.

        ``outside`` tells until when the worker is outside of its hours. With ``returns`` false, it does not end, because the
        hours cannot be read.
        """
        member = self.known.get(name) if isinstance(name, str) else None
        release = release if is_text(release, TEXT) else ""
        if is_text(name) and is_text(outside, TEXT):
            host = get_address_host(comm.peer_address)
            self.note_outside(Outside(name, host, release, outside, returns is not False, time.time()), member)
            return self.answer_no(comm, name, place)
        back = self.outside.pop(name if isinstance(name, str) else "", None)
        if member is None or name not in self.stopped:
            if back:
                self.starting[back.name] = Starting(back.name, back.host, back.release, time.time())
            return {"wanted": True}
        member.seen = member.asked = time.time()
        member.release = release
        return self.answer_no(comm, member.name, place)

    def answer_no(self, comm: Any, name: str, place: Any) -> dict[str, Any]:
        """Note the place of the unit of a worker that is not wanted, and return the answer."""
        valid = read_place(place)
        if valid:
            self.places[name] = (valid, comm.peer_address)
        return {"wanted": False, "again": self.again, "journals": self.journal_requests.get(name, 0)}

    def note_outside(self, one: Outside, member: Member | None) -> None:
        """Note that a worker is outside of its hours."""
        if member:
            member.seen = one.asked
        self.starting.pop(one.name, None)
        beside = sum(other.host == one.host for other in self.outside.values())
        if one.name in self.outside or (len(self.outside) < WORKERS and beside < UNITS):
            self.outside[one.name] = one

    def chosen(self, pool: Any) -> dict[str, int]:
        """Return the number of known workers of a pool, or of each pool. Raises ValueError if there is none."""
        sizes: dict[str, int] = {}
        for member in self.known.values():
            sizes[member.pool] = sizes.get(member.pool, 0) + 1
        if not sizes:
            raise ValueError(NOT_ENABLED)
        if pool is None:
            return sizes
        if pool not in sizes:
            raise ValueError(f"There is no pool {str(pool)[:50]!r}. The pools are: {', '.join(sorted(sizes))}.")
        return {pool: sizes[pool]}

    def limits(self, pool: str) -> tuple[int, int]:
        """Return the smallest and the largest number of workers of a pool according to the inventory."""
        members = [member for member in self.known.values() if member.pool == pool]
        low = max((member.minimum for member in members), default=0)
        return low, max((member.maximum for member in members), default=WORKERS)

    def possible(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest number of workers of each pool that can run now, within the inventory."""
        counts = dict.fromkeys(sizes, 0)
        for member in self.live():
            if member.pool in counts:
                counts[member.pool] += 1
        found = {}
        for name, count in counts.items():
            low, high = self.limits(name)
            most = min(count, high)
            found[name] = min(low, most), most
        return found

    async def scale(self, comm: Any, n: Any = None, pool: Any = None) -> dict[str, Any]:
        """Run ``n`` workers of a pool or of all pools. Without ``n``, forget the requests of clients."""
        self.update(time.time())
        sizes = self.chosen(pool)
        if n is None:
            return await self.decide(comm, "scale to the default", pool, dict.fromkeys(sizes))
        limits = self.possible(sizes)
        numbers = divide_within(whole(n, "n"), sizes, limits)
        requests = {name: Request(number, number) for name, number in numbers.items()}
        least, most = (sum(pair) for pair in zip(*limits.values()))
        limited = limited_request({"n": n}, least, most)
        return await self.decide(comm, f"scale to {n}", pool, requests, limited)

    async def set_limits(
        self,
        comm: Any,
        minimum: Any = 0,
        maximum: Any = None,
        pool: Any = None,
        interval: Any = None,
        wait_count: Any = None,
        target_duration: Any = None,
    ) -> dict[str, Any]:
        """Adapt the number of workers of a pool, or of all pools together, to the work."""
        self.update(time.time())
        sizes = self.chosen(pool)
        low = whole(minimum, "minimum")
        high = sum(sizes.values()) if maximum is None else whole(maximum, "maximum")
        if low > high:
            raise ValueError(f"minimum is {low}, but maximum is {high}. Give a minimum that is not above it.")
        options: dict[str, Any] = {
            "interval": seconds(interval, "interval"),
            "wait_count": None if wait_count is None else whole(wait_count, "wait_count", 1),
            "target_duration": seconds(target_duration, "target_duration"),
        }
        limits = self.possible(sizes)
        lows, highs = divide_within(low, sizes, limits), divide_within(high, sizes, limits)
        least, most = (sum(pair) for pair in zip(*limits.values()))
        asked = {"minimum": low} if low > most else {} if maximum is None or high >= least else {"maximum": high}
        requests = {}
        for name in sizes:
            limit = None if maximum is None else max(lows[name], highs[name])
            requests[name] = Request(lows[name], limit, **options)
        what = f"adapt from {low} to {'all' if maximum is None else high}"
        return await self.decide(comm, what, pool, requests, limited_request(asked, least, most))

    async def stop_adapting(self, comm: Any, pool: Any = None) -> dict[str, Any]:
        """Keep the present number of workers of each pool."""
        self.update(time.time())
        requests = {}
        for name in self.chosen(pool):
            plan = self.pools[name].plan if name in self.pools else self.registered
            requests[name] = Request(len(plan), len(plan))
        return await self.decide(comm, "stop adapting", pool, requests)

    async def decide(
        self,
        comm: Any,
        what: str,
        pool: Any,
        requests: Mapping[str, Request | None],
        limited: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Store and note the request for each pool, act, and return the state. None forgets the request for a pool.

        ``limited`` is the result of `limited_request`, which becomes part of the note and of the state.
        """
        address = str(getattr(comm, "peer_address", "unknown"))
        for name, request in requests.items():
            self.requests.pop(name, None)
            if request:
                self.requests[name] = replace(request, since=now_as_text(), address=address)
        where = f" in pool {pool}" if pool else ""
        if limited:
            what += (
                f", effectively {limited['effective']}, because {limited['least']} to {limited['most']} are possible"
            )
        self.note(f"{what}{where}, requested from {address}")
        for one in self.pools.values():
            one.adapted = 0.0
        await self.adapt()
        self.wake.set()
        return {**self.describe(), "limited": limited}

    def describe(self) -> dict[str, Any]:
        """Return the state for clients."""
        standby = {member.name for member in self.on_standby()}
        outside = {one.name for one in self.outside_hours()}
        pools = {}
        for name, pool in self.pools.items():
            names = sorted((m.name for m in self.known.values() if m.pool == name), key=natural)
            pools[name] = {
                "minimum": min(pool.minimum, len(names)),
                "maximum": min(pool.maximum, len(names)),
                "adaptive": not pool.is_fixed,
                "workers": names,
                "wanted": [name for name in names if name not in self.stopped | outside],
                "standby": [name for name in names if name in standby],
                "outside_hours": [name for name in names if name in outside],
            }
        return {"pools": pools, "log": list(self.log)}

    def cause(self, member: Member) -> str:
        """Return why a worker is on standby.

        ``request`` if a client has asked for fewer workers, ``maximum`` if the inventory allows no more, and ``idle`` if
        there is no work for it.
        """
        pool, request = self.pools.get(member.pool), self.requests.get(member.pool)
        asked = math.inf if request is None or request.maximum is None else request.maximum
        if pool is None:  # the scheduler has just started
            return "idle" if asked == math.inf else "request"
        if len(pool.plan) < pool.maximum:
            return "idle"
        return "request" if asked <= self.limits(pool.name)[1] else "maximum"

    def describe_requests(self) -> list[dict[str, Any]]:
        """Return the requests of clients, and how many tasks wait for a worker that a request does not let run."""
        waiting = list(self.waiting)
        if not self.scheduler.running:  # then Dask queues most tasks, instead of letting them wait for a worker
            waiting.append(list(islice(getattr(self.scheduler, "queued", ()), TASKS)))
        live = list(self.live())
        wanted = [member for member in live if member.name not in self.stopped]
        waiting = [tasks for tasks in waiting if tasks and not any(member.meets(tasks[0]) for member in wanted)]
        found = []
        for name, request in self.requests.items():
            pool = self.pools.get(name)
            size = sum(member.pool == name for member in self.known.values())
            if not pool or not size:
                continue
            stopped = [member for member in live if member.pool == name and member.name in self.stopped]
            held = [tasks for tasks in waiting if any(member.meets(tasks[0]) for member in stopped)]
            found.append(
                {
                    "pool": name,
                    "minimum": min(pool.minimum, size),
                    "maximum": min(pool.maximum, size),
                    "workers": size,
                    "since": request.since,
                    "address": request.address,
                    "waiting": sum(map(len, held)) if pool.maximum < size else 0,
                }
            )
        return found


def read_json(path: str) -> Any:
    """Return the content of a JSON file where tasks can put anything: a FIFO that blocks, a link, or an endless file.

    Raises OSError or ValueError.
    """

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)

    with open(path, "rb", opener=opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is not a regular file")
        content = file.read(SIZE + 1)
    if len(content) > SIZE:
        raise ValueError("it is too large")
    return json.loads(content)


def read_member(saved: dict[str, Any]) -> Member:
    """Return a worker of the file. Raises an exception if it is not valid."""
    member = Member(**{one.name: saved[one.name] for one in fields(Member)})
    texts = (member.name, member.pool, member.address, member.host)
    if not all(map(is_text, texts)) or not isinstance(member.release, str) or member.mode not in (MANUAL, ADAPTIVE):
        raise ValueError("a worker is not valid")
    member.resources = {str(name): float(number) for name, number in member.resources.items()}
    member.minimum, member.maximum = whole(member.minimum, "minimum"), whole(member.maximum, "maximum")
    member.seen, member.asked = float(member.seen), 0.0
    return member


def read_request(saved: dict[str, Any]) -> Request:
    """Return a request of the file. Raises an exception if it is not valid."""
    if not is_text(saved["since"]) or not is_text(saved["address"]):
        raise ValueError("a request is not valid")
    return Request(
        whole(saved["minimum"], "minimum"),
        None if saved["maximum"] is None else whole(saved["maximum"], "maximum"),
        seconds(saved["interval"], "interval"),
        None if saved["wait_count"] is None else whole(saved["wait_count"], "wait_count", 1),
        seconds(saved["target_duration"], "target_duration"),
        saved["since"],
        saved["address"],
    )


def describe(ws: WorkerState) -> Member | None:
    """Return a registered worker; None if it cannot be stopped."""
    told = ws.extra.get(KEY)
    name = str(ws.name)
    if not isinstance(told, dict) or not is_text(name) or not is_text(told.get("pool")):
        return None
    try:
        minimum, maximum = whole(told.get("minimum"), "minimum"), whole(told.get("maximum"), "maximum")
        resources = {str(key): float(amount) for key, amount in ws.resources.items()}
    except (TypeError, ValueError):
        return None
    mode = ADAPTIVE if told.get("mode") == ADAPTIVE else MANUAL
    found = Member(name, told["pool"], mode, minimum, maximum, ws.address, ws.host, resources)
    release = ws.extra.get(releases.KEY)
    if is_text(release):
        found.release = str(release)
    return found


def information(mode: str) -> dict[str, Any]:
    """Return what a worker tells about itself, from the environment of its unit."""
    return {
        "mode": mode,
        "pool": os.environ.get("DASKOPS_POOL") or UNNAMED,
        "minimum": int(os.environ.get("DASKOPS_POOL_MINIMUM") or 0),
        "maximum": int(os.environ.get("DASKOPS_POOL_MAXIMUM") or WORKERS),
    }


def start_worker(worker: Worker) -> None:
    """Let the scheduler stop this worker, if its unit has ``DASKOPS_SCALING``."""
    # Remove the variable, because a worker that a task starts has no unit.
    mode = os.environ.pop("DASKOPS_SCALING", "")
    if mode:
        told = information(mode)
        worker.startup_information[KEY] = lambda worker: told
        worker.stream_handlers[DRAIN] = lambda **dummy: begin_drain(worker)


def begin_drain(worker: Worker) -> None:
    problem = drain.begin(worker, None)
    if problem:
        logger.warning("The worker is not needed, but it cannot drain: %s", problem)


def start(scheduler: Scheduler) -> None:
    """Take requests of clients, and questions of workers on standby."""
    scaling = _scalings[scheduler] = Scaling(scheduler, os.environ.get("DASKOPS_SCALING_FILE", ""))
    scheduler.handlers["daskops_standby"] = scaling.ask
    scheduler.handlers["daskops_scale"] = scaling.scale
    scheduler.handlers["daskops_adapt"] = scaling.set_limits
    scheduler.handlers["daskops_stop_adapting"] = scaling.stop_adapting
    scheduler.handlers["daskops_scaling"] = scaling.describe
    scaling.task = asyncio.create_task(scaling.run())


def describe_standby(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return the workers on standby, outside of their hours, or on their way back, for the summary.

    ``outside`` tells until when a worker is outside of its hours, or why it cannot start, if ``returns`` is false.
    ``starting`` tells whether it was told to start and is not registered yet, and ``cause`` why another one is on standby.
    """
    scaling = _scalings.get(scheduler)
    if not scaling:
        return []

    def about(one: Member | Outside | Starting) -> dict[str, Any]:
        found = {"name": one.name, "host": one.host, "release": one.release or None, "outside": None, "cause": None}
        return {**found, "returns": True, "starting": False}

    return [
        *({**about(one), "cause": scaling.cause(one)} for one in scaling.on_standby(soon=True)),
        *({**about(one), "outside": one.text, "returns": one.returns} for one in scaling.outside_hours()),
        *({**about(one), "starting": True} for one in scaling.coming()),
    ]


def describe_requests(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return the requests of clients in effect for the summary."""
    scaling = _scalings.get(scheduler)
    return scaling.describe_requests() if scaling else []


def waiting_places(scheduler: Scheduler) -> dict[str, Place]:
    """Return the places of the workers whose units are on standby or outside of their hours, by name."""
    scaling = _scalings.get(scheduler)
    if not scaling:
        return {}
    waiting: list[Member | Outside] = [*scaling.on_standby(), *scaling.outside_hours()]
    return {one.name: scaling.places[one.name][0] for one in waiting if one.name in scaling.places}


@contextlib.contextmanager
def request_journals(scheduler: Scheduler, name: str, number: int) -> Iterator[float]:
    """Ask the unit of a worker for lines of the journals of its host. Yield the seconds until its next question."""
    scaling = _scalings[scheduler]
    scaling.journal_requests[name] = number
    try:
        yield scaling.again
    finally:
        scaling.journal_requests.pop(name, None)


def is_connection_of(scheduler: Scheduler, name: str, comm: Any) -> bool:
    """Return whether the unit of a worker has asked over this connection."""
    scaling = _scalings.get(scheduler)
    return bool(scaling and name in scaling.places and scaling.places[name][1] == comm.peer_address)


def stop(scheduler: Scheduler) -> None:
    scaling = _scalings.pop(scheduler, None)
    if scaling and scaling.task:
        scaling.task.cancel()
        scaling.save()
