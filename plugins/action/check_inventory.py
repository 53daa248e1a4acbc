# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the inventory as a whole, on the controller, before any host is asked anything."""

from __future__ import annotations

import contextlib
import re

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import SAME_MACHINE, refuse
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import variables_of

WINDOWS_SCHEDULER = (
    "{host}: the scheduler is not installed on Windows. There is no systemd there, and the scheduler's TCP server takes "
    "about 100 workers at most. Put the scheduler on a Linux host; workers may run anywhere."
)
WINDOWS_WORKER = (
    "{host}: workers on Windows are not managed here, for want of systemd. Take the host out of dask_workers and start "
    "'dask worker' on it by hand: it may join the cluster."
)

# What is true of the cluster, not of a host: hosts that disagree would not find each other.
CLUSTER_WIDE = (
    "dask_dashboard_proxy",
    "dask_dashboard_proxy_port",
    "dask_dashboard_proxy_prefix",
    "dask_environment_lock",
    "dask_environment_source",
    "dask_firewall_clients",
    "dask_firewall_peers",
    "dask_scheduler_address",
    "dask_scheduler_dashboard_port",
    "dask_scheduler_dashboard_url",
    "dask_scheduler_host",
    "dask_scheduler_platform",
    "dask_scheduler_port",
    "dask_tls",
    "dask_tls_certificates",
    "dask_tls_directory",
)


def is_windows(variables):
    """Whether a host's variables say that it runs Windows."""
    return (
        variables.get("ansible_connection") in ("winrm", "psrp", "ansible.builtin.winrm", "ansible.builtin.psrp")
        or variables.get("ansible_shell_type") in ("powershell", "cmd")
        or variables.get("ansible_facts", {}).get("os_family") == "Windows"
    )


# Connection plugins that reach a machine by its address and port alone, and the options that lead on from there.
BY_ADDRESS = ("", "smart", "ssh", "paramiko", "paramiko_ssh", "libssh")
DETOUR = re.compile(r"ansible_(?!sftp|scp)\w*(args|proxy_\w+)")


def connection(host, variables):
    """What leads Ansible to a machine. The users it logs in as may differ.

    Two hosts are told apart wherever that is possible. Whether they are one machine, they say themselves later.
    """
    try:
        plugin = str(variables.get("ansible_connection", "")).rpartition(".")[2]
        address = str(variables.get("ansible_host", variables.get("ansible_ssh_host", host))).lower()
        port = str(variables.get("ansible_port", variables.get("ansible_ssh_port", 22)))
        detour = sorted((name, str(variables[name])) for name in variables if DETOUR.fullmatch(str(name)))
    except AnsibleError:  # Ansible itself tells, if it is to connect to this host.
        return host
    if plugin == "local":
        return "localhost", port, ()
    if plugin not in BY_ADDRESS:  # the same address may be another machine, as on another host with containers
        return host
    return "localhost" if address in ("127.0.0.1", "::1") else address, port, tuple(detour)


def comparable(name, value):
    """A value as a text. An INI inventory gives ``true`` where YAML gives true."""
    if name in ("dask_dashboard_proxy", "dask_tls"):
        with contextlib.suppress(TypeError):
            value = boolean(value)
    return str(value)


def is_address(text):
    """Whether a text is the address of a scheduler."""
    found = re.fullmatch(r"[a-z]+://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text)
    return bool(found) and 0 < int(found.group(1)) < 65536


def problems(groups, hostvars, address, platform, tls, dashboard_proxy=False):
    """What is wrong with the inventory, one sentence each.

    Parameters
    ----------
    groups : dict of list of str
        Hosts by group.
    hostvars : dict of Mapping
        Variables by host.
    address : str
        Address of a scheduler that somebody else runs, or empty.
    platform : str
        What that scheduler runs on, ``linux`` or ``windows``.
    tls : bool
        Whether everything is to be encrypted.
    dashboard_proxy : bool
        Whether there is to be a proxy in front of the dashboard.
    """
    schedulers, workers = groups.get("dask_scheduler", []), groups.get("dask_workers", [])
    if not schedulers and not address:
        yield (
            "The group dask_scheduler has no host. Put one Linux host in it, or set dask_scheduler_address to join the "
            "workers to a scheduler that somebody else runs."
        )
    if len(schedulers) > 1:
        yield f"The group dask_scheduler has {len(schedulers)} hosts ({', '.join(schedulers)}). Leave exactly one in it."
    if schedulers and address:
        yield (
            f"dask_scheduler_address ({address}) names a scheduler that somebody else runs, and the group dask_scheduler "
            f"has {schedulers[0]}. Keep one of the two."
        )
    encrypted = address.startswith("tls://")
    if address and not is_address(address):
        yield (
            f"dask_scheduler_address is '{address}'. Give a protocol, a host and a port, like tls://10.0.0.5:8786, with an "
            "IPv6 address in brackets."
        )
    elif address and encrypted != tls:
        yield (
            f"dask_scheduler_address is {address}, but dask_tls is {str(tls).lower()}. Set dask_tls to "
            f"{str(encrypted).lower()}, or begin the address with {'tcp' if encrypted else 'tls'}:// if the scheduler "
            f"{'does not encrypt' if encrypted else 'encrypts'}."
        )
    if address and dashboard_proxy:
        yield (
            f"dask_dashboard_proxy is true, but dask_scheduler_address ({address}) names a scheduler that somebody else "
            "runs, and so is its dashboard. Set dask_dashboard_proxy to false."
        )
    if not workers:
        yield "The group dask_workers has no host. Put at least one in it."
    for host in schedulers:
        if is_windows(hostvars[host]):
            yield WINDOWS_SCHEDULER.format(host=host)
        elif platform == "windows":
            yield f"{WINDOWS_SCHEDULER.format(host=host)} (dask_scheduler_platform is windows.)"
    for host in workers:
        if host not in schedulers and is_windows(hostvars[host]):
            yield WINDOWS_WORKER.format(host=host)

    names = {}
    for host in dict.fromkeys([*schedulers, *workers]):
        names.setdefault(connection(host, hostvars[host]), []).append(host)
    for several in names.values():
        if len(several) > 1:
            yield SAME_MACHINE.format(names=" and ".join(several))

    for name in CLUSTER_WIDE:
        values = {
            host: comparable(name, hostvars[host].get(name, "not set"))
            for host in dict.fromkeys([*schedulers, *workers])
        }
        common, odd = odd_ones_out(values)
        if odd:
            others = ", ".join(f"{host} ({value})" for host, value in sorted(odd.items()))
            yield (
                f"{name} differs for {others} from the other hosts ({common}). It holds for the whole cluster: set it once, "
                "for all hosts."
            )


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, arguments = self.validate_argument_spec(
            {
                "scheduler_address": {"type": "str", "default": ""},
                "scheduler_platform": {"type": "str", "default": "linux"},
                "tls": {"type": "bool", "default": True},
                "dashboard_proxy": {"type": "bool", "default": False},
            }
        )
        groups = task_vars["groups"]
        hosts = [host for group in ("dask_scheduler", "dask_workers") for host in groups.get(group, [])]
        found = problems(
            groups,
            variables_of(hosts, task_vars, self._templar),
            arguments["scheduler_address"],
            arguments["scheduler_platform"],
            arguments["tls"],
            arguments["dashboard_proxy"],
        )
        return refuse(result, found)
