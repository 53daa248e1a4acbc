# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's metrics of a service, which Dask serves with its own metrics at ``/metrics``.

A scrape runs on the event loop. So it reads only values that the process has, and two links. A thread reads the state of the
scratch directory's file system, which can hang.
The names begin with ``daskops_``, because a later version of Dask may use any name with ``dask_``. An exception is
``dask_worker_task_errors_total`` of `daskops_runtime.task_errors`.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

from distributed import Scheduler, Worker
from distributed.core import Server
from distributed.metrics import time

from daskops_runtime import certificates, configuration, control, drain, release, restart_count, scaling
from daskops_runtime.journal import unit_of

logger = logging.getLogger("distributed.daskops.metrics")

#: Links in ``dask_home`` to the release that services run, and to the release that they are to run.
LINKS = ("current", "staged")
#: Valid names and labels of releases, and largest number of releases in the metrics. A worker can send any text.
NAME, NAMES = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+-]{0,63}"), 20
#: Name of releases that are not valid or too many.
OTHER = "other"
#: Seconds that a scrape waits for the state of a file system.
PATIENCE = 0.1
#: Largest size of a file that is read, in bytes.
LIMIT = 1024**2

_collector: Collector | None = None


class Collector:
    """A collector of `prometheus_client` for one server."""

    def __init__(self, server: Scheduler | Worker, directory: str | None):
        self.server = server
        self.unit = unit_of(directory)
        self.restarts = restart_count.take_numbers()
        self.scratch = FileSystem()
        self.failed = False

    def describe(self) -> list[Any]:
        return []  # otherwise the registry calls `collect` before the server is ready

    def collect(self) -> Iterator[Any]:
        server = self.server
        yield from self.guarded(lambda: release_metrics(self.unit))
        yield from self.guarded(lambda: certificate_metrics(server))
        yield from self.guarded(lambda: restart_metrics(self.restarts))
        if isinstance(server, Scheduler):
            yield from self.guarded(lambda: scheduler_metrics(server))
        else:
            yield from self.guarded(lambda: drain_metrics(server))
            yield from self.guarded(lambda: memory_metrics(server, self.scratch))

    def guarded(self, part: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """Yield the metrics of a part. A part that fails must not affect the others, nor those of Dask."""
        try:
            yield from part()
        except Exception:
            if not self.failed:
                logger.warning("Some metrics are not available", exc_info=True)
            self.failed = True


def gauge(name: str, help_text: str, value: float) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, help_text, value=value)


def labeled(name: str, help_text: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Any:
    """Return a gauge with a value for each tuple of values of the labels."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def release_metrics(unit: str | None) -> Iterator[Any]:
    name = release.get_release()
    if name:
        key = (name, release.get_label() or "")
        yield labeled("daskops_release_info", "Release that this process runs", ["release", "label"], {key: 1.0})
    differing = {link: differs(link, unit, name) for link in LINKS}
    yield labeled(
        "daskops_release_drift",
        "Whether the release of this service in a link of the host differs from that of this process",
        ["link"],
        {(link,): float(value) for link, value in differing.items() if value is not None},
    )
    yield gauge(
        "daskops_drifted_settings",
        "Number of settings that differ from the configuration of the release",
        len(configuration.get_drift()),
    )


def restart_metrics(numbers: Mapping[str, int] | None) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    if numbers is None:
        return
    family = CounterMetricFamily(
        "daskops_restarts",
        "Restarts of the service by systemd since it was started by hand or by a playbook, by the end of the process before",
        labels=["result"],
    )
    for result, number in numbers.items():
        family.add_metric([result], number)
    yield family


def certificate_metrics(server: Server) -> Iterator[Any]:
    expiry = certificates.get_expiry(server)
    if expiry is not None:
        yield gauge(
            "daskops_certificate_not_after_timestamp_seconds",
            "End of the certificate in use, in seconds since the epoch",
            expiry,
        )


def scheduler_metrics(scheduler: Scheduler) -> Iterator[Any]:
    now, workers = time(), list(scheduler.workers.values())
    yield labeled(
        "daskops_scheduler_workers",
        "Number of workers by release",
        ["release", "label"],
        count_releases((ws.extra.get(release.KEY), ws.extra.get(release.LABEL_KEY)) for ws in workers),
    )
    standby = [worker["name"] for worker in scaling.describe_standby(scheduler)]
    yield gauge(
        "daskops_scheduler_standby_workers",
        "Number of workers that are on standby, are outside of their hours, or start after that",
        len(standby),
    )
    yield labeled(
        "daskops_scheduler_worker_standby",
        "Worker that is on standby, is outside of its hours, or starts after that",
        ["worker"],
        {(name,): 1.0 for name in standby},
    )
    yield gauge(
        "daskops_scheduler_heartbeat_age_maximum_seconds",
        "Seconds since the last heartbeat of the worker that has been silent for the longest time",
        max((now - ws.last_seen for ws in workers), default=0.0),
    )


def drain_metrics(worker: Worker) -> Iterator[Any]:
    running = drain.get_drain(worker)
    state = running.stage if running else "none"
    yield labeled(
        "daskops_worker_drain_state",
        "Whether the worker does not drain (none), waits for its tasks, or moves its data",
        ["state"],
        {(name,): float(name == state) for name in ("none", "tasks", "data")},
    )
    yield gauge(
        "daskops_worker_drain_duration_seconds",
        "Seconds since the begin of the drain",
        monotonic() - running.begin if running else 0.0,
    )


class FileSystem:
    """The state of a file system, read by one thread at a time, which may hang."""

    def __init__(self) -> None:
        self.state: os.statvfs_result | None = None
        self.thread: threading.Thread | None = None

    def read(self, path: str) -> os.statvfs_result:
        """Return the state, or the last one if the file system does not answer. Raises OSError if there is none."""
        if not (self.thread and self.thread.is_alive()):
            self.thread = threading.Thread(target=self.update, args=[path], daemon=True)
            self.thread.start()
            self.thread.join(PATIENCE)
        if self.state is None:
            raise OSError(f"the state of the file system of {path} cannot be read")
        return self.state

    def update(self, path: str) -> None:
        try:
            self.state = os.statvfs(path)
        except OSError:
            self.state = None


def memory_metrics(worker: Worker, file_system: FileSystem) -> Iterator[Any]:
    limit = worker.memory_manager.memory_limit
    if limit:
        yield gauge("daskops_worker_memory_limit_bytes", "Memory limit of the worker", limit)
    scratch = file_system.read(worker.local_directory)
    yield gauge(
        "daskops_worker_scratch_size_bytes",
        "Size of the file system to which the worker spills",
        scratch.f_blocks * scratch.f_frsize,
    )
    yield gauge(
        "daskops_worker_scratch_free_bytes",
        "Free space of the file system to which the worker spills",
        scratch.f_bavail * scratch.f_frsize,
    )


def count_releases(releases: Iterator[tuple[Any, Any]]) -> dict[tuple[str, ...], float]:
    """Return the number of workers by release and label; see `NAMES`."""
    found: Counter[tuple[str, ...]] = Counter()
    for name, label in releases:
        shared = name.partition(".")[0] if isinstance(name, str) else ""
        shared = shared if NAME.fullmatch(shared) else OTHER
        found[shared, label if isinstance(label, str) and NAME.fullmatch(label) else ""] += 1
    kept = dict(found.most_common(NAMES))
    rest = found.total() - sum(kept.values())
    return {key: float(value) for key, value in {**kept, (OTHER, ""): kept.get((OTHER, ""), 0) + rest}.items() if value}


def differs(link: str, unit: str | None, name: str | None) -> bool | None:
    """Return whether a release of the host has another release of a unit, or lacks the unit; None if that is unknown."""
    current = os.path.dirname(os.path.dirname(os.environ.get("DASK_CONFIG", "")))
    path = os.path.join(os.path.dirname(current), link)
    if not (current and unit and name and os.path.isdir(path)):
        return None
    return planned_release(os.path.realpath(path), unit) != name


@functools.lru_cache(maxsize=8)  # the content of a release never changes
def planned_release(path: str, unit: str) -> str | None:
    """Return the release of a unit according to the manifest in the directory of a host's release; None without the unit."""
    try:
        release: str = json.loads(read(os.path.join(path, "manifest.json")))["services"][unit]["release"]
    except (KeyError, TypeError, ValueError):
        return None
    return release


def read(path: str) -> str:
    """Return the content of a small file; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LIMIT)
    except OSError:
        return ""


def start(server: Scheduler | Worker) -> None:
    """Add the metrics of the first server of this process. A task may start another one."""
    global _collector
    if _collector:
        return
    try:
        import prometheus_client
    except ImportError:
        return
    _collector = Collector(server, control.get_directory(server))
    prometheus_client.REGISTRY.register(_collector)


def stop(server: Server) -> None:
    """Remove the metrics of a server."""
    global _collector
    if _collector and _collector.server is server:
        import prometheus_client

        prometheus_client.REGISTRY.unregister(_collector)
        _collector = None
