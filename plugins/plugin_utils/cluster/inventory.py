# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the inventory as a whole: groups, platforms, duplicate hosts, and variables of the whole cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import is_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import Groups, hints
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import CLUSTER_SETTINGS, Setting
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import to_bool
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out

# Connection plugins whose machine depends only on the address and the port.
BY_ADDRESS = ("", "smart", "ssh", "paramiko", "paramiko_ssh", "libssh")
# Variables with connection options that may lead to another machine than the address, such as a jump host.
DETOUR = re.compile(r"ansible_(?!sftp|scp)\w*(args|proxy_\w+)")
# Other variables that identify a machine and its operating system.
CONNECTION = (
    "ansible_connection",
    "ansible_facts",
    "ansible_host",
    "ansible_port",
    "ansible_shell_type",
    "ansible_ssh_host",
    "ansible_ssh_port",
)


def is_needed(name: str) -> bool:
    """Return whether the validation of the inventory reads a variable."""
    return name in CONNECTION or name in CLUSTER_SETTINGS or bool(DETOUR.fullmatch(name))


def same_machine(names: Iterable[str]) -> Problem:
    """Return the problem of inventory names that lead to the same machine."""
    return Problem(
        " and ".join(names),
        "are the same machine, and would both change the same services",
        "Keep one of the names. A host may be in both groups, and dask_worker_count sets its number of workers.",
    )


def is_windows(variables: Mapping[str, Any]) -> bool:
    """Return whether a host runs Windows according to its variables."""
    return (
        variables.get("ansible_connection") in ("winrm", "psrp", "ansible.builtin.winrm", "ansible.builtin.psrp")
        or variables.get("ansible_shell_type") in ("powershell", "cmd")
        or variables.get("ansible_facts", {}).get("os_family") == "Windows"
    )


def connection(host: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the connection parameters of a host. They are equal for two hosts only if these are certainly one machine.

    Ignores the user of the connection. `host_info` finds other duplicates later, by machine ID.
    """
    plugin = str(variables.get("ansible_connection", "")).rpartition(".")[2]
    address = str(variables.get("ansible_host", variables.get("ansible_ssh_host", host))).lower()
    port = str(variables.get("ansible_port", variables.get("ansible_ssh_port", 22)))
    detour = sorted(f"{name}={value}" for name, value in variables.items() if DETOUR.fullmatch(name))
    if plugin == "local":
        return ("localhost", port)
    if plugin not in BY_ADDRESS:  # the address may belong to the host of a container
        return (host,)
    return ("localhost" if address in ("127.0.0.1", "::1") else address, port, *detour)


def is_address(text: str) -> bool:
    """Return whether a text is the address of a scheduler, with a protocol that the collection supports."""
    found = re.fullmatch(r"(?:tcp|tls)://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text)
    return found is not None and 0 < int(found.group(1)) < 65536


def _wrong_address(address: str, tls: bool, dashboard_proxy: bool) -> Iterator[Problem]:
    """Yield the problems of the address of a scheduler that another system runs."""
    encrypted = address.startswith("tls://")
    if address.startswith(("http://", "https://")):
        yield Problem(
            "dask_scheduler_address",
            f"is '{address}', the URL of a dashboard",
            f"Give the address of the scheduler, {'tls' if tls else 'tcp'}://HOST:8786. The dashboard belongs in "
            "dask_scheduler_dashboard_url.",
        )
    elif not is_address(address):
        yield Problem(
            "dask_scheduler_address",
            f"is '{address}'",
            "Give tcp:// or tls://, a host and a port, like tls://10.0.0.5:8786, with an IPv6 address in brackets.",
        )
    elif encrypted != tls:
        yield Problem(
            "dask_scheduler_address",
            f"is {address}, but dask_tls is {str(tls).lower()}",
            f"Set dask_tls to {str(encrypted).lower()}, or begin the address with {'tcp' if encrypted else 'tls'}:// if the "
            f"scheduler {'does not use TLS' if encrypted else 'uses TLS'}.",
        )
    if dashboard_proxy:
        yield Problem(
            "dask_dashboard_proxy",
            f"is true, but another system runs the scheduler at dask_scheduler_address ({address}) and its dashboard",
            "Set dask_dashboard_proxy to false.",
        )


def _wrong_host(variable: str, host: str) -> Iterator[Problem]:
    """Yield the problem of a variable that is not the name or the address of a host."""
    if not is_host(host):
        yield Problem(variable, f"is '{host}'", "Give a name or an address, without a protocol, a port and brackets.")


def _wrong_groups(groups: Groups, address: str) -> Iterator[Problem]:
    """Yield the problems of the number of hosts."""
    schedulers, workers = groups.get("dask_scheduler", []), groups.get("dask_workers", [])
    if not schedulers and not address:
        yield Problem(
            "The group dask_scheduler",
            "has no host",
            "Put one Linux host into it, or set dask_scheduler_address to connect the workers to a scheduler that another "
            f"system runs.{hints(groups, ['dask_scheduler'])}",
        )
    if len(schedulers) > 1:
        names = ", ".join(schedulers)
        yield Problem("The group dask_scheduler", f"has {len(schedulers)} hosts ({names})", "Leave exactly one in it.")
    if schedulers and address:
        yield Problem(
            f"dask_scheduler_address ({address})",
            f"is set for a scheduler that another system runs, but the group dask_scheduler has {schedulers[0]}",
            "Keep one of the two.",
        )
    if not workers:
        yield Problem(
            "The group dask_workers", "has no host", f"Put at least one host into it.{hints(groups, ['dask_workers'])}"
        )


def _wrong_names(workers: list[str]) -> Iterator[Problem]:
    """Yield the problems of names of worker hosts that a unit cannot contain."""
    for host in workers:
        # EnvironmentFile= and $DASKOPS_ARGUMENTS in ExecStart= interpret only these characters.
        if re.search(r"[\s\"'\\\x00-\x1f\x7f]", host):
            yield Problem(
                f"The host {host!r} in dask_workers",
                "has a name with a space, a quote or a backslash, which systemd interprets in the arguments of workers",
                "Rename it, and set ansible_host to its address.",
            )


def _on_windows(
    schedulers: list[str], workers: list[str], hosts: Mapping[str, Mapping[str, Any]], platform: str
) -> Iterator[Problem]:
    """Yield the problems of hosts that run Windows."""
    for host in schedulers:
        said = "" if is_windows(hosts[host]) else " (dask_scheduler_platform is windows)"
        if platform == "windows" or not said:
            yield Problem(
                f"{host}:",
                f"the scheduler cannot be installed on Windows{said}. Windows has no systemd, and the scheduler's TCP "
                "server supports about 100 workers there",
                "Put the scheduler on a Linux host.",
            )
    for host in workers:
        if host not in schedulers and is_windows(hosts[host]):
            yield Problem(
                f"{host}:",
                "workers on Windows cannot be managed, because Windows has no systemd",
                "Remove the host from dask_workers, and start 'dask worker' on it by hand to join the cluster.",
            )


def _ordered(value: Any) -> Any:
    """Return a value with the keys of dictionaries in order."""
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=str)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


def _comparable(setting: Setting, value: Any) -> str:
    """Return a value as text. The string ``true`` of an INI inventory and the bool of YAML give the same text."""
    flag = to_bool(value) if setting.type == "bool" else None
    return str(_ordered(value) if flag is None else flag)


def _differing(hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield the problems of variables that differ between hosts but must be equal in the whole cluster."""
    for name, setting in sorted(CLUSTER_SETTINGS.items()):
        common, odd = odd_ones_out(
            {host: _comparable(setting, variables.get(name, "not set")) for host, variables in hosts.items()}
        )
        if odd:
            shown = {host: "" if setting.secret else f" ({value})" for host, value in odd.items()}
            others = ", ".join(f"{host}{shown[host]}" for host in sorted(odd))
            yield Problem(
                name,
                f"differs for {others} from the other hosts" + ("" if setting.secret else f" ({common})"),
                "It applies to the whole cluster. Set it once, for all hosts.",
            )


def problems(
    groups: Mapping[str, list[str]],
    hosts: Mapping[str, Mapping[str, Any]],
    address: str,
    platform: str,
    tls: bool,
    dashboard_proxy: bool = False,
    client_host: str = "",
    scheduler_host: str = "",
) -> list[Problem]:
    """Return the problems of the inventory as a whole.

    Parameters
    ----------
    groups : dict of list of str
        Hosts by group.
    hosts : dict of dict
        Variables of the hosts of both groups, by host. Only variables for which `is_needed` is true.
    address : str
        Address of a scheduler that another system runs. Empty if the cluster has its own scheduler.
    platform : str
        Platform of that scheduler, ``linux`` or ``windows``.
    tls : bool
        Whether connections are encrypted.
    dashboard_proxy : bool
        Whether a proxy runs in front of the dashboard.
    client_host : str
        Name or address of the scheduler for clients; empty for that of workers.
    scheduler_host : str
        Name or address of the scheduler; empty if another system runs it.
    """
    schedulers, workers = groups.get("dask_scheduler", []), groups.get("dask_workers", [])
    ours = {host: hosts[host] for host in dict.fromkeys([*schedulers, *workers])}
    names: dict[tuple[str, ...], list[str]] = {}
    for host, variables in ours.items():
        names.setdefault(connection(host, variables), []).append(host)
    return [
        *_wrong_groups(groups, address),
        *(_wrong_address(address, tls, dashboard_proxy) if address else []),
        *(_wrong_host("dask_client_scheduler_host", client_host) if client_host else []),
        *(_wrong_host("dask_scheduler_host", scheduler_host) if scheduler_host else []),
        *_wrong_names(workers),
        *_on_windows(schedulers, workers, ours, platform),
        *(same_machine(several) for several in names.values() if len(several) > 1),
        *_differing(ours),
    ]
