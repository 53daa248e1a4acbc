# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's read-only HTTP route of the scheduler. A module of ``distributed.scheduler.http.routes``.

The route is needed because Dask's ``json/identity.json`` answers HTTP 500 while tasks run, and no route of Dask has versions
or releases.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from distributed import Scheduler
from distributed.http.utils import RequestHandler
from distributed.metrics import time
from distributed.scheduler import WorkerState
from distributed.versions import get_versions

from daskops_runtime import certificates, configuration, release, scaling

#: Version of the document. Increase it if older readers would misread new documents. New keys do not need this.
SCHEMA = 1

#: Limits for values that workers and clients send: characters of a string, items of a collection, levels of nesting.
LENGTH, ITEMS, DEPTH = 300, 200, 3
#: Characters and items, together, of all values of a worker. A real worker has about 1,000.
TOTAL = 40_000


class Shortener:
    """Converts the values of one worker or client to JSON types, and shortens them to the limits.

    Workers can send metrics, versions and names of any type. A single worker must not make the document too long or
    impossible to serialize. `TOTAL` is about 1 MB of JSON at most.
    """

    def __init__(self) -> None:
        self.left = TOTAL

    def plain(self, value: Any, depth: int = DEPTH) -> Any:
        """Return a value as JSON types. Items above a limit are left out."""
        self.left -= 1
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**63 else None
        if isinstance(value, str):
            self.left -= len(value[:LENGTH])
            return value[:LENGTH]
        if depth == 0 or not isinstance(value, (dict, list, tuple, set, frozenset)):
            return None
        some = itertools.takewhile(lambda _: self.left > 0, itertools.islice(value, ITEMS))
        if isinstance(value, dict):
            return {str(self.plain(key, 0))[:LENGTH]: self.plain(value[key], depth - 1) for key in some}
        return [self.plain(item, depth - 1) for item in some]


def plain(value: Any) -> Any:
    """Return the result of a `Shortener` for a single value."""
    return Shortener().plain(value)


def tell(question: Callable[[WorkerState], Any], ws: WorkerState, shortener: Shortener) -> Any:
    """Return the shortened result of a function of a worker's state; None if the worker's data makes it fail."""
    try:
        return shortener.plain(question(ws))
    except Exception:
        return None


class Versions:
    """The distinct package versions of a cluster.

    Workers with the same packages share one entry and refer to its number.
    """

    def __init__(self) -> None:
        self.numbers: dict[tuple, int] = {}

    def number(self, packages: dict[str, str | None] | None) -> int | None:
        """Return the number of the entry for these packages; None if they are unknown."""
        if not packages or not isinstance(packages, dict):
            return None
        texts = {package: None if version is None else str(version) for package, version in packages.items()}
        return self.numbers.setdefault(tuple(sorted(texts.items())), len(self.numbers))

    def to_list(self) -> list[dict[str, str | None]]:
        return [dict(packages) for packages in self.numbers]


#: Values of a worker that the health check needs; sizes are in bytes.
QUESTIONS: dict[str, Callable[[WorkerState], Any]] = {
    "name": lambda ws: str(ws.name),
    "address": lambda ws: ws.address,
    "host": lambda ws: ws.host,
    "status": lambda ws: ws.status.name,
    "release": lambda ws: ws.extra.get(release.KEY),
    "label": lambda ws: ws.extra.get(release.LABEL_KEY),
    "pid": lambda ws: ws.pid,
    "nanny": lambda ws: ws.nanny,
    "nthreads": lambda ws: ws.nthreads,
    "resources": lambda ws: ws.resources,
    "dashboard_port": lambda ws: ws.services.get("dashboard"),
    "processing": lambda ws: len(ws.processing),
    "memory_limit": lambda ws: ws.memory_limit or None,
    "memory": lambda ws: ws.memory.process,
    "managed": lambda ws: ws.memory.managed,
    "spilled": lambda ws: ws.memory.spilled,
    "certificate_expires": lambda ws: certificates.read_expiry(ws.metrics),
    "drift": lambda ws: ws.metrics.get(configuration.KEY),
}


def describe_worker(ws: WorkerState, versions: Versions, now: float) -> dict[str, Any]:
    """Return the values of a worker that the health check needs. A value is None if the worker's data is invalid."""
    shortener = Shortener()
    told = {key: tell(question, ws, shortener) for key, question in QUESTIONS.items()}
    packages = tell(lambda ws: ws.versions.get("packages"), ws, shortener)
    return {
        **told,
        "name": told["name"] or ws.address,
        "heartbeat_age": tell(lambda ws: round(max(0.0, now - ws.last_seen), 3), ws, shortener),
        "versions": versions.number(packages),
    }


def summarize(scheduler: Scheduler) -> dict[str, Any]:
    """Return the scheduler's description of the cluster.

    Returns
    -------
    dict
        ``schema``, ``scheduler``, ``workers`` (a list sorted by name), ``standby`` (workers on standby, outside of
        their hours, or told to start after that, see `scaling.describe_standby`), ``scaling_requests`` (of clients) and
        ``versions``. ``versions`` is a list of different ``{package: version or None}``. The key ``versions``
        of the scheduler and of each worker is an index into this list, or None if unknown.
    """
    now = time()
    versions = Versions()
    tasks: Counter[str] = Counter()
    for group in scheduler.task_groups.values():  # Dask keeps these counts; iterating over all tasks could take seconds
        tasks.update(group.states)
    del tasks["forgotten"]
    return {
        "schema": SCHEMA,
        "scheduler": {
            "id": str(scheduler.id),
            "address": scheduler.address,
            "status": scheduler.status.name,
            "started": scheduler.time_started,
            "release": release.get_release(),
            "versions": versions.number(get_versions()["packages"]),
            "certificate_expires": certificates.get_expiry(scheduler),
            "drift": configuration.get_drift(),
            "workers": len(scheduler.workers),
            "tasks": dict(tasks),
            # "fire-and-forget" is an internal client of the scheduler
            "clients": len(scheduler.clients.keys() - {"fire-and-forget"}),
        },
        "workers": sorted(
            (describe_worker(ws, versions, now) for ws in scheduler.workers.values()), key=lambda worker: worker["name"]
        ),
        "standby": scaling.describe_standby(scheduler),
        "scaling_requests": plain(scaling.describe_requests(scheduler)),
        "versions": versions.to_list(),
    }


class Summary(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.write(json.dumps(summarize(self.server), default=str))


routes: list[tuple] = [(r"daskops/summary.json", Summary, {})]
