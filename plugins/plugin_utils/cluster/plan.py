# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a run: the release of each host, and the hosts that must change.

The plan is made once, on the controller, from the variables of all hosts and the results of `host_info`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import only_certificates
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import unmanaged
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import (
    Application,
    ApplicationError,
    hidden_modules,
    misfits,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import differing
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import decide
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import host_of, in_url
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import modules, tls_choices
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import (
    LOCK,
    kind_of,
    variable_of,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import networks
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import Groups, members
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import plan_host, unfit_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import (
    MODULES,
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
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster, Environment, Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.monitoring import (
    GROUP,
    monitoring,
    monitoring_ports,
    monitoring_to_remove,
    targets_left_out,
    wants_files,
    without_monitoring_host,
    without_proxy_user,
    wrong_places,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import (
    Choice,
    choose,
    own_python,
    runs,
    unsupported,
    with_managed,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import scaling_file
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.releases import Release, release_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rollback import rollback_report, rollback_targets
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import given_files, wrong_files
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import (
    changed_in_place,
    differing_contents,
    drift,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import lacking_in, lacking_on
from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed_releases import mixed_releases
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import scheduler_not_running

#: State of the services by purpose of the run; ``started`` for all other purposes.
STATES = {"restart": "restarted", "stop": "stopped", "remove": "absent"}

NO_CERTIFICATES = (
    "dask_tls is false, so the cluster has no certificates to renew. To encrypt its connections, set it to true and run "
    "site.yml."
)

#: Purposes for which services may change.
CHANGING = ("change", "start", "restart", "rollback")

#: What the result tells of a release. Its contents would make the result ten times as large.
KEPT = ("id", "environment", "application", "label", "services", "trial")

ByHost = Mapping[str, Mapping[str, Any]]


class Rejected(Exception):
    """The run cannot continue. ``problems`` has a sentence for each reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = list(problems)


def check(problems: Iterable[str]) -> None:
    """Raise `Rejected` if there are problems."""
    found = list(problems)
    if found:
        raise Rejected(found)


def present(found: dict[str, dict[str, Any]], infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Return the packages of the planned environments that already exist, by host."""
    there = {host: infos[host]["environments"].get(about["id"]) for host, about in found.items()}
    return {host: about["packages"] for host, about in there.items() if about}


def not_inspected(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if a host of the run was not inspected. A plan without it could cut it off from the cluster."""
    names = [host for host in cluster.playing if host not in cluster.infos]
    if names:
        yield (
            f"{', '.join(names)}: not inspected in this run. Run the role daskops.cluster.preflight for all hosts of the "
            "cluster in one play, with the strategy ansible.builtin.linear. Use --limit to exclude hosts that Ansible "
            "cannot reach."
        )


def last_workers(cluster: Cluster, stopping: Collection[str]) -> Iterator[str]:
    """Yield a sentence if no worker host is left, to which the workers that stop could move their data."""
    workers = cluster.groups.get("dask_workers", [])
    if stopping and set(workers) <= set(cluster.maintenance):
        yield (
            f"{', '.join(stopping)}: dask_maintenance is true for all worker hosts of the cluster. Their workers finish "
            "their tasks and stop, and the results that they hold are lost. To keep them, set dask_maintenance for some of "
            "the hosts at a time."
        )


def scheduler_in_maintenance(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if the scheduler's host is in maintenance. Without the scheduler, there is no cluster."""
    if cluster.scheduler in cluster.maintenance:
        yield (
            f"{cluster.scheduler}: dask_maintenance is true, but this is the scheduler's host, without which the cluster "
            "does not work. Set dask_maintenance for worker hosts only. To stop the whole cluster, run stop.yml."
        )


@dataclass(frozen=True)
class Outside:
    """Functions that get more input of a plan: Pythons and packages, addresses, and variables of other hosts.

    Parameters
    ----------
    unsafe_cache : callable
        Takes the value of ``dask_cache``. Yields a sentence if other accounts can change it.
    pythons : callable
        Takes a `Choice`, results of `host_info` and variables; returns what `python_builds.provide` does. May fetch
        builds of CPython.
    environments : callable
        Takes results of `host_info` and the variables of hosts. Returns the result of `environments.environments`. May fetch
        packages.
    client_packages : callable
        Takes the variables of a host and results of `host_info`. Returns the result of `environments.client_packages`.
    application : callable
        Takes the variables of a host. Returns the result of `application_of`. May build projects.
    pack : callable
        Takes the application and the variables of a host. Returns the path of the application's archive for hosts.
    addresses_of : callable
        Takes the name of a host outside the run. Returns a function that returns the addresses of this host.
    resolve : callable
        Returns the addresses of a name.
    filtered_hosts : callable
        Returns the hosts of the cluster whose firewall the collection manages, also those outside the run.
    """

    unsafe_cache: Callable[[str], Iterable[str]]
    pythons: Callable[[Choice, ByHost, Mapping[str, Any]], tuple[dict[str, dict[str, str]], list[str]]]
    environments: Callable[[ByHost, ByHost], tuple[dict[str, dict[str, Any]], list[str]]]
    client_packages: Callable[[Mapping[str, Any], ByHost], tuple[dict[str, Any], list[str]]]
    application: Callable[[Mapping[str, Any]], Application]
    pack: Callable[[Application, Mapping[str, Any]], str]
    addresses_of: Callable[[str], Callable[[], list[str]]]
    resolve: Callable[[str], list[str]]
    filtered_hosts: Callable[[], list[str]]


def interpreter(version: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the choice of a lock's packages for a host depends on, in the form of ``python`` of `host_info`."""
    return {
        "implementation": "cpython",
        "version": version,
        "machine": info["architecture"],
        "libc": info["libc"],
    }


def connection(cluster: Cluster, lock: str, application: Application, outside: Outside) -> dict[str, Any]:
    """Return the addresses, certificates, versions and wheels that clients need to connect to the cluster."""
    common = cluster.common
    versions = {host: version_of(info) for host, info in cluster.infos.items() if version_of(info)}
    host, python = next(iter(versions.items()), ("", ""))
    packages: dict[str, Any] = {
        "lock": lock,
        "requirements": "",
        "build": common["dask_environment_build"],
        "cache": common["dask_cache"],
        "interpreter": interpreter(python, cluster.infos[host]) if host else {},
    }
    if kind_of(common) != LOCK:
        found, problems = outside.client_packages(common, cluster.infos)
        check(problems)
        packages.update(found)
        python = packages.pop("python")
    return {
        "address": cluster.addresses["client"],
        "dashboard": f"{cluster.addresses['dashboard']}/status",
        "authorities": _authorities(common) if common["dask_tls"] else [],
        "certificates": common["dask_tls_directory"],
        "days": common["dask_tls_days"],
        "warn_days": common["dask_tls_warn_days"],
        "python": ".".join(python.split(".")[:2]),
        "wheels": [wheel.path for wheel in application.wheels],
        **packages,
    }


def _authorities(common: Mapping[str, Any]) -> list[str]:
    """Return the certificates of the CAs that clients trust. During a rotation, these are the new and the previous CA."""
    check(map(str, wrong_files(common["dask_tls_files"])))
    given = given_files(common["dask_tls_files"])
    if "ca.pem" in given:
        return [given[name] for name in ("ca.pem", "previous-ca.pem") if name in given]
    directory = Path(common["dask_tls_directory"])
    file = directory / "ca.pem"
    if not file.exists():
        check([f"{file} does not exist. Run site.yml first. With several controllers, set dask_tls_files."])
    return [only_certificates(file.read_text(encoding="utf-8")) for file in (file, *directory.glob("previous-ca.pem"))]


def other_application(infos: ByHost, application: Application) -> Iterator[str]:
    """Yield a sentence if clients would get another application than the one that services run."""
    runs = {info["current"]["application"] for info in infos.values() if info["current"]}
    if runs - {application.id}:
        yield (
            "dask_application is not what the cluster runs, so clients and workers would have different code. Run site.yml, "
            "and then client.yml again."
        )


def built(outside: Outside, common: Mapping[str, Any]) -> Application:
    """Return the application, whose projects are built if needed. Raises `Rejected` if services cannot run it."""
    try:
        return outside.application(common)
    except ApplicationError as error:
        raise Rejected(error.problems) from None


def application_archives(cluster: Cluster, application: Application, outside: Outside) -> dict[str, str]:
    """Return the application's archive by host; empty for a host that has the application."""
    archives = dict.fromkeys(cluster.infos, "")
    lacking = [host for host, info in cluster.infos.items() if application.id not in info["applications"]]
    if application.id and lacking:
        try:
            archives.update(dict.fromkeys(lacking, outside.pack(application, cluster.common)))
        except ApplicationError as error:
            raise Rejected(error.problems) from None
    return archives


def hidden_by_modules(cluster: Cluster, application: Application) -> list[str]:
    """Return a sentence for each of the users' modules with the name of a module of the application."""
    lists = [values[name] for values in cluster.values.values() for name in MODULES]
    files = {module.file: None for entries in lists for module in modules(entries) if module.file}
    return list(hidden_modules(application, files))


def make_plan(cluster: Cluster, purpose: str, lock: str, outside: Outside) -> dict[str, Any]:
    """Return the plan of a run, the result of the module `plan`.

    Parameters
    ----------
    cluster : Cluster
        The inventory, the variables and the state of the hosts.
    purpose : str
        Purpose of the run, an option of the module `plan`.
    lock : str
        Path of the lock file.
    outside : Outside
        Functions that get more input.

    Raises
    ------
    Rejected
        If there are problems. Its ``problems`` has a sentence for each.
    """
    everyone, maintenance = cluster, cluster.maintenance
    check(scheduler_in_maintenance(cluster))
    # `remove.yml` also removes hosts in maintenance.
    if purpose != "remove":
        cluster = cluster.without(maintenance)
    if purpose == "monitor":
        check(targets_left_out(cluster))
    if purpose not in ("show", "inspect", "connect", "monitor"):
        check(not_inspected(cluster))
    result = _common(cluster, purpose, lock)
    result["maintenance"] = maintenance
    if purpose == "change":
        chosen = _change(cluster, result, outside)
    elif purpose == "show":
        chosen = _show(cluster, result)
    elif purpose == "monitor":
        chosen = _monitor(cluster, result)
    else:
        chosen = _keep(cluster, purpose, result, outside)
    plays = result["plays"]
    if purpose in CHANGING:
        plays["maintenance"] = [
            host for host in maintenance if decide.interrupts_maintenance(everyone.infos.get(host, {}))
        ]
        result["warnings"] += last_workers(everyone, plays["maintenance"])
        plays.update(activation(result["state"], cluster.infos, of_groups(cluster, chosen)))
    for host, info in cluster.infos.items():
        release = chosen.get(host) or {}
        result["hosts"].setdefault(host, {}).update(
            release={
                key: release[key] for key in KEPT if release.get(key) or (key in release and key != "application")
            },
            kinds=kinds_of(host, cluster.groups),
            **_addresses_of(cluster, host),
            interrupts=decide.interrupts_scheduler(result["state"], info, release),
            unwanted_firewalls=[
                name
                for name in info["firewall"]["installed"]
                if purpose == "remove" or name != cluster.values[host]["dask_firewall"]
            ],
        )
    result.update(_about_health(cluster, chosen))
    return result


def _addresses_of(cluster: Cluster, host: str) -> dict[str, str]:
    """Return the addresses that only some hosts need, because the plan of a host should be short."""
    found = {}
    contact = cluster.values[host]["dask_worker_contact_host"]
    if contact:
        found["contact_host"] = contact
    if "scheduler" in kinds_of(host, cluster.groups):
        found["proxy_host"] = in_url(cluster.infos[host]["address"])
    return found


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
                *filter(None, [common["dask_scheduler_host"], common["dask_client_scheduler_host"]]),
                host_of(addresses["url"]),
            ],
            "dashboard_hosts": {} if elsewhere else _dashboard_hosts(common, addresses),
            "tls_choices": _tls_choices(cluster),
            "made": common["dask_tls_certificates"] == "made",
            "joins": bool(common["dask_scheduler_address"]),
            "days": common["dask_tls_days"],
            "warn_days": common["dask_tls_warn_days"],
        },
        "lock": lock,
        "label": str(common["dask_release_label"]),
        "python": "",
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


def _tls_choices(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the different choices of TLS by kind of service, each with one host; none if there are only Dask's defaults."""
    found: dict[str, dict[str, Any]] = {}
    for host, values in cluster.values.items():
        for kind in kinds_of(host, cluster.groups):
            settings, variables = tls_choices(values, kind)
            about = {"kind": kind, "host": host, "settings": settings, "variables": variables}
            found.setdefault(f"{kind} {settings} {variables}", about)
    return list(found.values()) if any(about["settings"] for about in found.values()) else []


def _change(cluster: Cluster, result: dict[str, Any], outside: Outside) -> dict[str, Any]:
    """Return the release of each host for a run that may install something."""
    common = cluster.common
    check(outside.unsafe_cache(common["dask_cache"]))
    choice = choose(cluster, unfit(cluster))
    check(unsupported(choice, cluster.infos))
    pythons, problems = outside.pythons(choice, cluster.infos, common)
    check(f"{problem}{because(choice)}" for problem in problems)
    cluster = with_managed(cluster, {host: (about["name"], about["version"]) for host, about in pythons.items()})
    infos = cluster.infos
    plans, wrong = plan_hosts(cluster, infos)
    check(problem for host in wrong for problem in wrong[host])
    workers = {host: plan["workers"] for host, plan in plans.items()}
    elsewhere = cluster.scheduler_info
    version = version_of(elsewhere)
    everyone = {
        **({cluster.asked_host: {**elsewhere, "python": {"version": version}}} if version else {}),
        **infos,
    }
    problems = [
        *(differing_pythons(everyone) if kind_of(common) == LOCK else []),
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
    application = built(outside, common)
    found, problems = outside.environments(infos, cluster.values)
    check([*problems, *differing_packages(present(found, infos))])
    check(differing_contents(common["dask_environment_path"], everyone))
    runs_in = {
        host: (interpreter(about["python_version"], infos[host]), about["packages"]) for host, about in found.items()
    }
    check([*misfits(application, runs_in), *hidden_by_modules(cluster, application)])
    archives = application_archives(cluster, application, outside)
    chosen, problems, lacking = releases(cluster, plans, found, application.id, archives)
    check(problems)
    result["application"] = {"id": application.id, "packages": application.packages}
    result["environments"] = {
        about["id"]: {"origin": about["origin"], "packages": about["packages"]} for about in found.values()
    }
    for host, plan in plans.items():
        environment = {key: found[host][key] for key in ("python", "prefixes", "boot_python", "archive")}
        uses_python = environment["python"] and environment["prefixes"]
        environment.update(managed_part(pythons.get(host, {}) if uses_python else {}))
        result["hosts"][host] = {
            "user": cluster.values[host]["dask_user"],
            "environment": environment,
            "application_archive": archives[host],
        }
        if plan["firewall"] != "none":
            networks = {"cluster": firewall["cluster"].get(host, {}), "clients": firewall["clients"]}
            result["hosts"][host].update(ports=plan["ports"], networks=networks)
    foreign = {host: info["firewall"]["foreign"] for host, info in infos.items()}
    # Do not warn in every run: the firewall does not affect hosts whose services already run.
    still = {host: names for host, names in foreign.items() if not any(infos[host]["running"].values())}
    clocks = {host: info["clock"] for host, info in infos.items()}
    unread = not_importable(cluster.values, cluster.groups.get("dask_workers", []), cluster.scheduler)
    lacking_packages = lacking_in(found, workers, variable_of(common))
    result["warnings"] += [*differing(clocks), *unmanaged(still), *lacking_packages, *unread]
    result["hint"] = "\n".join(unmanaged(foreign))
    # Continue an unfinished change, because its hosts belong together. A new change gets a later time than all earlier ones,
    # even if this controller's clock is behind that of another controller.
    begun = max((info["unfinished"] for info in infos.values()), default=0)
    newest = max((info["current"].get("staged", 0) for info in infos.values()), default=0)
    result["change"] = begun or max(int(time.time()), newest + 1)
    result["plays"].update(_to_do(cluster, found, chosen, plans, lacking))
    result["missing_packages"] = lacking_on(infos, plans, found, variable_of(common))
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
        # On these hosts, the run only notes that a reverted change is over.
        "installed": [host for host in lacking if chosen[host]["installed"]],
        "trial": list(trials),
        "firewall": [
            host for host in infos if values[host]["dask_firewall"] != "none" or infos[host]["firewall"]["installed"]
        ],
    }


def _show(cluster: Cluster, result: dict[str, Any]) -> dict[str, Any]:
    """Return the result with the plan of each host for display, and with the problems of hosts without a valid plan."""
    choice = choose(cluster, unfit(cluster))
    result["python"] = _chosen(choice)
    # The version is not looked up, because this run fetches nothing.
    cluster = with_managed(cluster, {host: ("", versions[0]) for host, versions in choice.managed.items()})
    plans, wrong = plan_hosts(cluster, cluster.infos)
    for host, info in cluster.infos.items():
        result["hosts"][host] = {
            "machine": {name: info[name] for name in ("cpus", "cores", "cpu_limit", "memory", "nodes", "gpus")},
            "ssh_port": cluster.ssh_ports.get(host, 22),
            "problems": wrong.get(host, []),
            **plans.get(host, {}),
        }
    result["monitoring"] = monitoring_ports(cluster)
    return {}


def _monitor(cluster: Cluster, result: dict[str, Any]) -> dict[str, Any]:
    """Return the current release of each host, and set the files for Prometheus."""
    check([*without_monitoring_host(cluster), *without_proxy_user(cluster), *wrong_places(cluster)])
    plans: dict[str, dict[str, Any]] = {}
    if wants_files(cluster):
        choice = choose(cluster, unfit(cluster))
        # The version is not looked up, because this run fetches nothing.
        planned = with_managed(cluster, {host: ("", versions[0]) for host, versions in choice.managed.items()})
        plans, wrong = plan_hosts(planned, cluster.infos)
        check(problem for host in wrong for problem in wrong[host])
    common = cluster.common
    authorities = _authorities(common) if common["dask_tls"] and plans else []
    result["monitoring"] = monitoring(cluster, plans, authorities)
    return {host: info["current"] for host, info in cluster.infos.items()}


def _keep(cluster: Cluster, purpose: str, result: dict[str, Any], outside: Outside) -> dict[str, Any]:
    """Return the release of each host for a run that installs nothing."""
    infos = cluster.infos
    if purpose == "rotate" and not cluster.common["dask_tls"]:
        check([NO_CERTIFICATES])
    present = purpose == "connect" and cluster.common["dask_client_state"] == "present"
    needs_services = purpose in ("start", "restart", "rollback", "rotate")
    if needs_services or present:
        check(not_installed({host: (info, kinds_of(host, cluster.groups)) for host, info in infos.items()}))
    if needs_services:
        check(scheduler_not_running(infos, cluster.scheduler, cluster.scheduler_info, cluster.run))
    if present:
        check(outside.unsafe_cache(cluster.common["dask_cache"]))
        application = built(outside, cluster.common)
        result["connection"] = connection(cluster, result["lock"], application, outside)
        result["warnings"] += other_application(infos, application)
    elif purpose == "connect" or (purpose == "remove" and set(cluster.members) <= set(cluster.playing)):
        check(wrong_places(cluster))
        result["connection"] = {"address": cluster.addresses["client"], "authorities": []}
        result["monitoring"] = monitoring_to_remove(cluster)
    if purpose == "remove":
        check(workers_left(cluster.groups, cluster.playing))
        pools, wrong = pools_by_host(cluster, infos)
        check(problem for host in wrong for problem in wrong[host])
        for host, by_name in pools.items():
            scratch = dict.fromkeys(pool["scratch_directory"] for pool in by_name.values())
            name = scaling_file(infos[host]["address"], int(cluster.common["dask_scheduler_port"]))
            state = f"{user_home(cluster.values[host], infos[host])}/{name}"
            result["hosts"][host] = {"scratch": list(scratch), "scaling_files": [state, f"{state}.new"]}
    result["missing_packages"] = lacking_on(infos, {}, {}, variable_of(cluster.common))
    if purpose != "rollback":
        return {host: info["current"] for host, info in infos.items()}
    targets, problems = rollback_targets(infos)
    check([*problems, *changed_in_place(infos, targets)])
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
        # The scheduler reports its release only with this route.
        "scheduler_release": services.get(decide.SCHEDULER, "") if cluster.common["dask_summary_route"] else "",
        "expected": expected,
        "mixed": mixed_releases(cluster.infos, chosen, cluster.values),
        "drift": drift(cluster.infos, chosen),
        "scheduler_older": decide.scheduler_is_older(
            {}, {}, cluster.scheduler_info, chosen.get(asked, {}), {h: r for h, r in chosen.items() if r}
        ),
    }


def pools_by_host(
    cluster: Cluster, hosts: Iterable[str]
) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, list[str]]]:
    """Return the result of `pools_of` for each host, and the problems, both by host."""
    pools, problems = {}, {}
    for host in hosts:
        try:
            pools[host] = pools_of(cluster.values[host])
        except ValueError as error:
            problems[host] = [f"{host}: {line}" for line in str(error).splitlines()]
    return pools, problems


def plan_hosts(cluster: Cluster, hosts: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return the result of `plan_host` for each host, and the problems, both by host."""
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
    settings: Settings, kinds: list[str], plan: Mapping[str, Any], environment: Mapping[str, Any], application: str
) -> Release:
    """Return the release of a host; raises ValueError like `release_of`."""
    return release_of(settings, kinds, plan, Environment.of(environment), application)


def planned_release(
    host: str,
    values: Mapping[str, Any],
    info: Mapping[str, Any],
    groups: Groups,
    known_addresses: Mapping[str, str],
    environment: Mapping[str, Any],
    application: str,
) -> tuple[Settings, Release]:
    """Return the settings and the release of one host, as `releases` makes them for all hosts.

    A plan for 1,000 hosts would be ten times as large with the contents of the releases, so a task that needs the content of
    a release makes it again, for its own host.

    Parameters
    ----------
    host : str
        Name of the host.
    values, info : dict
        The host's variables, complete, and its result of `host_info`.
    groups : dict of list of str
        The inventory's groups.
    known_addresses : dict
        ``addresses`` of the plan.
    environment : dict
        The host's environment, as for `model.Environment`.
    application : str
        Id of the application; empty for none.

    Raises
    ------
    ValueError
        As `release_of`.
    """
    pools, kinds, alone = pools_of(values), kinds_of(host, groups), len(members(groups)) == 1
    scheduler_host = host_of(known_addresses["scheduler"])
    plan, _problems = plan_host(
        host, info, planning_settings(values, pools, kinds, alone, scheduler_host, user_home(values, info))
    )
    settings = host_settings(values, info, known_addresses)
    return settings, host_release(settings, kinds, plan, environment, application)


def releases(
    cluster: Cluster, plans: ByHost, environments: ByHost, application: str, archives: Mapping[str, str]
) -> tuple[dict[str, dict[str, Any]], list[str], list[str]]:
    """Return the release of each host, the problems, and the hosts that do not have their release or application yet.

    A release has the form of `host_info`, without ``staged`` and ``served``, and also ``untried`` and ``pools``, see
    `decide.services_to_try`, and ``installed``: whether it is the current release of the host.
    """
    found: dict[str, dict[str, Any]] = {}
    problems: dict[str, None] = {}
    lacking = []
    known_addresses = cluster.addresses
    for host, plan in plans.items():
        info = cluster.infos[host]
        settings = host_settings(cluster.values[host], info, known_addresses)
        try:
            release = host_release(settings, kinds_of(host, cluster.groups), plan, environments[host], application)
        except ValueError as error:
            problems[str(error)] = None
            continue
        found[host] = {
            **release.described(),
            "untried": decide.untried(info.get("known", []), release.services),
            "pools": release.pools,
        }
        # Staging also creates the services' account and installs the application.
        complete = info["account"] and not archives[host]
        content = release.content(cluster.values[host]["dask_home"])
        if not complete or not decide.is_staged(info, content):
            lacking.append(host)
        found[host]["installed"] = bool(complete and decide.is_current(info, content))
    return found, list(problems), lacking


def firewalls(cluster: Cluster, outside: Outside) -> tuple[dict[str, Any], list[str]]:
    """Return the result of `firewall.networks`; empty if the collection manages no firewall."""
    filtered = outside.filtered_hosts()
    if not filtered:
        return {"cluster": {}, "clients": {}}, []
    workers = cluster.groups.get("dask_workers", [])
    # The scheduler's address need not be resolved, because the hosts report it in ``route``.
    others = [host for host in workers if host not in [*cluster.playing, cluster.scheduler]]
    common = cluster.common
    contacts = {host: cluster.values[host]["dask_worker_contact_host"] for host in cluster.infos if host in workers}
    monitors = cluster.groups.get(GROUP, [])
    return networks(
        cluster.infos,
        {host: outside.addresses_of(host) for host in others},
        {host: functools.partial(outside.resolve, name) for host, name in contacts.items() if name},
        [host for host in filtered if host not in cluster.playing],
        common["dask_firewall_peers"],
        common["dask_firewall_clients"],
        {host: outside.addresses_of(host) for host in monitors if host not in cluster.members},
    )


def version_of(info: Mapping[str, Any]) -> str:
    """Return the version of the managed Python that a host's services run, or else of its own; empty if it has neither."""
    now = runs(info)
    return str(now["python"] if now.get("managed_python") else (info.get("python") or {}).get("version", ""))


def unfit(cluster: Cluster) -> dict[str, str]:
    """Return why a host's own interpreter cannot be used, by host."""
    found = {}
    for host, info in cluster.infos.items():
        for sentence in unfit_python(host, info, {"python": own_python(cluster.values[host]["dask_python"])}):
            found[host] = sentence
    return found


def managed_part(about: Mapping[str, str]) -> dict[str, Any]:
    """Return what an environment's plan has of a managed Python; ``about`` is empty if the environment does not use one."""
    return {
        "managed_python": {name: value for name, value in about.items() if name != "archive"},
        "python_archive": about.get("archive", ""),
    }


def because(choice: Choice) -> str:
    """Return a sentence that says why hosts with ``auto`` need a managed Python; empty if they do not."""
    return f" A managed Python is needed because dask_python is auto, and {choice.reason}." if choice.reason else ""


def _chosen(choice: Choice) -> str:
    """Return a sentence about the managed Python of hosts with ``auto``; empty if they do not get one."""
    if not choice.reason:
        return ""
    version = next(versions[0] for versions in choice.managed.values() if len(versions) > 1)
    return f"Hosts get a managed Python ({version}, if there is one), because dask_python is auto, and {choice.reason}."


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
        ``scheduler`` has the scheduler's host. ``starting`` has hosts without a worker to restart, and ``rolling`` has hosts
        whose workers are restarted.
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
