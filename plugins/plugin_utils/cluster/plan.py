# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: what each host is to run, and what has to be done for that.

It is made once, on the controller, of the variables of all hosts and of the results of `host_info`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import decide
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import addresses, host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import networks
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import (
    Groups,
    asked_host,
    members,
    scheduler_of,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import plan_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import (
    kinds_of,
    planning_settings,
    pools_of,
    release_settings,
    user_home,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import Release, release_of

#: What a purpose of a run has services do.
STATES = {"restart": "restarted", "stop": "stopped", "remove": "absent"}

ByHost = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cluster:
    """What a plan follows from.

    Parameters
    ----------
    groups : dict of list of str
        The inventory's groups.
    playing : list of str
        The hosts of the run, which ``--limit`` may have left.
    values : dict of dict
        The variables of the hosts of the run, complete, by host.
    infos : dict of dict
        What `host_info` returned, by host of the run that it could look at.
    scheduler_info : dict
        The same of the scheduler's host, which may not be in the run; empty if it was not looked at.
    """

    groups: Groups
    playing: list[str]
    values: ByHost = field(repr=False)
    infos: ByHost = field(repr=False)
    scheduler_info: Mapping[str, Any] = field(repr=False)

    @property
    def scheduler(self) -> str:
        """The scheduler's host; empty if another system runs the scheduler."""
        return scheduler_of(self.groups)

    @property
    def asked_host(self) -> str:
        """The host from which the scheduler is asked."""
        return asked_host(self.groups, self.playing)

    @property
    def members(self) -> list[str]:
        """All hosts of the cluster."""
        return members(self.groups)

    @property
    def common(self) -> Mapping[str, Any]:
        """Variables of a host of the run, for those that all hosts share."""
        return self.values.get(self.asked_host) or next(iter(self.values.values()))

    @property
    def addresses(self) -> dict[str, str]:
        """Where the scheduler and its pages are reached."""
        settings = {name.removeprefix("dask_"): value for name, value in self.common.items()}
        return addresses(settings, self.scheduler_info)

    @property
    def scheduler_host(self) -> str:
        """Name or address under which hosts reach the scheduler."""
        return host_of(self.addresses["scheduler"])


def plan_hosts(cluster: Cluster, hosts: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """The plan of each host's services, as `plan_host` returns it, and what is wrong, by host."""
    plans, problems = {}, {}
    scheduler_host = cluster.scheduler_host
    for host in hosts:
        values, info = cluster.values[host], cluster.infos[host]
        kinds = kinds_of(host, cluster.groups)
        try:
            pools = pools_of(values)
        except ValueError as error:
            problems[host] = [f"{host}: {line}" for line in str(error).splitlines()]
            continue
        settings = planning_settings(
            values, pools, kinds, len(cluster.members) == 1, scheduler_host, user_home(values, info)
        )
        plans[host], found = plan_host(host, info, settings)
        if found:
            problems[host] = found
    return plans, problems


def host_settings(values: Mapping[str, Any], info: Mapping[str, Any], known_addresses: Mapping[str, str]) -> Settings:
    """What the release of a host is made of, from its variables and its result of `host_info`."""
    return release_settings(values, pools_of(values), known_addresses["scheduler"], user_home(values, info))


def host_release(
    settings: Settings, kinds: list[str], plan: Mapping[str, Any], environment: str, info: Mapping[str, Any]
) -> Release:
    """The release of a host; raises ValueError as `release_of` does."""
    return release_of(settings, kinds, plan, environment, info["python"]["prefix"])


def releases(
    cluster: Cluster, plans: ByHost, environments: ByHost
) -> tuple[dict[str, dict[str, Any]], list[str], list[str]]:
    """The release of each host, what is wrong, and the hosts that do not have their release yet.

    A release is as `host_info` describes one, with ``untried`` and ``pools``; see `decide.services_to_try`.
    """
    found: dict[str, dict[str, Any]] = {}
    problems: dict[str, None] = {}
    lacking = []
    known_addresses = cluster.addresses
    for host, plan in plans.items():
        info = cluster.infos[host]
        settings = host_settings(cluster.values[host], info, known_addresses)
        try:
            release = host_release(settings, kinds_of(host, cluster.groups), plan, environments[host]["id"], info)
        except ValueError as error:
            problems[str(error)] = None
            continue
        found[host] = {
            **release.described(),
            "untried": decide.untried(info.get("known", []), release.services),
            "pools": release.pools,
        }
        if not decide.is_staged(info, release.content(cluster.values[host]["dask_home"])):
            lacking.append(host)
    return found, list(problems), lacking


def firewalls(
    cluster: Cluster, look_up: Callable[[str], Callable[[], list[str]]], filtered: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Who may connect to the ports, as `firewall.networks` returns it; nothing if no host has a firewall of ours.

    Parameters
    ----------
    look_up : callable
        By name of a host, a function that finds out its addresses.
    filtered : list of str
        All hosts of the cluster with a firewall of ours.
    """
    if not filtered:
        return {"cluster": {}, "clients": {}}, []
    workers = cluster.groups.get("dask_workers", [])
    # The scheduler's address is what hosts take for it.
    others = [host for host in workers if host not in [*cluster.playing, cluster.scheduler]]
    common = cluster.common
    return networks(
        cluster.infos,
        {host: look_up(host) for host in others},
        [host for host in filtered if host not in cluster.playing],
        common["dask_firewall_peers"],
        common["dask_firewall_clients"],
    )


def activation(state: str, infos: ByHost, chosen: ByHost) -> dict[str, list[str]]:
    """The hosts whose services have to change, so that they run the chosen releases.

    Parameters
    ----------
    state : str
        What services are to do; see `STATES`.
    infos, chosen : dict of dict
        Result of `host_info`, and the release to run, by host.

    Returns
    -------
    dict of list of str
        ``scheduler``; ``starting``, hosts with no worker to restart; and ``rolling``, hosts whose workers are restarted.
    """
    found: dict[str, list[str]] = {"scheduler": [], "starting": [], "rolling": []}
    for host, release in chosen.items():
        for kind, services in release.get("services", {}).items():
            wanted = {} if state == "restarted" else services
            restarts = decide.units_to_restart(infos[host]["running"], wanted, kind)
            if state == "started" and decide.runs_release(infos[host], release["id"], kind, services):
                continue
            found["scheduler" if kind == "scheduler" else "rolling" if restarts else "starting"].append(host)
    return found
