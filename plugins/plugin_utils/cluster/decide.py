# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run decides from the state of the hosts and the releases that they are to run.

``info`` is what `host_info` returned for a host, ``release`` the host's release as the task `release` returned it, and
``plan`` what `plan_host` returned. Arguments in the plural hold these by host. A task may have been skipped or have failed:
then its result has none of the keys of its module.
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
    """The running units of a kind that a change to ``wanted`` stops or restarts. Both arguments hold releases by unit."""
    return interrupted({unit: release for unit, release in running.items() if kind_of(unit) == kind}, wanted)


def interrupts_scheduler(state: str, info: Result, release: Result) -> bool:
    """Whether a run stops a scheduler that serves, which then loses all tasks and results that it knows of."""
    wanted = {} if state == "restarted" else release.get("services", {}).get("scheduler", {})
    running = info.get("running") or {}
    return bool(running.get(SCHEDULER)) and bool(units_to_restart(running, wanted, "scheduler"))


def is_staged(info: Result, content: str) -> bool:
    """Whether a host's current release has this content (see `tree_digest`), served, and no later one was staged."""
    current = info.get("current") or {}
    return bool(
        current
        and current["content"] == content
        and set(current["services"]) <= set(current["settled"])
        and not info["unfinished"]
    )


def untried(known: Iterable[str], services: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The units whose release has neither served on the host nor been tried there.

    Parameters
    ----------
    known : iterable of str
        The releases of services that have.
    services : dict of dict
        The release to run by unit, by kind.
    """
    return sorted(
        unit for by_unit in services.values() for unit, release in by_unit.items() if release not in set(known)
    )


def runs_release(info: Result, release: str, kind: str, services: Mapping[str, str]) -> bool:
    """Whether nothing has to be switched, started or stopped so that a host's services of a kind run a release.

    ``services`` holds the release by unit.
    """
    current = info.get("current") or {}
    running = {unit: runs for unit, runs in (info.get("running") or {}).items() if kind_of(unit) == kind}
    return bool(
        current and current["id"] == release and kind in current["settled"] and not any(changes(running, services))
    )


def scheduler_is_pending(work: Result) -> bool:
    """Whether the scheduler keeps its release because it has work.

    ``work`` is the result of the task that waits until the scheduler has none. The task is skipped where nothing would be
    lost.
    """
    return not work.get("idle", True)


def scheduler_is_older(work: Result, change: Result, info: Result, release: Result, releases: ByHost) -> bool:
    """Whether the scheduler runs an older release than the workers: this run has left it so, or an earlier run has.

    An earlier run has left it so if the scheduler does not run its host's current release, or if a change is unfinished and
    the scheduler's environment is that of no worker.

    Parameters
    ----------
    work, change : dict
        Results of the tasks that wait until the scheduler has no work, and that change it.
    info, release : dict
        Of the scheduler's host. The release is empty in a run that is limited to other hosts.
    releases : dict
        The releases of all hosts.
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
    """The workers that `cluster_health` has to find: ``name`` and ``release`` of each.

    They are those of the release to come, or else of the current one. A host that has no release lacks its first worker.
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
    """The services that hosts try before a release is activated: ``scheduler``, a flag, and ``workers``, units, by host.

    Of the services whose release never served, these are the scheduler and one worker of each pool with other settings;
    hosts whose workers have the same settings do not all try them. Pools with GPUs are left out: a worker would take memory
    of a GPU from those that run. Hosts that try nothing are left out.
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
