# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Dask services that do not run, from the results of `host_info`. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join

#: Tags with which `site.yml`, `start.yml`, `restart.yml` and `rollback.yml` start services of a kind.
STARTING = {
    "scheduler": {"all", "tagged", "config", "scheduler"},
    "worker": {"all", "tagged", "config", "worker"},
}


def starts(kind: str, tags: Iterable[str], skipped: Iterable[str]) -> bool:
    """Return whether a run with ``tags`` and without the ``skipped`` tags starts services of a kind."""
    return bool(STARTING[kind] & set(tags)) and not {"all", "tagged", "config", kind} & set(skipped)


def _installed(info: Mapping[str, Any]) -> set[str]:
    """Return the units of the current release of a host."""
    return {unit for kind in info["current"].get("services", {}).values() for unit in kind}


def _has_scheduler(info: Mapping[str, Any]) -> bool:
    """Return whether the current release of a host has a scheduler."""
    return "scheduler" in info["current"].get("services", {})


def state(info: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the state of a host's services.

    Parameters
    ----------
    info : dict
        Result of `host_info`. It is failed if the host is unreachable.

    Returns
    -------
    tuple of (str, list of str)
        ``unreachable``, ``not installed``, ``stopped``, ``partly stopped`` or ``running``, and the units that do not run.
    """
    if "running" not in info:
        return "unreachable", []
    installed = _installed(info)
    stopped = sorted(installed - set(info["running"]))
    if not installed:
        return "not installed", []
    if not stopped:
        return "running", []
    return ("partly stopped" if installed & set(info["running"]) else "stopped"), stopped


#: Sentence by state; ``{}`` stands for the hosts.
SENTENCES = {
    "unreachable": (
        "The state of the services on {} is not known, because Ansible could not connect. Check that the machine "
        "runs, and the connection variables."
    ),
    "not installed": "No services are installed on {}. Run site.yml.",
    "stopped": "All services are stopped on {}. Run start.yml.",
}


def stopped_services(hosts: Mapping[str, Mapping[str, Any]], scheduler: str = "") -> Iterator[str]:
    """Yield a sentence for each state in which services do not run.

    Parameters
    ----------
    hosts : dict of dict
        Result of `host_info`, by host. It is failed if the host is unreachable.
    scheduler : str, optional
        The scheduler's host.
    """
    states = {host: state(info) for host, info in hosts.items()}
    for name, sentence in SENTENCES.items():
        these = [host for host, (what, dummy) in states.items() if what == name]
        if these and len(these) == len(hosts) > 1 and name != "unreachable":
            yield f"The cluster is {name}. Run {'start' if name == 'stopped' else 'site'}.yml."
        elif these:
            yield sentence.format(join(these))
    for host, (what, units) in states.items():
        if what == "partly stopped":
            yield f"{host}: {join(units)} {'is' if len(units) == 1 else 'are'} stopped. Run start.yml."
        if host == scheduler and what not in ("unreachable", "not installed") and not _has_scheduler(hosts[host]):
            yield f"{host} has no scheduler installed. Run site.yml."


def scheduler_not_running(
    hosts: Mapping[str, Mapping[str, Any]], scheduler: str, info: Mapping[str, Any], task_vars: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a sentence if a run would start workers without a running scheduler.

    Parameters
    ----------
    hosts : dict of dict
        Result of `host_info` for the hosts of the run.
    scheduler : str
        The scheduler's host. Empty if another system runs the scheduler.
    info : dict
        Result of `host_info` for the scheduler's host, if that host is not in the run.
    task_vars : dict
        Variables of an action plugin, with the groups and the tags of the run.
    """
    tags, skipped = task_vars["ansible_run_tags"], task_vars["ansible_skip_tags"]
    workers = [host for host in task_vars["groups"].get("dask_workers", []) if host in hosts]
    if not scheduler or not workers or not starts("worker", tags, skipped):
        return
    if scheduler not in hosts:
        yield from no_scheduler(scheduler, info, workers)
    elif not starts("scheduler", tags, skipped):
        yield from no_scheduler(scheduler, hosts[scheduler], workers, tags)


def no_scheduler(
    scheduler: str, info: Mapping[str, Any], workers: Sequence[str], tags: Sequence[str] | None = None
) -> Iterator[str]:
    """Yield a sentence if workers would be started but their scheduler does not run.

    Parameters
    ----------
    scheduler : str
        The scheduler's host.
    info : dict
        Result of `host_info` for that host. It is failed if the host is unreachable.
    workers : list of str
        Hosts whose workers the run starts.
    tags : list of str, optional
        Tags of the run, if they exclude the start of the scheduler.
    """
    without = "--tags" if tags else "--limit"
    their = f"the workers on {join(workers)}"
    if "running" not in info:
        why = info.get("msg", "it does not answer")
        yield (
            f"{scheduler}, the scheduler's host, could not be inspected ({why}), so it is not known whether a scheduler "
            f"for {their} runs. Start this host, or correct its connection variables."
        )
    elif not _has_scheduler(info):
        yield (
            f"No scheduler for {their} is installed on {scheduler}. Run site.yml without {without} first"
            f"{'' if tags else f', or include {scheduler} in the limit'}."
        )
    elif "dask-scheduler.service" not in info["running"]:
        yield (
            f"The scheduler on {scheduler} is stopped, so {their} could not connect to it. Run start.yml --limit "
            f"{scheduler} first, or this playbook without {without}."
        )
