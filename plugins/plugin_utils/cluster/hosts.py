# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check all hosts together. ``hosts`` has the results of `host_info` by host."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import same_machine
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import minor
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out

Hosts = Mapping[str, Mapping[str, Any]]


def differing_pythons(hosts: Hosts) -> Iterator[str]:
    """Yield a sentence with the hosts whose Python differs, if there are any."""
    common, odd = odd_ones_out({host: minor(info["python"]["version"]) for host, info in hosts.items()})
    if odd:
        names = ", ".join(f"{host} ({version})" for host, version in sorted(odd.items()))
        yield (
            f"Python differs: {names}; the other hosts have {common}. Hosts exchange tasks as pickles and bytecode, so all "
            "need the same minor version. Set dask_python to one that every host has, or for all hosts to a version such as "
            f"'{common}' for a managed one."
        )


def no_scheduler_to_join(hosts: Hosts, address: str) -> Iterator[str]:
    """Yield a sentence for each reason why hosts cannot connect to a scheduler that another system runs."""
    reasons: dict[str, list[str]] = {}
    for host, info in hosts.items():
        if info["refused"]:
            reasons.setdefault(info["refused"], []).append(host)
    for reason, names in reasons.items():
        yield (
            f"{join(names)} cannot connect to dask_scheduler_address ({address}): {reason}. Start that scheduler, correct "
            "the address, or open its port."
        )


def too_many_for_windows(plans: Mapping[str, list[Any]], limit: int) -> Iterator[str]:
    """Yield a sentence if a scheduler on Windows would have more than ``limit`` workers. ``plans`` has them by host."""
    planned = sum(len(workers) for workers in plans.values())
    if planned > limit:
        yield (
            f"{planned} worker processes are planned for a scheduler on Windows, whose TCP server supports about 100, but "
            f"dask_windows_scheduler_max_workers is {limit}. Move the scheduler to Linux, or plan fewer processes "
            "(dask_worker_count) with more threads."
        )


def one_machine_twice(hosts: Hosts) -> Iterator[str]:
    """Yield a sentence for each machine that has several names in the inventory."""
    names: dict[str, list[str]] = {}
    for host, info in hosts.items():
        if info["machine"]:
            names.setdefault(info["machine"], []).append(host)
    for several in names.values():
        if len(several) > 1:
            yield str(same_machine(several))


def names_twice(plans: Mapping[str, list[Any]]) -> Iterator[str]:
    """Yield a sentence for each name of a worker on two hosts. ``plans`` has the workers by host."""
    holders: dict[str, str] = {}
    for host, workers in plans.items():
        for worker in workers:
            other = holders.setdefault(worker["name"], host)
            if other != host:
                yield f"{other} and {host} would both have a worker {worker['name']}. Rename the host or the pool."


def other_family(hosts: Hosts, scheduler: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each host that reaches the scheduler's host over IPv6 where it listens at IPv4, or vice versa.

    ``scheduler`` is the result of `host_info` for the scheduler's host; empty if the collection does not manage it.
    """
    listens = scheduler.get("address", "")
    for host, info in hosts.items() if listens else ():
        target = info["route"][1] if info["route"] else ""
        if target and ipaddress.ip_address(target).version != ipaddress.ip_address(listens).version:
            yield (
                f"{host} reaches the scheduler's host at {target}, and the scheduler would listen at {listens} only. Set "
                "dask_scheduler_host to an address, or to a name with such addresses, that all hosts reach over IPv4 or all "
                "over IPv6."
            )


def not_importable(variables: Hosts, workers: Collection[str], scheduler: str) -> Iterator[str]:
    """Yield a sentence for each directory from which workers import but the scheduler does not.

    Parameters
    ----------
    variables : dict of dict
        Variables of the hosts of the run, by host.
    workers : collection of str
        The worker hosts.
    scheduler : str
        The scheduler's host. Empty if another system runs the scheduler.
    """
    if scheduler not in variables:
        return
    known = variables[scheduler]["dask_scheduler_import_paths"]
    lacking: dict[str, list[str]] = {}
    for host in workers:
        for path in variables.get(host, {}).get("dask_worker_import_paths", []):
            if path not in known:
                lacking.setdefault(path, []).append(host)
    for path, names in lacking.items():
        yield (
            f"{join(names)}: dask_worker_import_paths has {path}, but dask_scheduler_import_paths does not. The scheduler "
            "reads the functions of tasks, so tasks with functions from this directory fail. Add it to both."
        )


def contacts_twice(plans: Mapping[str, list[Any]]) -> Iterator[str]:
    """Yield a sentence for each pair of hosts whose workers others would reach at the same address and port."""
    holders: dict[tuple[str, int], str] = {}
    found: dict[tuple[str, str, str], int] = {}
    for host, workers in plans.items():
        for worker in workers:
            for kind in ("port", "dashboard_port") if worker["contact_host"] else ():
                name, number = worker["contact_host"].lower(), worker[kind]
                other = holders.setdefault((name, number), host)
                if other != host:
                    found.setdefault((other, host, worker["contact_host"]), number)
    for (other, host, name), number in found.items():
        yield (
            f"{other} and {host} would both have a worker at port {number} of {name} (dask_worker_contact_host). Give one "
            "of them other ports: dask_worker_port and dask_worker_dashboard_port."
        )


def not_installed(hosts: Mapping[str, tuple[Mapping[str, Any], list[str]]]) -> Iterator[str]:
    """Yield a sentence for each host that has no release with services of its kinds.

    Parameters
    ----------
    hosts : dict of tuple
        Result of `host_info`, and the kinds of the host's services, by host.
    """
    for host, (info, kinds) in hosts.items():
        if set(kinds) - set(info["current"].get("services", {})):
            yield (
                f"{host} has no release with a {' and a '.join(kinds)}. Run site.yml first, or exclude the host with "
                "--limit."
            )


def workers_left(groups: Mapping[str, list[str]], playing: Collection[str]) -> Iterator[str]:
    """Yield a sentence if a run removes the scheduler but not all of its workers."""
    left = [host for host in groups.get("dask_workers", []) if host not in playing]
    scheduler = next(iter(groups.get("dask_scheduler", [])), "")
    if scheduler in playing and left:
        yield f"{scheduler} is the scheduler of {', '.join(left)}. Remove all of them together, without --limit."


def differing_packages(environments: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a sentence for each host whose packages differ from most other hosts. ``environments`` has packages by host."""
    common, odd = odd_ones_out({host: tuple(sorted(packages.items())) for host, packages in environments.items()})
    for host, packages in sorted(odd.items()):
        names = sorted({name for name, dummy in set(packages) ^ set(common)})
        versions = [
            f"{name} {dict(packages).get(name, 'missing')} (others: {dict(common).get(name, 'missing')})"
            for name in names
        ]
        yield (
            f"{host} has other packages than the other hosts: {', '.join(versions)}. Use the same architecture and Python "
            "on every host, or a lock without markers for them."
        )
