# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a run: the release of each host, and the hosts that must change.

The plan is made once, on the controller, from the variables of all hosts and the results of `host_info`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import unmanaged
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import differing
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import decide
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import host_of, in_url
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.command_lines import open_notebooks
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import networks
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import plan_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import (
    kinds_of,
    planning_settings,
    pools_of,
    release_settings,
    user_home,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.hosts import (
    contacts_twice,
    differing_packages,
    differing_pythons,
    names_twice,
    no_scheduler_to_join,
    not_importable,
    not_installed,
    one_machine_twice,
    other_family,
    too_many_for_windows,
    workers_left,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster, Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import Release, release_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rollback import rollback_report, rollback_targets
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import lacking_in, lacking_on
from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed_releases import mixed_releases
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import scheduler_not_running

#: State of the services by purpose of the run; ``started`` for all other purposes.
STATES = {"restart": "restarted", "stop": "stopped", "remove": "absent"}

NO_CERTIFICATES = (
    "dask_tls is false, so the cluster has no certificates to renew. To encrypt its connections, set it to true and run "
    "site.yml."
)

#: The purposes for which services may change.
CHANGING = ("change", "start", "restart", "rollback")

ByHost = Mapping[str, Mapping[str, Any]]


class Rejected(Exception):
    """The run cannot continue; ``problems`` has a sentence for each reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = list(problems)


def check(problems: Iterable[str]) -> None:
    """Raise `Rejected` if there are problems."""
    found = list(problems)
    if found:
        raise Rejected(found)


def present(found: dict[str, dict[str, Any]], infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Return the packages of planned environments that already exist, by host."""
    there = {host: infos[host]["environments"].get(about["id"]) for host, about in found.items()}
    return {host: about["packages"] for host, about in there.items() if about}


def connection(cluster: Cluster, lock: str) -> dict[str, Any]:
    """Return the addresses, certificates and versions that clients need to connect to the cluster."""
    common = cluster.common
    files: list[Path] = []
    if common["dask_tls"]:
        directory = Path(common["dask_tls_directory"])
        # During a rotation, clients trust the old and the new CA.
        files = [directory / "ca.pem", *directory.glob("previous-ca.pem")]
        check(f"{file} does not exist. Run site.yml first." for file in files if not file.exists())
    python = next(filter(None, map(version_of, cluster.infos.values())), "")
    return {
        "address": cluster.addresses["client"],
        "dashboard": f"{cluster.addresses['dashboard']}/status",
        "authorities": [file.read_text(encoding="utf-8") for file in files],
        "certificates": common["dask_tls_directory"],
        "lock": lock,
        "python": ".".join(python.split(".")[:2]),
    }


def not_inspected(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if a host of the run was not inspected: a plan for the others alone could cut it off."""
    names = [host for host in cluster.playing if host not in cluster.infos]
    if names:
        yield (
            f"{', '.join(names)}: not inspected in this run. Run the role daskops.cluster.preflight for all hosts of the "
            "cluster in one play, with the strategy ansible.builtin.linear. Leave out hosts that Ansible cannot reach with "
            "--limit."
        )


def scheduler_in_maintenance(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if the scheduler's host is in maintenance: without its scheduler, there is no cluster."""
    if cluster.scheduler in cluster.maintenance:
        yield (
            f"{cluster.scheduler}: dask_maintenance is true, but this is the scheduler's host, without which the cluster "
            "does not work. Set dask_maintenance for worker hosts only. To stop the whole cluster, run stop.yml."
        )


@dataclass(frozen=True)
class Outside:
    """Functions that get further input of a plan: packages from the index, addresses, and other hosts' variables.

    Parameters
    ----------
    environments : callable
        Takes results of `host_info` and variables; returns what `environments.environments` does. May fetch packages.
    addresses_of : callable
        Takes a host outside the run; returns a function that looks up its addresses.
    resolve : callable
        Returns the addresses of a name.
    filtered_hosts : callable
        Returns the hosts of the cluster, inside or outside the run, whose firewall the collection manages.
    """

    environments: Callable[[ByHost, Mapping[str, Any]], tuple[dict[str, dict[str, Any]], list[str]]]
    addresses_of: Callable[[str], Callable[[], list[str]]]
    resolve: Callable[[str], list[str]]
    filtered_hosts: Callable[[], list[str]]


def make_plan(cluster: Cluster, purpose: str, lock: str, outside: Outside) -> dict[str, Any]:
    """Return the plan of a run, as the module `plan` does.

    Parameters
    ----------
    cluster : Cluster
        The inventory, the variables and the state of the hosts.
    purpose : str
        Purpose of the run, an option of the module `plan`.
    lock : str
        Path of the lock file.
    outside : Outside
        Functions that get further input.

    Raises
    ------
    Rejected
        If there are problems. Its ``problems`` has a sentence for each.
    """
    everyone, maintenance = cluster, cluster.maintenance
    check(scheduler_in_maintenance(cluster))
    # `remove.yml` removes hosts in maintenance, too.
    if purpose != "remove":
        cluster = cluster.without(maintenance)
    if purpose not in ("show", "inspect", "connect"):
        check(not_inspected(cluster))
    result = _common(cluster, purpose, lock)
    result["maintenance"] = maintenance
    if purpose == "change":
        chosen = _change(cluster, result, outside)
    elif purpose == "show":
        chosen = _show(cluster, result)
    else:
        chosen = _keep(cluster, purpose, result)
    plays = result["plays"]
    if purpose in CHANGING:
        plays["maintenance"] = [
            host for host in maintenance if decide.interrupts_maintenance(everyone.infos.get(host, {}))
        ]
        plays.update(activation(result["state"], cluster.infos, of_groups(cluster, chosen)))
    # Only hosts whose services change need the content of their units.
    changed = {host for name in ("scheduler", "starting", "rolling") for host in plays.get(name, [])}
    for host, info in cluster.infos.items():
        release = chosen.get(host) or {}
        result["hosts"].setdefault(host, {}).update(
            release={key: value for key, value in release.items() if key != "units" or host in changed},
            kinds=kinds_of(host, cluster.groups),
            contact_host=cluster.values[host]["dask_worker_contact_host"],
            proxy_host=in_url(info["address"]),
            interrupts=decide.interrupts_scheduler(result["state"], info, release),
            unwanted_firewalls=[
                name
                for name in info["firewall"]["installed"]
                if purpose == "remove" or name != cluster.values[host]["dask_firewall"]
            ],
        )
    result.update(_about_health(cluster, chosen))
    return result


def _common(cluster: Cluster, purpose: str, lock: str) -> dict[str, Any]:
    """Return the part of the result that every run needs."""
    common, addresses = cluster.common, cluster.addresses
    elsewhere = common["dask_scheduler_address"] or common["dask_scheduler_dashboard_url"]
    return {
        "purpose": purpose,
        "state": STATES.get(purpose, "started"),
        "back": purpose == "rollback",
        "asked_host": cluster.asked_host,
        "scheduler": cluster.scheduler,
        "addresses": addresses,
        "certificates": {
            "directory": common["dask_tls_directory"],
            "scheduler_hosts": [
                common["dask_scheduler_host"],
                common["dask_client_scheduler_host"],
                host_of(addresses["url"]),
            ],
            "dashboard_hosts": {} if elsewhere else _dashboard_hosts(common, addresses),
            "made": common["dask_tls_certificates"] == "made",
            "joins": bool(common["dask_scheduler_address"]),
            "days": common["dask_tls_days"],
            "warn_days": common["dask_tls_warn_days"],
        },
        "lock": lock,
        "label": str(common["dask_release_label"]),
        "complete": not set(cluster.groups.get("dask_workers", [])) - set(cluster.playing),
        "hosts": {},
        "plays": {"serial": common["dask_serial"]},
        "warnings": [],
        "hint": "",
    }


def _dashboard_hosts(common: Mapping[str, Any], addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the hosts in URLs of the dashboard that uses the scheduler's certificate, each with its variable."""
    host = host_of(addresses["url"])
    found = {host: "dask_dashboard_proxy" if host == "localhost" else "dask_scheduler_host"}
    client = common["dask_client_scheduler_host"]
    # Browsers see another certificate if the proxy has its own.
    if client and not (common["dask_dashboard_proxy"] and common["dask_dashboard_proxy_certificate"]):
        found.setdefault(client, "dask_client_scheduler_host")
    return found


def _change(cluster: Cluster, result: dict[str, Any], outside: Outside) -> dict[str, Any]:
    """Return the release of each host for a run that may install something."""
    common, infos = cluster.common, cluster.infos
    plans, wrong = plan_hosts(cluster, infos)
    check(problem for host in wrong for problem in wrong[host])
    workers = {host: plan["workers"] for host, plan in plans.items()}
    everyone = {
        **({cluster.asked_host: cluster.scheduler_info} if version_of(cluster.scheduler_info) else {}),
        **infos,
    }
    problems = [
        *differing_pythons(everyone),
        *one_machine_twice(everyone),
        *scheduler_not_running(infos, cluster.scheduler, cluster.scheduler_info, cluster.run),
        *no_scheduler_to_join(infos, common["dask_scheduler_address"]),
        *names_twice(workers),
        *contacts_twice(workers),
        *other_family(infos, cluster.scheduler_info),
    ]
    if common["dask_scheduler_platform"] == "windows":
        problems += too_many_for_windows(workers, common["dask_windows_scheduler_max_workers"])
    check(problems)
    firewall, problems = firewalls(cluster, outside)
    check(problems)
    found, problems = outside.environments(infos, common)
    check([*problems, *differing_packages(present(found, infos))])
    chosen, problems, lacking = releases(cluster, plans, found)
    check(problems)
    for host, plan in plans.items():
        networks = firewall["cluster"].get(host, {})
        result["hosts"][host] = {
            **plan,
            "user": cluster.values[host]["dask_user"],
            "environment": found[host],
            "networks": {"cluster": networks, "clients": firewall["clients"]},
        }
    foreign = {host: info["firewall"]["foreign"] for host, info in infos.items()}
    # A cluster that works needs no warning at each run.
    still = {host: names for host, names in foreign.items() if not any(infos[host]["running"].values())}
    clocks = {host: info["clock"] for host, info in infos.items()}
    unread = not_importable(cluster.values, cluster.groups.get("dask_workers", []), cluster.scheduler)
    result["warnings"] += [*differing(clocks), *unmanaged(still), *lacking_in(found, workers), *unread]
    if cluster.scheduler in infos:
        arguments = cluster.values[cluster.scheduler]["dask_scheduler_arguments"]
        result["warnings"] += open_notebooks(cluster.scheduler, arguments, common["dask_dashboard_proxy"])
    result["hint"] = "\n".join(unmanaged(foreign))
    # A change that was begun and not finished goes on, because its hosts belong together. A new one is newer than all
    # before, also where the controller's clock is behind another controller's.
    begun = max((info["unfinished"] for info in infos.values()), default=0)
    newest = max((info["current"].get("staged", 0) for info in infos.values()), default=0)
    result["change"] = begun or max(int(time.time()), newest + 1)
    result["plays"].update(_to_do(cluster, found, chosen, plans, lacking))
    result["missing_packages"] = lacking_on(infos, plans, found)
    return chosen


def _to_do(
    cluster: Cluster,
    found: dict[str, dict[str, Any]],
    chosen: dict[str, dict[str, Any]],
    plans: dict[str, dict[str, Any]],
    lacking: list[str],
) -> dict[str, list[str]]:
    """Return the hosts of each play that prepares a change."""
    values, infos = cluster.values, cluster.infos
    trials = decide.services_to_try({host: chosen[host] for host in lacking if values[host]["dask_trial"]}, plans)
    for host, trial in trials.items():
        chosen[host]["trial"] = trial
    scheduler = [host for host in infos if "scheduler" in kinds_of(host, cluster.groups)]
    proxied = [host for host in scheduler if values[host]["dask_dashboard_proxy"]]
    return {
        "proxy": proxied,
        "proxy_unwanted": [host for host in infos if host not in proxied and infos[host]["proxy"]["port"] > 0],
        "build": [host for host in found if found[host]["id"] not in infos[host]["environments"]],
        "stage": lacking,
        "trial": list(trials),
        "firewall": [
            host for host in infos if values[host]["dask_firewall"] != "none" or infos[host]["firewall"]["installed"]
        ],
    }


def _show(cluster: Cluster, result: dict[str, Any]) -> dict[str, Any]:
    """Add the plan of each host to the result for display, with the problems of hosts that have no valid plan."""
    plans, wrong = plan_hosts(cluster, cluster.infos)
    for host, info in cluster.infos.items():
        result["hosts"][host] = {
            "machine": {name: info[name] for name in ("cpus", "cores", "cpu_limit", "memory", "nodes", "gpus")},
            "ssh_port": cluster.ssh_ports.get(host, 22),
            "problems": wrong.get(host, []),
            **plans.get(host, {}),
        }
    return {}


def _keep(cluster: Cluster, purpose: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return the release of each host for a run that installs nothing."""
    infos = cluster.infos
    if purpose == "rotate" and not cluster.common["dask_tls"]:
        check([NO_CERTIFICATES])
    if purpose in ("start", "restart", "rollback", "rotate"):
        check(not_installed({host: (info, kinds_of(host, cluster.groups)) for host, info in infos.items()}))
        check(scheduler_not_running(infos, cluster.scheduler, cluster.scheduler_info, cluster.run))
    if purpose == "connect" and cluster.common["dask_client_state"] == "present":
        result["connection"] = connection(cluster, result["lock"])
    elif purpose == "connect" or (purpose == "remove" and set(cluster.members) <= set(cluster.playing)):
        result["connection"] = {"address": cluster.addresses["client"], "authorities": []}
    if purpose == "remove":
        check(workers_left(cluster.groups, cluster.playing))
        pools, wrong = pools_by_host(cluster, infos)
        check(problem for host in wrong for problem in wrong[host])
        for host, by_name in pools.items():
            scratch = dict.fromkeys(pool["scratch_directory"] for pool in by_name.values())
            result["hosts"][host] = {"scratch": list(scratch)}
    result["missing_packages"] = lacking_on(infos, {}, {})
    if purpose != "rollback":
        return {host: info["current"] for host, info in infos.items()}
    targets, problems = rollback_targets(infos)
    check(problems)
    result["rollback_report"] = list(rollback_report(infos, targets))
    return {host: dict(release) for host, release in targets.items()}


def _about_health(cluster: Cluster, chosen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the expected workers and releases, with which the health check compares the cluster."""
    workers = cluster.groups.get("dask_workers", [])
    expected = {}
    for host in workers:
        if host in cluster.infos or host in cluster.missing:
            info = cluster.infos.get(host, {})
            expected[host] = decide.expected_workers({host: info}, {host: chosen[host]} if chosen.get(host) else {})
    asked = cluster.asked_host
    services = chosen.get(asked, {}).get("services", {}).get("scheduler", {})
    return {
        # Without this route, the scheduler does not report its release.
        "scheduler_release": services.get(decide.SCHEDULER, "") if cluster.common["dask_summary_route"] else "",
        "expected": expected,
        "mixed": mixed_releases(cluster.infos, chosen, cluster.values),
        "scheduler_older": decide.scheduler_is_older(
            {}, {}, cluster.scheduler_info, chosen.get(asked, {}), {h: r for h, r in chosen.items() if r}
        ),
    }


def pools_by_host(
    cluster: Cluster, hosts: Iterable[str]
) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, list[str]]]:
    """Return the pools of workers of each host, as `pools_of` returns them, and the problems by host."""
    pools, problems = {}, {}
    for host in hosts:
        try:
            pools[host] = pools_of(cluster.values[host])
        except ValueError as error:
            problems[host] = [f"{host}: {line}" for line in str(error).splitlines()]
    return pools, problems


def plan_hosts(cluster: Cluster, hosts: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return the plan of each host's services, as `plan_host` returns it, and the problems by host."""
    plans = {}
    scheduler_host = cluster.scheduler_host
    pools, problems = pools_by_host(cluster, hosts)
    for host in pools:
        values, info = cluster.values[host], cluster.infos[host]
        kinds = kinds_of(host, cluster.groups)
        settings = planning_settings(
            values, pools[host], kinds, len(cluster.members) == 1, scheduler_host, user_home(values, info)
        )
        plans[host], found = plan_host(host, info, settings)
        if found:
            problems[host] = found
    return plans, problems


def host_settings(values: Mapping[str, Any], info: Mapping[str, Any], known_addresses: Mapping[str, str]) -> Settings:
    """Return the settings of a host's release, from its variables and its result of `host_info`."""
    return release_settings(values, pools_of(values), known_addresses["scheduler"], user_home(values, info))


def host_release(
    settings: Settings, kinds: list[str], plan: Mapping[str, Any], environment: str, info: Mapping[str, Any]
) -> Release:
    """Return the release of a host. Raises ValueError as `release_of` does."""
    return release_of(settings, kinds, plan, environment, info["python"]["prefix"])


def releases(
    cluster: Cluster, plans: ByHost, environments: ByHost
) -> tuple[dict[str, dict[str, Any]], list[str], list[str]]:
    """Return the release of each host, the problems, and the hosts that do not have their release yet.

    A release has the form of `host_info`, with ``untried`` and ``pools``; see `decide.services_to_try`.
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
        # Staging also creates the services' user.
        if not info["account"] or not decide.is_staged(info, release.content(cluster.values[host]["dask_home"])):
            lacking.append(host)
    return found, list(problems), lacking


def firewalls(cluster: Cluster, outside: Outside) -> tuple[dict[str, Any], list[str]]:
    """Return the networks that may connect to the ports, as `firewall.networks` does; none without a managed firewall."""
    filtered = outside.filtered_hosts()
    if not filtered:
        return {"cluster": {}, "clients": {}}, []
    workers = cluster.groups.get("dask_workers", [])
    # The scheduler's address needs no look-up: the hosts report it in ``route``.
    others = [host for host in workers if host not in [*cluster.playing, cluster.scheduler]]
    common = cluster.common
    contacts = {host: cluster.values[host]["dask_worker_contact_host"] for host in cluster.infos if host in workers}
    return networks(
        cluster.infos,
        {host: outside.addresses_of(host) for host in others},
        {host: functools.partial(outside.resolve, name) for host, name in contacts.items() if name},
        [host for host in filtered if host not in cluster.playing],
        common["dask_firewall_peers"],
        common["dask_firewall_clients"],
    )


def version_of(info: Mapping[str, Any]) -> str:
    """Return the version of a host's interpreter; empty if it was not run."""
    return str((info.get("python") or {}).get("version", ""))


def of_groups(cluster: Cluster, chosen: ByHost) -> dict[str, dict[str, Any]]:
    """Return the chosen releases with the services of the kinds that the inventory gives each host."""
    found = {}
    for host, release in chosen.items():
        kinds = kinds_of(host, cluster.groups)
        services = {kind: units for kind, units in release.get("services", {}).items() if kind in kinds}
        found[host] = {**release, "services": services}
    return found


def activation(state: str, infos: ByHost, chosen: ByHost) -> dict[str, list[str]]:
    """Return the hosts whose services must change to run the chosen releases.

    Parameters
    ----------
    state : str
        State of the services; see `STATES`.
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
