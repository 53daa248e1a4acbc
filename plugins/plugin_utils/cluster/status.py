# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a cluster, as `status.yml` writes it into a page and a JSON file.

The fields of the dataclasses are the keys of the JSON file. `tools/generate` writes its schema from them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import EXPIRES
from ansible_collections.daskops.cluster.plugins.module_utils.health import OUTSIDE, PAUSED, RETIRING, STANDBY, join
from ansible_collections.daskops.cluster.plugins.module_utils.release_names import with_label
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import printable
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import certain_difference
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import Groups, scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import kinds_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import state, stopped_services

#: Version of the JSON file. Increase it if older readers would misread new files. New keys do not need this.
SCHEMA = 1

#: Characters of a text from a host that are kept.
LENGTH = 2000

#: The states of hosts, services and workers, and the verdicts on the cluster, by how much attention they need.
LEVELS = {
    "good": ("healthy", "running", "standby", "outside hours"),
    "warning": ("degraded", "maintenance", "paused", "retiring", "starting", "not installed"),
    "bad": ("unhealthy", "stopped", "partly stopped", "unreachable", "failed", "missing", "silent"),
}

#: What a run of `site.yml` does to the hosts of each play of its plan. Plays of hosts that need nothing are left out.
ACTIONS = {
    "build": "build the environment",
    "stage": "stage a release",
    "maintenance": "stop the workers for maintenance",
    "scheduler": "start or restart the scheduler",
    "starting": "start workers",
    "rolling": "restart workers, in batches",
    "proxy_unwanted": "remove the proxy of the dashboard",
}

ByHost = Mapping[str, Mapping[str, Any]]


def about(meaning: str) -> dict[str, str]:
    """Return the metadata of a field, with its meaning for the schema and the reference."""
    return {"about": meaning}


@dataclass(frozen=True)
class SchedulerStatus:
    """The scheduler."""

    host: str = field(metadata=about("Its host; empty if another system runs the scheduler."))
    address: str = field(metadata=about("Its address for workers."))
    dashboard: str = field(metadata=about("URL of its dashboard."))
    answers: bool = field(metadata=about("Whether it answered."))
    release: str = field(metadata=about("Release that it runs, without the part after the dot; empty if unknown."))
    clients: int | None = field(metadata=about("Number of connected clients; null if unknown."))


@dataclass(frozen=True)
class HostStatus:
    """A host of the run."""

    name: str = field(metadata=about("Name in the inventory."))
    kinds: list[str] = field(metadata=about("Kinds of its services: `scheduler`, `worker`."))
    state: str = field(
        metadata=about(
            "`running`, `stopped`, `partly stopped`, `not installed`, `maintenance`, `unreachable`, or `failed` if it "
            "could not be inspected."
        )
    )
    reason: str = field(metadata=about("Why it could not be inspected; empty if it was."))
    stopped: list[str] = field(metadata=about("Its units that do not run."))
    address: str = field(metadata=about("Address at which its services listen; empty if unknown."))
    cpus: int | None = field(metadata=about("Number of CPUs; null if unknown."))
    memory: int | None = field(metadata=about("Memory in bytes; null if unknown."))
    gpus: int | None = field(metadata=about("Number of GPUs; null if unknown."))
    releases: list[str] = field(
        metadata=about("Releases that its services run or, if stopped, would run, with their labels.")
    )
    clock: float = field(
        metadata=about("Least possible difference between its clock and the controller's, in seconds.")
    )


@dataclass(frozen=True)
class WorkerStatus:
    """A worker that is registered or expected."""

    name: str = field(metadata=about("Name in Dask."))
    host: str = field(metadata=about("Host or address; empty if unknown."))
    state: str = field(
        metadata=about(
            "`running`, `paused`, `retiring`, `silent`, `missing`, `standby`, `outside hours`, `starting` if it was in one "
            "of these two states before, or another status of Dask."
        )
    )
    expected: bool = field(metadata=about("Whether the inventory has it."))
    threads: int | None = field(metadata=about("Number of threads; null if unknown."))
    processing: int | None = field(metadata=about("Number of tasks that it runs or has in its queue; null if unknown."))
    memory: int | None = field(metadata=about("Memory that it uses, in bytes; null if unknown."))
    memory_limit: int | None = field(metadata=about("Limit of its memory in bytes; null if unknown."))
    spilled: int | None = field(metadata=about("Data on its disk, in bytes; null if unknown."))
    release: str = field(metadata=about("Release that it runs, without the part after the dot; empty if unknown."))
    drift: list[str] = field(metadata=about("Settings that differ from the configuration of its release."))
    outside: str = field(
        default="",
        metadata=about("Until when it is outside of its hours, such as `until Mon 19:00`; empty if it is not."),
    )
    cause: str = field(
        default="",
        metadata=about(
            "Why it is on standby: `request` of a client, `maximum` of its pool in the inventory, or `idle`, because there "
            "is no work for it. Empty if it is not on standby, or unknown."
        ),
    )


@dataclass(frozen=True)
class ScalingRequest:
    """A request of a client that decides how many workers of a pool run."""

    pool: str = field(metadata=about("The pool."))
    minimum: int = field(metadata=about("Smallest number of workers, within the limits of the inventory."))
    maximum: int = field(metadata=about("Largest number of workers, within the limits of the inventory."))
    workers: int = field(metadata=about("Number of workers of the pool."))
    address: str = field(metadata=about("Address of the client."))
    since: str = field(metadata=about("When the client asked, with the offset from UTC."))
    waiting: int = field(metadata=about("Number of tasks that wait for workers because of the request."))


@dataclass(frozen=True)
class ReleaseStatus:
    """A release that services run."""

    release: str = field(metadata=about("Its name, which all services of the release share."))
    label: str = field(metadata=about("Its label; empty if none."))
    environment: str = field(metadata=about("Id of its environment."))
    python: str = field(metadata=about("Python of the environment."))
    origin: str = field(metadata=about("Lock, archive or directory from which the environment comes."))
    application: str = field(metadata=about("Id of the application; empty if none."))
    hosts: list[str] = field(metadata=about("Hosts that run it."))


@dataclass(frozen=True)
class CertificateStatus:
    """A certificate on a host."""

    host: str = field(metadata=about("The host."))
    kind: str = field(metadata=about("Kind of service that uses it: `scheduler` or `worker`."))
    expires: str = field(metadata=about("When it expires, in UTC."))
    days: int = field(metadata=about("Days until then; negative if it has expired."))


@dataclass(frozen=True)
class Change:
    """Something that `site.yml` would do."""

    action: str = field(metadata=about("What it would do."))
    hosts: list[str] = field(metadata=about("On which hosts."))


@dataclass(frozen=True)
class Status:
    """The status of a cluster."""

    schema: int = field(metadata=about(f"Version of this format: {SCHEMA}."))
    written: str = field(metadata=about("When the status was determined, in UTC."))
    verdict: str = field(metadata=about("`healthy`, `degraded`, `unknown` or `unhealthy`."))
    complete: bool = field(metadata=about("Whether all worker hosts are in the report. False with `--limit`."))
    problems: list[str] = field(metadata=about("A sentence for each problem."))
    scheduler: SchedulerStatus = field(metadata=about("The scheduler."))
    hosts: list[HostStatus] = field(metadata=about("The hosts of the run."))
    workers: list[WorkerStatus] = field(
        metadata=about("The workers that are registered or expected, also those on standby or outside of their hours.")
    )
    scaling_requests: list[ScalingRequest] = field(metadata=about("The requests of clients for workers, in effect."))
    memory_used: int = field(metadata=about("Memory that all workers use, in bytes."))
    memory_limit: int = field(metadata=about("Sum of their limits, in bytes."))
    tasks: dict[str, int] = field(metadata=about("Number of tasks by state."))
    releases: list[ReleaseStatus] = field(metadata=about("The releases that services run."))
    certificates: list[CertificateStatus] = field(metadata=about("The certificates of the services."))
    certificate_days: int | None = field(
        metadata=about("Days until the first certificate that a service has loaded expires; null if unknown.")
    )
    drift: list[str] = field(metadata=about("A sentence for each environment or change that makes hosts differ."))
    changes: list[Change] = field(metadata=about("What `site.yml` would change."))
    changes_unknown: str = field(metadata=about("Why it is not known what `site.yml` would change; empty if it is."))


def count_states(workers: Iterable[WorkerStatus]) -> str:
    """Return how many workers are in which state, such as ``2 running, 1 on standby of 3``."""
    listed = [worker.state for worker in workers]
    counts = {state: listed.count(state) for state in ("running", *listed)}
    texts = {STANDBY: "on standby", OUTSIDE: "outside of their hours"}
    return ", ".join(f"{number} {texts.get(state, state)}" for state, number in counts.items()) + f" of {len(listed)}"


def level(name: str) -> str:
    """Return how much attention a state or a verdict needs: ``good``, ``warning``, ``bad`` or ``unknown``."""
    return next((found for found, names in LEVELS.items() if name in names), "unknown")


def utc(seconds: float) -> str:
    """Return a time in seconds since the epoch as text, such as ``2026-11-29T21:05:42Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def clean(text: object) -> str:
    """Return a text from a host as one line without control characters."""
    return printable(" ".join(str(text).split()), LENGTH)


def python_of(environment: Mapping[str, Any]) -> str:
    """Return the Python of an environment as text: the build of a managed one, whose version may not change with it."""
    managed = environment.get("managed_python")
    return f"managed Python {managed}" if managed else f"Python {environment['python'] or 'unknown'}"


def origin_of(environment: Mapping[str, Any]) -> str:
    """Return the source of an environment as text: its path, archive or lock."""
    found = (f"{kind} {environment[kind]}" for kind in ("path", "archive", "lock") if environment.get(kind))
    return next(found, "lock unknown")


def status_of(
    now: float,
    groups: Groups,
    infos: ByHost,
    plan: Mapping[str, Any],
    health: Mapping[str, Any],
    changes: Mapping[str, Any],
    scheduler_info: Mapping[str, Any],
) -> Status:
    """Return the status of a cluster.

    Parameters
    ----------
    now : float
        Seconds since the epoch.
    groups : dict of list of str
        Groups of the inventory.
    infos : dict of dict
        Result of `host_info`, by host of the run. A result of a host that could not be inspected has ``msg``.
    plan : dict
        Result of the module `plan`.
    health : dict
        Result of `cluster_health`. It lacks ``verdict`` if the scheduler was not asked.
    changes : dict
        Result of the module `plan` for a change. It lacks ``plays`` if the change cannot be planned.
    scheduler_info : dict
        Result of `host_info` for the scheduler's host, if that host is not in the run.
    """
    maintenance, scheduler = plan["maintenance"], scheduler_of(groups)
    working = {host: info for host, info in infos.items() if host not in maintenance}
    asked = {**working, scheduler: scheduler_info} if scheduler and scheduler not in infos else working
    stopped = list(stopped_services(asked, scheduler))
    about_scheduler = health.get("scheduler") or {}
    planned = "plays" in changes
    lost = [host for host, info in working.items() if "running" not in info]
    unplanned = f"{join(lost)} could not be inspected." if lost else clean(changes.get("msg", "It was not planned."))
    return Status(
        schema=SCHEMA,
        written=utc(now),
        verdict=health.get("verdict") or _verdict(asked.get(scheduler, {})),
        complete=plan["complete"],
        problems=[*map(clean, stopped), *map(clean, _problems(health)), *plan.get("missing_packages", [])],
        scheduler=SchedulerStatus(
            host=scheduler,
            address=plan["addresses"]["scheduler"],
            dashboard=f"{plan['addresses']['dashboard']}/status",
            answers=health.get("detail", "none") != "none",
            release=_shared(about_scheduler.get("release")),
            clients=about_scheduler.get("clients"),
        ),
        hosts=[_host(host, info, kinds_of(host, groups), host in maintenance) for host, info in infos.items()],
        workers=list(_workers(health)),
        scaling_requests=[
            ScalingRequest(**{one.name: request[one.name] for one in fields(ScalingRequest)})
            for request in health.get("scaling_requests") or []
        ],
        memory_used=int((health.get("memory") or {}).get("used") or 0),
        memory_limit=int((health.get("memory") or {}).get("limit") or 0),
        tasks={name: int(number) for name, number in sorted((health.get("tasks") or {}).items())},
        releases=list(_releases(infos)),
        certificates=list(_certificates(infos, now)),
        certificate_days=health.get("certificate_days"),
        drift=[*map(clean, plan["mixed"]), *map(clean, plan["drift"])],
        changes=list(_changes(changes)) if planned else [],
        changes_unknown="" if planned else unplanned,
    )


def _verdict(scheduler: Mapping[str, Any]) -> str:
    """Return the verdict on a cluster whose scheduler was not asked, from the result of `host_info` for its host."""
    known = "running" in scheduler
    return "unhealthy" if known and "dask-scheduler.service" not in scheduler["running"] else "unknown"


def _problems(health: Mapping[str, Any]) -> list[str]:
    """Return the problems of a health check, or why there was none."""
    if "verdict" in health:
        return list(health.get("problems") or [])
    if health.get("unreachable"):
        return [f"The scheduler could not be asked: {health.get('msg', '')}"]
    return []


def _host(name: str, info: Mapping[str, Any], kinds: list[str], maintenance: bool) -> HostStatus:
    """Return the status of a host."""
    found, stopped = state(info)
    if found == "unreachable":
        found = "unreachable" if info.get("unreachable") or not info.get("failed") else "failed"
    inspected = "running" in info
    return HostStatus(
        name=name,
        kinds=kinds,
        state="maintenance" if maintenance else found,
        reason="" if inspected else clean(info.get("msg", "It does not answer.")),
        stopped=stopped,
        address=info.get("address", ""),
        cpus=len(info["cpus"]) if inspected else None,
        memory=info["memory"] if inspected else None,
        gpus=len(info["gpus"]) if inspected else None,
        releases=[
            with_label(release, environment["labels"].get(release))
            for environment in info.get("versions", [])
            for release in environment["releases"]
        ],
        clock=float(certain_difference(info.get("clock"))),
    )


def _workers(health: Mapping[str, Any]) -> Iterator[WorkerStatus]:
    """Yield the status of each registered worker, of each whose unit waits, and of each that is missing."""
    silent, unexpected = health.get("silent") or [], health.get("unexpected") or []
    for worker in health.get("workers") or []:
        told = worker.get("status") or "unknown"
        shown = "paused" if told in PAUSED else "retiring" if told in RETIRING else told
        yield WorkerStatus(
            name=worker["name"],
            host=worker.get("host") or "",
            state="silent" if worker["name"] in silent else shown,
            expected=worker["name"] not in unexpected,
            threads=_whole(worker.get("nthreads")),
            processing=_whole(worker.get("processing")),
            memory=_whole(worker.get("memory")),
            memory_limit=_whole(worker.get("memory_limit")),
            spilled=_whole(worker.get("spilled")),
            release=_shared(worker.get("release")),
            drift=list(worker.get("drift") or []),
        )
    unknown: dict[str, Any] = dict.fromkeys(("threads", "processing", "memory", "memory_limit", "spilled"))
    for absent in health.get("waiting") or []:
        shared = _shared(absent["release"])
        yield WorkerStatus(**{**absent, **unknown, "release": shared, "expected": True, "drift": []})
    for name in health.get("missing") or []:
        yield WorkerStatus(name=name, host="", state="missing", expected=True, release="", drift=[], **unknown)


def _shared(release: Any) -> str:
    """Return the part of a service's release that all services of the release share."""
    return str(release or "").partition(".")[0]


def _whole(value: Any) -> int | None:
    """Return a number as a whole number; None if it is unknown."""
    return None if value is None else int(value)


def _releases(infos: ByHost) -> Iterator[ReleaseStatus]:
    """Yield each release in each environment, with its hosts."""
    found: dict[tuple[str, str, str, str, str, str], list[str]] = {}
    for host, info in infos.items():
        for one in info.get("versions", []):
            for release in one["releases"]:
                label, application = (str(one[key].get(release, "")) for key in ("labels", "applications"))
                known = str(release), label, str(one["id"]), python_of(one), origin_of(one), application
                found.setdefault(known, []).append(host)
    for identity, hosts in sorted(found.items()):
        yield ReleaseStatus(*identity, hosts)


def _certificates(infos: ByHost, now: float) -> Iterator[CertificateStatus]:
    """Yield the certificates of each host's services. Certificates of a CA have no expiry there."""
    for host, info in infos.items():
        for kind, text in sorted((info.get("certificates") or {}).get("public", {}).items()):
            line = EXPIRES.match(text)
            if line:
                expires = int(re.sub(r"\D", "", line[0]))
                yield CertificateStatus(host, kind, utc(expires), int((expires - now) // 86400))


def _changes(plan: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what a run would do, from its plan."""
    plays = dict(plan["plays"])
    # After a rollback, a run with the variables of the installed release changes only the history of the host.
    plays["stage"] = [host for host in plays.get("stage", []) if host not in plays.get("installed", [])]
    for name, action in ACTIONS.items():
        if plays.get(name):
            yield Change(action, list(plays[name]))
