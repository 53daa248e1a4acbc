# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what a run does to each host, from the variables of all hosts and the results of `host_info`."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import unmanaged
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import differing
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import decide
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import resolve
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import kinds_of, pools_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.hosts import (
    differing_packages,
    differing_pythons,
    names_twice,
    no_scheduler_to_join,
    not_installed,
    one_machine_twice,
    too_many_for_windows,
    workers_left,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import (
    STATES,
    Cluster,
    activation,
    firewalls,
    plan_hosts,
    releases,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rollback import told, way_back
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import environments, lock_file
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import lacking_in, lacking_on
from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed_releases import mixed_releases
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import scheduler_not_running
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, values_of


class Rejected(Exception):
    """What keeps the run from going on, a sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = list(problems)


def check(problems: Iterable[str]) -> None:
    """Raise `Rejected` if there are problems."""
    found = list(problems)
    if found:
        raise Rejected(found)


def present(found: dict[str, dict[str, Any]], infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """The packages of the environments that hosts have already, by host."""
    there = {host: infos[host]["environments"].get(about["id"]) for host, about in found.items()}
    return {host: about["packages"] for host, about in there.items() if about}


def by_host(lists: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Hosts in lists, each with the names of its lists: ``name`` and ``groups``."""
    found: dict[str, list[str]] = {}
    for name, hosts in lists.items():
        for host in hosts:
            found.setdefault(host, []).append(name)
    return [{"name": host, "groups": names} for host, names in found.items()]


def connection(cluster: Cluster, lock: str) -> dict[str, Any]:
    """What users need to connect to the cluster."""
    common = cluster.common
    files: list[Path] = []
    if common["dask_tls"]:
        directory = Path(common["dask_tls_directory"])
        # During a rotation, clients trust both.
        files = [directory / "ca.pem", *directory.glob("previous-ca.pem")]
        check(f"{file} does not exist. Run site.yml first." for file in files if not file.exists())
    python = next((info["python"]["version"] for info in cluster.infos.values() if info["python"]), "")
    return {
        "address": cluster.addresses["scheduler"],
        "dashboard": f"{cluster.addresses['dashboard']}/status",
        "authorities": [file.read_text(encoding="utf-8") for file in files],
        "certificates": common["dask_tls_directory"],
        "lock": lock,
        "python": ".".join(python.split(".")[:2]),
    }


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        purpose = arguments["purpose"]
        try:
            cluster, missing = self._cluster(arguments, task_vars)
        except ValueError as error:
            return failed_if({}, [str(error)])
        result = self._common(cluster, purpose)
        try:
            if purpose == "change":
                chosen = self._change(cluster, result, task_vars)
            elif purpose == "show":
                chosen = self._show(cluster, result, task_vars["hostvars"])
            else:
                chosen = self._keep(cluster, purpose, result, task_vars)
        except Rejected as rejected:
            return failed_if({}, rejected.problems)
        state = result["state"]
        for host, info in cluster.infos.items():
            release = chosen.get(host, {})
            result["hosts"].setdefault(host, {}).update(
                release=release,
                kinds=kinds_of(host, cluster.groups),
                interrupts=decide.interrupts_scheduler(state, info, release),
            )
        lists = result.pop("lists")
        if purpose in ("change", "start", "restart", "rollback"):
            lists.update({f"__dask_{name}": hosts for name, hosts in activation(state, cluster.infos, chosen).items()})
        result["groups"] = by_host(lists)
        result.update(self._about_health(cluster, chosen, missing))
        return result

    def _cluster(
        self, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> tuple[Cluster, dict[str, dict[str, Any]]]:
        """The cluster, and the results of hosts that could not be looked at."""
        groups, hostvars, playing = task_vars["groups"], task_vars["hostvars"], task_vars["ansible_play_hosts_all"]
        found = host_infos(playing, hostvars)
        infos = {host: info for host, info in found.items() if "running" in info}
        values = values_of(self._templar, task_vars, playing)
        cluster = Cluster(groups, playing, values, infos, {})
        scheduler_info = infos.get(cluster.asked_host) or arguments["scheduler_info"]
        missing = {host: info for host, info in found.items() if host not in infos}
        return Cluster(groups, playing, values, infos, scheduler_info), missing

    def _common(self, cluster: Cluster, purpose: str) -> dict[str, Any]:
        """What every run needs."""
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
                "scheduler_hosts": [common["dask_scheduler_host"], host_of(addresses["url"])],
                "dashboard_host": "" if elsewhere else host_of(addresses["url"]),
            },
            "lock": lock_file(common["dask_environment_lock"]),
            "complete": not set(cluster.groups.get("dask_workers", [])) - set(cluster.playing),
            "serial": common["dask_serial"],
            "hosts": {},
            "lists": {},
            "warnings": [],
            "hint": "",
        }

    def _change(self, cluster: Cluster, result: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The release of each host for a run that may change what is installed."""
        common, infos = cluster.common, cluster.infos
        plans, wrong = plan_hosts(cluster, infos)
        check(problem for host in wrong for problem in wrong[host])
        workers = {host: plan["workers"] for host, plan in plans.items()}
        everyone = {
            **({cluster.asked_host: cluster.scheduler_info} if cluster.scheduler_info.get("python") else {}),
            **infos,
        }
        problems = [
            *differing_pythons(everyone),
            *one_machine_twice(everyone),
            *scheduler_not_running(infos, cluster.scheduler, cluster.scheduler_info, task_vars),
            *no_scheduler_to_join(infos, common["dask_scheduler_address"]),
            *names_twice(workers),
        ]
        if common["dask_scheduler_platform"] == "windows":
            problems += too_many_for_windows(workers, common["dask_windows_scheduler_max_workers"])
        check(problems)
        firewall, problems = firewalls(
            cluster, functools.partial(self._look_up, task_vars), self._filtered(cluster, task_vars)
        )
        check(problems)
        found, problems = environments(
            infos,
            common["dask_environment_lock"],
            common["dask_environment_source"],
            common["dask_environment_index_url"],
            common["dask_cache"],
        )
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
        result["warnings"] += [*differing(clocks), *unmanaged(still), *lacking_in(found, workers)]
        result["hint"] = "\n".join(unmanaged(foreign))
        # A change that was begun and not finished goes on, because its hosts belong together. A new one is newer than all
        # before, also where the controller's clock is behind another controller's.
        begun = max((info["unfinished"] for info in infos.values()), default=0)
        newest = max((info["current"].get("staged", 0) for info in infos.values()), default=0)
        result["change"] = begun or max(int(time.time()), newest + 1)
        result["lists"].update(self._to_do(cluster, found, chosen, plans, lacking))
        result["missing_packages"] = lacking_on(infos, plans, found)
        return chosen

    def _to_do(
        self,
        cluster: Cluster,
        found: dict[str, dict[str, Any]],
        chosen: dict[str, dict[str, Any]],
        plans: dict[str, dict[str, Any]],
        lacking: list[str],
    ) -> dict[str, list[str]]:
        """The hosts of each play that prepares a change."""
        values, infos = cluster.values, cluster.infos
        trials = decide.services_to_try({host: chosen[host] for host in lacking if values[host]["dask_trial"]}, plans)
        for host, trial in trials.items():
            chosen[host]["trial"] = trial
        scheduler = [host for host in infos if "scheduler" in kinds_of(host, cluster.groups)]
        proxied = [host for host in scheduler if values[host]["dask_dashboard_proxy"]]
        return {
            "__dask_proxy": proxied,
            "__dask_proxy_unwanted": [
                host for host in scheduler if host not in proxied and infos[host]["proxy"]["port"] > 0
            ],
            "__dask_build": [host for host in found if found[host]["id"] not in infos[host]["environments"]],
            "__dask_stage": lacking,
            "__dask_trial": list(trials),
            "__dask_firewall": [
                host
                for host in infos
                if values[host]["dask_firewall"] != "none" or infos[host]["firewall"]["installed"]
            ],
        }

    def _show(self, cluster: Cluster, result: dict[str, Any], hostvars: Any) -> dict[str, Any]:
        """The plan of each host, for people. What is wrong with one host does not keep the others from being shown."""
        plans, wrong = plan_hosts(cluster, cluster.infos)
        for host, info in cluster.infos.items():
            result["hosts"][host] = {
                "machine": {name: info[name] for name in ("cpus", "memory", "nodes", "gpus")},
                "ssh_port": hostvars[host].get("ansible_port", 22),
                "problems": wrong.get(host, []),
                **plans.get(host, {}),
            }
        return {}

    def _keep(
        self, cluster: Cluster, purpose: str, result: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """The release of each host for a run that changes nothing that is installed."""
        infos = cluster.infos
        if purpose in ("start", "restart", "rollback", "rotate"):
            check(not_installed({host: (info, kinds_of(host, cluster.groups)) for host, info in infos.items()}))
            check(scheduler_not_running(infos, cluster.scheduler, cluster.scheduler_info, task_vars))
        if purpose == "connect" and cluster.common["dask_client_state"] == "present":
            result["connection"] = connection(cluster, result["lock"])
        if purpose == "remove":
            check(workers_left(cluster.groups, cluster.playing))
            for host in infos:
                pools = pools_of(cluster.values[host]).values()
                result["hosts"][host] = {"scratch": list(dict.fromkeys(pool["scratch_directory"] for pool in pools))}
        result["missing_packages"] = lacking_on(infos, {}, {})
        if purpose != "rollback":
            return {host: info["current"] for host, info in infos.items()}
        targets, problems = way_back(infos)
        check(problems)
        result["told"] = list(told(infos, targets))
        return {host: dict(release) for host, release in targets.items()}

    def _about_health(
        self, cluster: Cluster, chosen: dict[str, dict[str, Any]], missing: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """What the cluster is compared with when it is asked how it is."""
        workers = cluster.groups.get("dask_workers", [])
        expected = {}
        for host in workers:
            if host in cluster.infos or host in missing:
                info = cluster.infos.get(host, {})
                expected[host] = decide.expected_workers({host: info}, {host: chosen[host]} if chosen.get(host) else {})
        asked = cluster.asked_host
        services = chosen.get(asked, {}).get("services", {}).get("scheduler", {})
        return {
            "scheduler_release": services.get(decide.SCHEDULER, ""),
            "expected": expected,
            "mixed": mixed_releases(cluster.infos, chosen, cluster.values),
            "scheduler_older": decide.scheduler_is_older(
                {}, {}, cluster.scheduler_info, chosen.get(asked, {}), {h: r for h, r in chosen.items() if r}
            ),
        }

    @staticmethod
    def _look_up(task_vars: dict[str, Any], host: str) -> Any:
        """A function that returns the addresses of a host that is not in the run."""
        return functools.partial(resolve, task_vars["hostvars"][host].get("ansible_host", host))

    def _filtered(self, cluster: Cluster, task_vars: dict[str, Any]) -> list[str]:
        """All hosts of the cluster with a firewall of ours."""
        others = [host for host in cluster.members if host not in cluster.values]
        values = {**cluster.values, **(values_of(self._templar, task_vars, others) if others else {})}
        return [host for host in cluster.members if values[host]["dask_firewall"] != "none"]
