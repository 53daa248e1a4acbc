# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what a run changes, from the state of the hosts and their planned releases.

``info`` is the result of `host_info` for a host, ``release`` is the planned release of the host, and ``plan`` is the result
of `plan_host`. Arguments in the plural contain these by host. The result of a skipped or failed task lacks the keys of its
module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.restarts import changes, interrupted
from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import where

SCHEDULER = "dask-scheduler.service"

Result = Mapping[str, Any]
ByHost = Mapping[str, Result]


def units_to_restart(running: Mapping[str, str | None], wanted: Mapping[str, str], kind: str) -> list[str]:
    """Return the running units of a kind that a change to ``wanted`` stops or restarts. Arguments have releases by unit."""
    return interrupted({unit: release for unit, release in running.items() if kind_of(unit) == kind}, wanted)


def interrupts_scheduler(state: str, info: Result, release: Result) -> bool:
    """Return whether a run stops a running scheduler, which then loses all of its tasks and results."""
    wanted = {} if state == "restarted" else release.get("services", {}).get("scheduler", {})
    running = info.get("running") or {}
    return bool(running.get(SCHEDULER)) and bool(units_to_restart(running, wanted, "scheduler"))


def interrupts_maintenance(info: Result) -> bool:
    """Return whether workers of a host in maintenance run or start at boot; False if the host is unreachable."""
    running = [unit for unit in info.get("running") or {} if kind_of(unit) == "worker"]
    return bool(running) or "worker" in (info.get("current") or {}).get("enabled", [])


def is_current(info: Result, content: str) -> bool:
    """Return whether a host's current release has served and has this content (`tree_digest`)."""
    current = info.get("current") or {}
    return bool(current and current["content"] == content and set(current["services"]) <= set(current["settled"]))


def is_staged(info: Result, content: str) -> bool:
    """Return whether a host's current release is the latest staged one, has served and has this content.

    After a rollback, the current release is not the latest staged one. A run with its variables then only notes in the
    history of the host that the reverted change is over.
    """
    return is_current(info, content) and not info["unfinished"]


def untried(known: Iterable[str], services: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the units whose release has neither served nor been tried on the host.

    Parameters
    ----------
    known : iterable of str
        Releases of services that have served or were tried.
    services : dict of dict
        Release to run, by kind and unit.
    """
    return sorted(
        unit for by_unit in services.values() for unit, release in by_unit.items() if release not in set(known)
    )


def runs_release(info: Result, release: str, kind: str, services: Mapping[str, str]) -> bool:
    """Return whether a host's services of a kind already run a release, so that nothing must be started or stopped.

    ``services`` has the release by unit.
    """
    current = info.get("current") or {}
    running = {unit: runs for unit, runs in (info.get("running") or {}).items() if kind_of(unit) == kind}
    return bool(
        current and current["id"] == release and kind in current["settled"] and not any(changes(running, services))
    )


def scheduler_is_pending(work: Result) -> bool:
    """Return whether the scheduler keeps its release because it has work.

    ``work`` is the result of the task that waits until the scheduler has no work. The task is skipped if no work can be
    lost.
    """
    return not work.get("idle", True)


def scheduler_is_older(work: Result, change: Result, info: Result, release: Result, releases: ByHost) -> bool:
    """Return whether the scheduler runs an older release than the workers, after this run or an earlier one.

    The scheduler is older because of an earlier run if it does not run the current release of its host, or if a change is
    unfinished and no worker has the scheduler's environment.

    Parameters
    ----------
    work, change : dict
        Results of the task that waits until the scheduler has no work, and of the task that changes it.
    info, release : dict
        Result of `host_info` and planned release of the scheduler's host. Empty release if ``--limit`` excludes the host.
    releases : dict
        Planned releases of all hosts.
    """
    if scheduler_is_pending(work):
        return True
    changed = "restarted" in change  # this run has changed the scheduler
    environment = release.get("environment", "") if changed else info.get("scheduler_environment", "")
    of_workers = {one["environment"] for one in releases.values() if one.get("services", {}).get("worker")}
    if info.get("unfinished") and environment and of_workers and environment not in of_workers:
        return True
    runs = (info.get("running") or {}).get(SCHEDULER)
    current = (info.get("current") or {}).get("services", {}).get("scheduler", {})
    return not changed and bool(runs) and runs != current.get(SCHEDULER)


def expected_workers(infos: ByHost, releases: ByHost) -> list[dict[str, str]]:
    """Return the workers that `cluster_health` expects, each with ``name`` and ``release``.

    These are the workers of the planned release or, without one, of the current release. For a host without any release, the
    first worker is expected, so that the health check reports it as missing.
    """
    expected = []
    for host, about in infos.items():
        release = releases.get(host) or about.get("current")
        if not release:
            expected.append({"name": f"{host}-1"})
            continue
        for unit, service in sorted(release["services"].get("worker", {}).items()):
            instance = unit.split("@")[1].removesuffix(".service")
            expected.append({"name": f"{host}-{instance}", "release": service})
    return expected


def services_to_try(releases: ByHost, plans: ByHost) -> dict[str, dict[str, Any]]:
    """Return the services to start in a trial, by host: ``scheduler`` (bool) and ``workers`` (list of units).

    These are services whose release never served: the scheduler, and one worker for each different pool in the cluster.
    Pools with GPUs are omitted, because the trial would take GPU memory from running workers. Hosts without services to try
    are omitted.
    """
    found: dict[str, dict[str, Any]] = {}
    known: set[tuple[Any, ...]] = set()
    for host, release in releases.items():
        untried = set(release.get("untried") or [])
        if not untried:
            continue
        workers = plans[host]["workers"]
        gpus = {worker["pool"] for worker in workers if worker["gpu"]}
        chosen = []
        for worker in workers:
            unit, pool = worker["unit"], worker["pool"]
            if unit not in untried or pool in gpus:
                continue
            shared = release["services"]["worker"][unit].partition(".")[0]
            key = (shared, pool, release["pools"].get(where(pool, "")), worker["nanny_port"] is not None)
            if key not in known:
                known.add(key)
                chosen.append(unit)
        if SCHEDULER in untried or chosen:
            found[host] = {"scheduler": SCHEDULER in untried, "workers": chosen}
    return found
