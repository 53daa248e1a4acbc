# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a cluster's certificates on the controller, and make those that are missing or expire soon."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    Directory,
    Unusable,
    has_certificates,
    host_names,
    make,
    nothing,
    plan,
    worker_name,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import WILDCARDS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import on_network
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import members
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import VARIABLE
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import (
    REMEDY_MADE,
    own_problems,
    rejected,
    without_common_tls,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_certificates import (
    keep,
    not_renewed,
    plan_reissue,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, tls_files

#: Names with which a host connects to itself.
LOCAL = ["localhost", "127.0.0.1"]

GROUPS = {"scheduler": "dask_scheduler", "worker": "dask_workers"}


def described(
    directory: Directory,
    infos: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    made: bool,
) -> dict[str, dict[str, Any]]:
    """Return the properties of each host on which its certificates depend.

    ``infos`` has results of `host_info` by host, and ``plan`` is the result of the module `plan`.
    """
    found = {}
    for host, info in infos.items():
        kinds = [kind for kind, group in GROUPS.items() if host in groups.get(group, [])]
        contact = plan["hosts"].get(host, {}).get("contact_host")
        given = [host, hostvars[host].get("ansible_host"), contact]
        address, source = info.get("address", ""), info.get("route", [])[:1]
        more = info.get("worker_addresses", {}).values()
        found[host] = {
            "kinds": kinds,
            "certificates": [directory.name_for(kind, host, made) for kind in kinds],
            "reached": [
                *given,
                *(one for one in [address, *source] if one not in WILDCARDS),
                *more,
                *LOCAL,
            ],
            "given": host_names(given),
            "reported": set(map(str, on_network([address, *source, *more]))),
            "listens": set(map(str, on_network([*(source if address in WILDCARDS else [address]), *more]))),
            "gateway": contact,
            "authorities": info.get("authorities", []),
            "clock": info.get("clock"),
            "public": info["certificates"]["public"],
            "installed": info["certificates"]["installed"],
            "user": plan["hosts"].get(host, {}).get("user", ""),
        }
    return found


def needed_names(hosts: Mapping[str, Mapping[str, Any]], scheduler_hosts: list[str]) -> dict[str, list[str]]:
    """Return the host names and addresses that each certificate of the run must have, by name of the certificate."""
    found = {"client": ["client"]}
    for about in hosts.values():
        for kind, name in zip(about["kinds"], about["certificates"]):
            found[name] = [*scheduler_hosts, *about["reached"]] if kind == "scheduler" else about["reached"]
    return found


def claimed(hosts: Mapping[str, Mapping[str, Any]], scheduler_hosts: list[str]) -> list[str]:
    """Return a sentence for each host that reports an address of another host. Its certificate would be valid for both.

    An address that the inventory gives a host is its own. In networks behind different gateways, hosts can have the same
    addresses.
    """
    found = []
    others = {host: about for host, about in hosts.items() if not about["gateway"]}
    holders: dict[str, list[str]] = {}
    for host, about in others.items():
        for address in about["listens"]:
            holders.setdefault(address, []).append(host)
    of_scheduler = host_names(scheduler_hosts)
    for host, about in others.items():
        is_scheduler = "scheduler" in about["kinds"]
        for address in sorted(about["reported"] - about["given"] - (of_scheduler if is_scheduler else set())):
            names = [other for other in holders.get(address, []) if other != host]
            if address in of_scheduler and not names:
                names = ["the scheduler"]
            if names:
                found.append(
                    f"{host} reports the address {address}, but {join(names)} has it. Correct dask_interface or "
                    "dask_bind_address of the wrong host, or set dask_worker_contact_host for a host behind a gateway. If "
                    f"{host} does not have this address, it may be compromised: inspect it, and exclude it with --limit "
                    "until then."
                )
    return found


def strict(infos: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether any host has Python 3.13 or newer."""
    versions = [info.get("python", {}).get("version", "0.0").split(".") for info in infos.values()]
    return any((int(version[0]), int(version[1])) >= (3, 13) for version in versions)


def sample(names: Iterable[str]) -> list[str]:
    """Return the names of the certificates to test. Two of workers are enough, because all are made in the same way."""
    workers = [name for name in names if name.startswith("workers/")]
    return [name for name in names if name not in workers[2:]]


def report(wanted: Mapping[str, Any], directory: Directory) -> str:
    """Return the report of new certificates, one line for each reason."""
    lines = [f"A new CA: {directory.shown('ca.pem')}."] if wanted["authority"] else []
    if wanted["previous"]:
        lines.append(
            "Clients can connect until the hosts have their new certificates, and then need the new CA: run client.yml, and "
            "copy the new ca.pem to where Prometheus and browsers trust the old one. The previous CA is trusted until a run "
            "with -e dask_tls_rotation=finish."
        )
    by_reason: dict[str, list[str]] = {}
    for name, reason in wanted["certificates"].items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        lines.append(f"New certificates: {', '.join(names[:10])}{more} ({reason}).")
    if wanted["certificates"].get("client", "missing") != "missing":
        lines.append("Run client.yml, so that users get the new client certificate before the old one expires.")
    if wanted["finish"]:
        lines.append("The previous CA is no longer trusted.")
    return "\n".join(lines)


def outdated(
    directory: Directory,
    infos: Mapping[str, Mapping[str, Any]],
    hosts: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    changing: set[str],
    kept: Collection[str] = (),
) -> list[str]:
    """Return the hosts that do not have the current certificates, or whose services have not loaded them.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    infos : dict of dict
        Result of `host_info`, by host.
    hosts : dict of dict
        Result of `described`.
    plan : dict
        Result of the module `plan`.
    changing : set of str
        Names of the certificates that are made. If ``ca`` is one of them, all hosts are outdated.
    kept : collection of str
        Names of the certificates that hosts keep.
    """
    found = []
    with directory.locked(write=False):
        for host, about in hosts.items():
            names = dict(zip(about["kinds"], about["certificates"]))
            kept_kinds = [kind for kind, name in names.items() if name in kept]
            if changing & {"ca", *names.values()} or not has_certificates(
                infos[host]["certificates"],
                directory.trusted(),
                {kind: directory.bundle(name) for kind, name in names.items() if name not in kept},
                plan["hosts"][host].get("user", ""),
                kept_kinds,
            ):
                found.append(host)
    return found


def kept_names(directory: Directory, hosts: Mapping[str, Mapping[str, Any]], rotation: str) -> list[str]:
    """Return the names of the certificates that hosts keep."""
    if rotation == "reissue":  # only the CA is installed
        return sorted({name for about in hosts.values() for name in about["certificates"]})
    return sorted(file[: -len(".pem")] for file in directory.kept)


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {"needed": False}
        groups, plan = task_vars["groups"], arguments.pop("plan")
        arguments.update(plan["certificates"])
        made = arguments["made"]
        found = host_infos(task_vars["ansible_play_hosts_all"], task_vars["hostvars"])
        arguments["hosts"] = {
            host: info
            for host, info in found.items()
            if "running" in info and not info.get("failed") and host not in plan["maintenance"]
        }
        arguments["others"] = [
            "scheduler",
            *(worker_name(host) for host in groups.get("dask_workers", []) if host not in arguments["hosts"]),
        ]
        arguments["absent"] = set(members(groups)) - set(arguments["hosts"]) - set(plan["maintenance"])
        arguments["workers"] = groups.get("dask_workers", [])
        try:
            given = tls_files(self._templar, task_vars)
        except ValueError as error:
            return failed_if(result, [str(error)])
        try:
            directory = Directory(arguments["directory"], given)
            hosts = described(directory, arguments["hosts"], groups, task_vars["hostvars"], plan, made)
            with directory.locked(write=False):
                wanted, problems, warnings = self._decide(directory, made, hosts, arguments)
                if made and not problems:
                    problems = self._try(directory, wanted, hosts, arguments)
                interrupted = made and directory.interrupted()
            if (wanted != nothing() or interrupted) and not problems and not self._task.check_mode:
                with directory.locked(write=True):  # decide again, because another run may have made them by now
                    wanted, problems, warnings = self._decide(directory, made, hosts, arguments)
                    problems = problems or self._make(directory, wanted, hosts, arguments)
            result["report"] = report(wanted, directory)
            if interrupted:
                result["report"] = (
                    f"The certificates of an interrupted run were installed.\n{result['report']}".rstrip()
                )
            changing = {"ca"} if wanted["authority"] or wanted["finish"] else set(wanted["certificates"])
            if not problems:
                result["kept"] = kept_names(directory, hosts, arguments["rotation"])
                result["outdated"] = outdated(directory, arguments["hosts"], hosts, plan, changing, result["kept"])
        except Unusable as error:
            return failed_if(result, [str(error)])
        files = ["ca"] * wanted["authority"] + list(wanted["certificates"])
        result["needed"] = result["changed"] = bool(files or wanted["finish"] or interrupted)
        # A client certificate alone changes no host, but the play that makes it needs at least one host.
        if result["needed"] and not problems:
            result["outdated"] = result["outdated"] or list(hosts)[:1]
        result.update(
            authority=wanted["authority"],
            certificates=sorted(wanted["certificates"]),
            warnings=warnings,
        )
        if result["changed"]:
            shown = "".join(f"{name}.pem\n" for name in files)
            result["diff"] = {"before_header": "", "after_header": directory.path, "before": "", "after": shown}
        return failed_if(result, problems)

    def _decide(
        self, directory: Directory, made: bool, hosts: dict[str, dict[str, Any]], arguments: dict[str, Any]
    ) -> tuple[dict[str, Any], list[str], list[str]]:
        """Return the certificates to make, the problems and the warnings."""
        rotation, warn_days = arguments["rotation"], arguments["warn_days"]
        if made and arguments["joins"]:
            return nothing(), [
                "dask_scheduler_address names a scheduler that this collection does not manage, so the workers need "
                f"certificates of its CA. Put them into {directory.path} and set dask_tls_certificates to own. If that "
                "scheduler does not use TLS, set dask_tls to false."
            ], []  # fmt: skip
        problems = claimed(hosts, arguments["scheduler_hosts"]) if made else []
        if problems:
            return nothing(), problems, []
        if made and rotation == "reissue":
            wanted, problems = plan_reissue(directory, hosts, arguments["absent"])
            return wanted, problems, []
        if made:
            return self._decide_made(directory, hosts, arguments)
        if rotation not in ("", "certificates"):
            return nothing(), [
                f"dask_tls_rotation is {rotation}, but the certificates are your own (dask_tls_certificates), so "
                f"the collection makes no CA. Put the new ca.pem, with the old CA below the new one, into {directory.path}, "
                "run site.yml or rotate_certificates.yml, and replace the other files afterwards."
            ], []  # fmt: skip
        problems, warnings = own_problems(
            directory,
            arguments["joins"],
            hosts,
            arguments["dashboard_hosts"],
            strict(arguments["hosts"]),
            warn_days,
        )
        return nothing(), problems or without_common_tls(directory, arguments["tls_choices"], False), warnings

    def _decide_made(
        self, directory: Directory, hosts: dict[str, dict[str, Any]], arguments: dict[str, Any]
    ) -> tuple[dict[str, Any], list[str], list[str]]:
        """Return the result of `_decide` for certificates that the collection makes, except for a lost CA."""
        rotation, warn_days = arguments["rotation"], arguments["warn_days"]
        unused = [file for file in ("worker.pem", "worker.key") if file in directory.given]
        if unused:
            return nothing(), [
                f"{VARIABLE}['{unused[0]}'] is set, but each worker host has its own certificate. Name it workers/HOST.pem, "
                "or set dask_tls_certificates to own."
            ], []  # fmt: skip
        names = needed_names(hosts, arguments["scheduler_hosts"])
        reasons: dict[str, str] = {}
        if directory.authority_is_given:
            if rotation == "":
                reasons = keep(directory, hosts, names, warn_days)
            if not directory.has("client.pem") and not directory.is_given("client"):
                del names["client"]  # client.yml makes it
        names = {name: needed for name, needed in names.items() if f"{name}.pem" not in directory.kept}
        # In check mode, the run has not made the new CA of a reissue.
        checked = {} if arguments["installed"] and self._task.check_mode else hosts
        wanted, problems, warnings = plan(
            directory,
            names,
            checked,
            rotation,
            arguments["days"],
            warn_days,
            arguments["others"],
            installed=arguments["installed"],
        )
        if rotation == "finish" and not problems:
            problems = not_renewed(directory, hosts)
        for name in set(reasons) & set(wanted["certificates"]):
            wanted["certificates"][name] = reasons[name]
        known = {worker_name(host) for host in arguments["workers"]}
        stray = sorted(file for file in directory.given if file.startswith("workers/") and file[:-4] not in known)
        if stray:
            warnings.append(
                f"{VARIABLE} has {', '.join(stray)}, but dask_workers has no such host. Remove or rename it."
            )
        return wanted, problems, warnings

    def _try(
        self, directory: Directory, wanted: dict[str, Any], hosts: dict[str, dict[str, Any]], arguments: dict[str, Any]
    ) -> list[str]:
        """Return the problems of existing or staged certificates that are not replaced."""
        tried = [
            name
            for name in sample(needed_names(hosts, arguments["scheduler_hosts"]))
            if f"{name}.pem" in directory.staged
            or (
                name not in wanted["certificates"]
                and not directory.missing(name)
                and f"{name}.pem" not in directory.kept
            )
        ]
        if not tried or arguments["rotation"] in ("finish", "reissue"):
            return []
        problems = rejected(directory, tried, arguments["dashboard_hosts"], strict(arguments["hosts"]), REMEDY_MADE)
        return problems or without_common_tls(directory, arguments["tls_choices"], True)

    def _make(
        self, directory: Directory, wanted: dict[str, Any], hosts: dict[str, dict[str, Any]], arguments: dict[str, Any]
    ) -> list[str]:
        """Make, test and write certificates; return the problems."""
        if wanted["authority"] or wanted["certificates"]:
            make(directory, wanted, needed_names(hosts, arguments["scheduler_hosts"]), arguments["days"])
        problems = self._try(directory, wanted, hosts, arguments)
        if not problems and wanted != nothing():
            directory.commit(["cross-ca.pem", "previous-ca.pem"] if wanted["finish"] else [])
        return problems
