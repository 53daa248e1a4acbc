"""The scheduler's read-only HTTP routes of our own: a module of ``distributed.scheduler.http.routes``.

Dask's ``json/identity.json`` answers 500 while tasks run, and no route of Dask's tells versions or releases.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from distributed import Scheduler
from distributed.http.utils import RequestHandler
from distributed.metrics import time
from distributed.scheduler import WorkerState
from distributed.versions import get_versions

from daskops_runtime import certificates, configuration, release

#: Raised by one when a reader of an older document would misread a newer one. Keys may be added without it.
SCHEMA = 1


class Versions:
    """The distinct package versions of a cluster, each held once

    Hundreds of workers with the same software make one entry, and each of them the number of it.
    """

    def __init__(self):
        self.numbers: dict[tuple, int] = {}

    def number(self, packages: dict[str, str | None] | None) -> int | None:
        """Number of the entry for these packages; None where they are unknown"""
        if not packages:
            return None
        return self.numbers.setdefault(tuple(sorted(packages.items())), len(self.numbers))

    def to_list(self) -> list[dict[str, str | None]]:
        return [dict(packages) for packages in self.numbers]


def describe_worker(ws: WorkerState, versions: Versions, now: float) -> dict[str, Any]:
    """What a health check wants to know of one worker; sizes in bytes, times in seconds"""
    memory = ws.memory
    return {
        "name": str(ws.name),
        "address": ws.address,
        "host": ws.host,
        "status": ws.status.name,
        "release": ws.extra.get(release.KEY),
        "pid": ws.pid,
        "nanny": ws.nanny,
        "nthreads": ws.nthreads,
        "resources": ws.resources,
        "dashboard_port": ws.services.get("dashboard"),
        "processing": len(ws.processing),
        "memory_limit": ws.memory_limit or None,
        "memory": memory.process,
        "managed": memory.managed,
        "spilled": memory.spilled,
        "heartbeat_age": round(max(0.0, now - ws.last_seen), 3),
        "versions": versions.number((ws.versions or {}).get("packages")),
        "certificate_expires": ws.metrics.get(certificates.KEY),
        "drift": ws.metrics.get(configuration.KEY),
    }


def summarize(scheduler: Scheduler) -> dict[str, Any]:
    """The cluster as the scheduler sees it

    Returns
    -------
    dict
        ``schema``, ``scheduler``, ``workers`` (a list sorted by name) and ``versions``. ``versions`` is a list of
        distinct ``{package: version or None}``, and the key of that name in the scheduler and in every worker is an
        index into it, or None where it is unknown.
    """
    now = time()
    versions = Versions()
    tasks: Counter[str] = Counter()
    for group in scheduler.task_groups.values():  # counted by Dask already; to walk all tasks could take seconds
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
            # "fire-and-forget" is a client of the scheduler's own making
            "clients": len(scheduler.clients.keys() - {"fire-and-forget"}),
        },
        "workers": sorted(
            (describe_worker(ws, versions, now) for ws in scheduler.workers.values()), key=lambda worker: worker["name"]
        ),
        "versions": versions.to_list(),
    }


class Summary(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.write(json.dumps(summarize(self.server), default=str))


routes: list[tuple] = [(r"daskops/summary.json", Summary, {})]
