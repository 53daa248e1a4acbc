# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what `doctor.yml` found out about the hosts and their network."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.connections import OPEN, REFUSED
from ansible_collections.daskops.cluster.plugins.module_utils.health import format_bytes, join
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import printable
from ansible_collections.daskops.cluster.plugins.module_utils.units import UNIT
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import (
    TOLERANCE,
    apart,
    certain_difference,
    readable,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import WILDCARDS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import Groups, members, scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import taken_ports
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import pools_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import state

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

#: Seconds by which a clock makes new certificates invalid.
FAR = 300.0

#: Bytes per second below which a disk is slow for spilled data, and free inodes below which it is nearly full.
SLOW, INODES = 50_000_000, 10_000

#: Characters of a finding.
LENGTH = 20_000

#: Bytes of swap in use from which the host is short of memory.
SWAPPING = 1024**3


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Parameters
    ----------
    severity : str
        One of `SEVERITIES`.
    when : str
        When it is found, for the documentation.
    remedy : str
        What to do.
    """

    severity: str
    when: str
    remedy: str


#: The kinds of findings, by their code.
KINDS: dict[str, Kind] = {
    "unreachable": Kind(
        ERROR, "Ansible cannot connect to the host", "Start the host, or correct its connection variables."
    ),
    "not-examined": Kind(ERROR, "the host could not be examined", "Correct what the message says, and run again."),
    "unanswered": Kind(
        ERROR,
        "a part of the host, such as a directory, a process or a driver, did not answer in time or could not be examined",
        "Look for file servers that do not answer (findmnt -t nfs,nfs4), for processes in state D (ps axo stat,pid,comm), "
        "and for messages of the kernel (dmesg).",
    ),
    "invalid-values": Kind(
        ERROR,
        "the host reported invalid values, which are not used",
        "Find out which program or file on the host causes them. Someone else may control the host.",
    ),
    "plan": Kind(ERROR, "`site.yml` would reject the host", "Correct it before you run site.yml."),
    "stopped": Kind(
        ERROR,
        "installed services do not run",
        "Run start.yml. status.yml and the journal show more: journalctl -u 'dask-*'.",
    ),
    "restarting": Kind(
        ERROR, "a service has failed, or systemd starts it again and again", "Read its journal: journalctl -u UNIT."
    ),
    "not-installed": Kind(NOTE, "no services are installed on the host", "Run site.yml to install them."),
    "blocked": Kind(
        ERROR,
        "a connection to a port of another host gets no answer, or the network rejects it",
        "Allow the connection in the firewalls of both hosts and of the network between them. show_ports.yml lists "
        "the ports.",
    ),
    "refused": Kind(
        ERROR,
        "a connection to a port of another host is refused, although a service listens on it",
        "Check the address at which the service listens (ss -ltn), and firewalls that reject connections.",
    ),
    "not-tried": Kind(
        NOTE,
        "nothing listens on the ports. The refused connections show that packets pass, but a firewall may also refuse them",
        "Run doctor.yml again when the services run.",
    ),
    "scheduler-name": Kind(
        ERROR,
        "a host cannot resolve a name with which services connect",
        "Add the name to DNS or /etc/hosts, or set the variable to an address.",
    ),
    "host-name": Kind(
        WARNING,
        "a host cannot resolve the name of another host",
        "Add the name to DNS or /etc/hosts. Services do not need it, but users and monitoring may.",
    ),
    "name-differs": Kind(
        WARNING,
        "hosts resolve a name to different addresses",
        "Make DNS and /etc/hosts agree, or use addresses in the inventory.",
    ),
    "name-loopback": Kind(
        ERROR,
        "a host resolves the scheduler's name to a loopback address",
        "Remove the name from the line of 127.0.0.1, 127.0.1.1 or ::1 in /etc/hosts, or set dask_scheduler_host to an "
        "address.",
    ),
    "reverse-name": Kind(
        NOTE,
        "a host finds no name for the addresses of others, although hosts have names",
        "Add the addresses to DNS or /etc/hosts, if logs should show names.",
    ),
    "clock-far": Kind(
        ERROR,
        "a clock differs from the controller's by more than five minutes, so new certificates may be invalid",
        "Synchronize the clocks, for example with chrony or systemd-timesyncd.",
    ),
    "clock": Kind(
        WARNING,
        "a clock differs from the controller's by more than five seconds",
        "Synchronize the clocks, for example with chrony or systemd-timesyncd.",
    ),
    "clock-free": Kind(
        NOTE,
        "systemd does not regard the clock as synchronized",
        "Start chrony or systemd-timesyncd. Ignore this if the clock of a virtual machine follows that of its host.",
    ),
    "mtu": Kind(
        ERROR,
        "packets of the interface's size get lost on the way to another host, so large transfers hang",
        "Give all interfaces and switches on the path the same MTU, or lower the MTU of the interfaces.",
    ),
    "mtu-differs": Kind(
        WARNING, "the interfaces of the cluster have different MTUs", "Give the interfaces the same MTU."
    ),
    "mtu-unknown": Kind(
        NOTE,
        "no other host answers echo requests (ping), or none can be sent, so the MTU of the paths is not known",
        "Allow ICMP between the hosts. It is also needed to find the MTU of a path.",
    ),
    "interface": Kind(
        ERROR,
        "an interface in `dask_interface` or `dask_worker_interface` does not exist, is down or has no address",
        "Correct the variable. `ip address` on the host lists the interfaces.",
    ),
    "addresses": Kind(
        NOTE,
        "the host has several addresses, and the route to the scheduler chooses one",
        "Set dask_interface if services should listen at another one.",
    ),
    "open-files": Kind(
        ERROR,
        "the kernel allows fewer open files than `dask_open_files`, so services do not start",
        "Raise fs.nr_open with sysctl, or lower dask_open_files.",
    ),
    "processes": Kind(
        WARNING,
        "the kernel allows fewer processes or threads than `dask_process_limit`",
        "Raise kernel.pid_max and kernel.threads-max with sysctl, or lower dask_process_limit.",
    ),
    "scratch-slow": Kind(
        WARNING,
        "the disk for spilled data stores less than 50 MB per second",
        "Set dask_worker_scratch_directory to a faster disk.",
    ),
    "scratch-inodes": Kind(
        WARNING, "the disk for spilled data is nearly out of inodes", "Remove files there (df -i), or use another disk."
    ),
    "scratch-small": Kind(
        NOTE,
        "the disk for spilled data has less free space than the host has memory",
        "Workers can spill less than they can hold. Set dask_worker_scratch_directory to a larger disk, if tasks need it.",
    ),
    "overcommit": Kind(
        WARNING,
        "the kernel limits allocated memory (`vm.overcommit_memory` is 2), so tasks can fail although memory is free",
        "Set vm.overcommit_memory to 0 with sysctl.",
    ),
    "swap": Kind(
        NOTE,
        "the host has swap, in which workers become very slow before they reach their memory limit",
        "Turn swap off with swapoff -a and in /etc/fstab, or keep a small one.",
    ),
    "swapping": Kind(
        WARNING,
        "more than 1 GiB of swap is in use",
        "Find out what uses the memory (`smem`, `top`). Lower dask_worker_memory or raise dask_worker_memory_reserve.",
    ),
    "cgroups": Kind(
        WARNING,
        "the host has control groups of version 1, with which Dask and systemd limit memory less exactly",
        "Boot with systemd.unified_cgroup_hierarchy=1, or upgrade the distribution.",
    ),
    "memory-controller": Kind(
        ERROR,
        "systemd cannot limit the memory of services, because the control group for memory is off",
        "Boot with cgroup_enable=memory. In a container, give it the controller.",
    ),
    "firewall": Kind(
        WARNING,
        "a firewall that the collection does not manage is active",
        "Set dask_firewall, or allow all hosts of the cluster to connect to the ports that show_ports.yml lists.",
    ),
    "selinux": Kind(NOTE, "SELinux is enforced", "If a service is denied something, see ausearch -m avc -ts recent."),
    "selinux-tools": Kind(
        WARNING,
        "SELinux is enforced, but the tools with which the run labels files are missing",
        "Install policycoreutils and libselinux-utils.",
    ),
    "conda": Kind(
        WARNING,
        "login shells activate conda, which can put another Python and other packages in front",
        "Remove the lines (conda init --reverse), or make sure that nobody expects the cluster's packages in such a shell.",
    ),
    "user-packages": Kind(
        WARNING,
        "the services' account has packages of its own (`pip install --user`)",
        "Remove the directory. Services ignore it, but programs of tasks may import from it.",
    ),
    "system-configuration": Kind(
        WARNING,
        "`/etc/dask` has a configuration",
        "Services ignore it, but clients and other programs on the host use it. Move the settings to dask_config.",
    ),
    "user-configuration": Kind(
        WARNING,
        "the services' account has a configuration in `~/.config/dask`",
        "Services read it, below their own configuration. Move the settings to dask_config, and remove the files.",
    ),
    "other-unit": Kind(
        WARNING,
        "a unit of another installation runs Dask",
        "Disable it (systemctl disable --now UNIT), and remove it if this collection replaces it.",
    ),
    "stray-process": Kind(
        WARNING,
        "a scheduler or worker runs that does not belong to the collection's services",
        "Stop it. It uses memory and cores that the plan gives to the services, and may register with their scheduler.",
    ),
    "port-taken": Kind(ERROR, "another program listens on a planned port", "Stop the program, or choose another port."),
    "python-versions": Kind(
        NOTE,
        "the hosts' own Pythons have different minor versions",
        "Nothing, if dask_python is auto: the run installs one Python on all hosts.",
    ),
    "gpu-driver": Kind(
        ERROR,
        "`nvidia-smi` fails, or reports another driver than the kernel has loaded",
        "Reboot the host after an upgrade of the driver, or install the driver again.",
    ),
    "gpu-no-driver": Kind(
        WARNING, "the host has NVIDIA GPUs, but the driver is not loaded", "Install the driver, or blacklist the GPUs."
    ),
    "gpu-versions": Kind(
        WARNING, "hosts have different versions of the driver", "Install the same driver on all hosts with GPUs."
    ),
    "gpu-tool": Kind(
        NOTE, "the driver is loaded, but `nvidia-smi` is not installed", "Install it, to look at the GPUs."
    ),
}


@dataclass(frozen=True)
class Finding:
    """A finding about hosts.

    Parameters
    ----------
    code : str
        Its kind, a key of `KINDS`.
    hosts : tuple of str
        The hosts.
    text : str
        What was found, without the hosts and without a full stop.
    """

    code: str
    hosts: tuple[str, ...]
    text: str

    @property
    def severity(self) -> str:
        """Return the severity."""
        return KINDS[self.code].severity

    @property
    def remedy(self) -> str:
        """Return what to do."""
        return KINDS[self.code].remedy

    def line(self) -> str:
        """Return the finding as a line of a report."""
        return f"{self.severity} [{self.code}] {join(self.hosts)}: {self.text}. {self.remedy}"


@dataclass(frozen=True)
class Target:
    """A port of another host to which a host connects."""

    host: str
    address: str
    port: int
    variable: str


@dataclass(frozen=True)
class Examined:
    """What is known of the hosts.

    Parameters
    ----------
    groups : dict of list of str
        Groups of the inventory.
    infos, facts : dict of dict
        Results of `host_info` and `doctor_info`, by host. That of a host that could not be inspected has ``msg``.
    values : dict of dict
        Complete variables, by host.
    plans : dict of dict
        ``hosts`` of the plan for display.
    maintenance : list of str
        Hosts in maintenance.
    names : dict of str
        Name or address with which Ansible connects, by host.
    scheduler_host : str
        Name or address with which services connect to the scheduler.
    """

    groups: Groups
    infos: Mapping[str, Mapping[str, Any]] = field(repr=False)
    facts: Mapping[str, Mapping[str, Any]] = field(repr=False)
    values: Mapping[str, Mapping[str, Any]] = field(repr=False)
    plans: Mapping[str, Mapping[str, Any]] = field(repr=False)
    maintenance: list[str]
    names: Mapping[str, str]
    scheduler_host: str


def is_address(name: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def reached_at(host: str, plans: Mapping[str, Mapping[str, Any]], infos: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the address at which other hosts reach the services of a host; empty if it is not known."""
    address = str(plans.get(host, {}).get("address") or "")
    return next(iter(infos.get(host, {}).get("route") or []), "") if address in WILDCARDS else address


def connects(variable: str, local: bool, is_scheduler: bool) -> bool:
    """Return whether a host of the cluster connects to a port of another host, by the variable of the port."""
    if local:
        return False
    if variable in ("dask_scheduler_port", "dask_worker_port"):
        return True
    # The scheduler talks to nannies, and its dashboard shows the pages of workers.
    return is_scheduler and variable in ("dask_worker_nanny_port", "dask_worker_dashboard_port")


def targets(
    host: str, groups: Groups, plans: Mapping[str, Mapping[str, Any]], infos: Mapping[str, Mapping[str, Any]]
) -> list[Target]:
    """Return the ports of other hosts to which the services of a host connect."""
    found = []
    for other, plan in plans.items():
        if other == host:
            continue
        usual = reached_at(other, plans, infos)
        at = {worker["unit"]: worker["contact_host"] or worker["address"] for worker in plan.get("workers", [])}
        for port in plan.get("ports", []):
            address = at.get(port["unit"]) or usual
            address = usual if address in WILDCARDS else address
            if address and connects(
                port["variable"], port["connects"] == "the host itself", host == scheduler_of(groups)
            ):
                found.append(Target(other, address, port["port"], port["variable"]))
    return found


def worker_interfaces(values: Mapping[str, Any]) -> list[str]:
    """Return the interfaces that the pools of a host set; none if the variables of the pools are invalid."""
    try:
        settings = [pool["interface"] for pool in pools_of(values).values()]
    except ValueError:  # the plan has this problem
        return []
    flat = [name for one in settings for name in (one if isinstance(one, list) else [one])]
    return [name for name in dict.fromkeys(map(str, flat)) if name and name != values["dask_interface"]]


def scratch_directories(values: Mapping[str, Any]) -> list[str]:
    """Return the scratch directories of the pools of a host; none if the variables of the pools are invalid."""
    try:
        return list(dict.fromkeys(pool["scratch_directory"] for pool in pools_of(values).values()))
    except ValueError:
        return []


def names_to_resolve(examined_names: Mapping[str, str], scheduler_host: str, contacts: Iterable[str]) -> list[str]:
    """Return the names that hosts should resolve: the scheduler's, those of gateways, and those of the hosts."""
    names = [scheduler_host, *contacts, *examined_names.values()]
    return [name for name in dict.fromkeys(names) if name and not is_address(name)]


def diagnose(examined: Examined) -> list[Finding]:
    """Return the findings, the most severe first. The same finding about several hosts is one."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in RULES:
        for code, host, text in rule(examined):
            # A line feed in the name of a file or a process must not start a forged finding.
            hosts = found.setdefault((code, printable(text, LENGTH)), [])
            if host not in hosts:
                hosts.append(host)
    findings = [Finding(code, tuple(hosts), text) for (code, text), hosts in found.items()]
    return sorted(findings, key=lambda one: SEVERITIES.index(one.severity))


def report(findings: Iterable[Finding], hosts: int) -> list[str]:
    """Return the lines of a report."""
    findings = list(findings)
    counts = [(sum(one.severity == severity for one in findings), severity) for severity in SEVERITIES]
    said = ", ".join(f"{number} {severity}{'' if number == 1 else 's'}" for number, severity in counts if number)
    return [*(one.line() for one in findings), f"Examined {hosts} host(s): {said or 'nothing was found'}."]


# Rules

#: Code, host and text of a finding.
Found = tuple[str, str, str]


def by_value(hosts: Mapping[Any, list[str]]) -> str:
    """Return values with their hosts as text, such as ``1500 on a, b; 9000 on c``."""
    return "; ".join(f"{value} on {join(names)}" for value, names in sorted(hosts.items()))


def _examined(examined: Examined) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the hosts that were examined, with their result of `doctor_info`."""
    for host, facts in examined.facts.items():
        if "limits" in facts:
            yield host, facts


def reachable(examined: Examined) -> Iterator[Found]:
    """Find hosts that could not be examined."""
    for host, info in examined.infos.items():
        if host in examined.maintenance:
            continue
        facts = examined.facts.get(host, {})
        lost = next((one for one in (info, facts) if one.get("unreachable")), None)
        why = (lost or (info if "running" not in info else facts)).get("msg", "no result")
        text = printable(" ".join(str(why).split()).rstrip("."), 500)
        if lost or ("running" not in info and not info.get("failed")):
            yield "unreachable", host, f"cannot be reached ({text})"
        elif "running" not in info or "limits" not in facts:
            yield "not-examined", host, f"could not be examined ({text})"


def parts(examined: Examined) -> Iterator[Found]:
    """Find parts of hosts that could not be examined."""
    for host, facts in _examined(examined):
        for sentence in facts["unanswered"]:
            yield "unanswered", host, sentence
        if facts["invalid"]:
            yield "invalid-values", host, f"invalid values were reported: {join(facts['invalid'])}"


def services(examined: Examined) -> Iterator[Found]:
    """Find services that do not run."""
    for host, info in examined.infos.items():
        if host in examined.maintenance or "running" not in info:
            continue
        what, units = state(info)
        failing = examined.facts.get(host, {}).get("restarting", [])
        for unit in failing:
            yield "restarting", host, f"{unit} does not stay up"
        stopped = [unit for unit in units if unit not in failing]
        if what == "not installed":
            yield "not-installed", host, "no services are installed"
        elif stopped:
            yield "stopped", host, f"{join(stopped)} {'does' if len(stopped) == 1 else 'do'} not run"


def planned(examined: Examined) -> Iterator[Found]:
    """Find reasons why the planned services cannot run."""
    for host, plan in examined.plans.items():
        ports = {port["port"]: port["variable"] for port in plan.get("ports", [])}
        info = examined.infos.get(host, {})
        taken = list(taken_ports(host, info, ports)) if "listeners" in info else []
        for code, sentences in (("port-taken", taken), ("plan", plan.get("problems", []))):
            for sentence in sentences:
                if code == "port-taken" or sentence not in taken:
                    text = printable(str(sentence).removeprefix(f"{host}: ").removeprefix(f"{host} "), 1000)
                    yield code, host, text.rstrip(".")


def network(examined: Examined) -> Iterator[Found]:
    """Find ports of other hosts that cannot be reached."""
    silent: dict[str, None] = {}  # in the order of the hosts
    for host, facts in _examined(examined):
        wanted = targets(host, examined.groups, examined.plans, examined.infos)
        for target, result in zip(wanted, facts["connections"], strict=False):
            if result == OPEN:
                continue
            listens = any(
                one["port"] == target.port and UNIT.fullmatch(one["unit"])
                for one in examined.infos[target.host].get("listeners", [])
            )
            where = f"port {target.port} of {target.host} ({target.address})"
            if result != REFUSED:
                yield "blocked", host, f"{where}: {result}"
            elif listens:
                yield "refused", host, f"{where} refuses the connection, although a service listens on it"
            else:
                silent[target.host] = None
    for host in silent:
        yield "not-tried", host, "no service listens on its port, so connections are not tried in full"


def names(examined: Examined) -> Iterator[Found]:
    """Find names that hosts resolve differently or not at all."""
    used = {examined.scheduler_host, *(values["dask_worker_contact_host"] for values in examined.values.values())}
    answers: dict[str, dict[str, list[str]]] = {}
    for host, facts in _examined(examined):
        own = {address for link in facts["interfaces"] for address in link["addresses"]}
        for name, found in facts["resolved"].items():
            addresses = {one: ipaddress.ip_address(one.partition("%")[0]) for one in found}
            loopback = [one for one in found if addresses[one].is_loopback]
            comparable = [one for one in found if not addresses[one].is_link_local]
            if not found:
                yield "scheduler-name" if name in used else "host-name", host, f"{name} cannot be resolved"
            elif loopback and name == examined.scheduler_host and len(members(examined.groups)) > 1:
                yield "name-loopback", host, f"{name} is {join(loopback)} there"
            # There, a host's own name is often a loopback address, or all its addresses.
            elif loopback or not comparable or (name == examined.names.get(host) and own & set(comparable)):
                continue
            else:
                answers.setdefault(name, {}).setdefault(join(comparable), []).append(host)
        if any(not is_address(name) for name in examined.names.values()):
            nameless = [address for address, name in facts["reverse"].items() if not name]
            if nameless:
                yield (
                    "reverse-name",
                    host,
                    f"{len(nameless)} of {len(facts['reverse'])} addresses of hosts have no name",
                )
    for name, by_answer in answers.items():
        if len(by_answer) > 1:
            for host in (host for hosts in by_answer.values() for host in hosts):
                yield "name-differs", host, f"{name} is {by_value(by_answer)}"


def clocks(examined: Examined) -> Iterator[Found]:
    """Find clocks that are wrong or free."""
    known: dict[str, list[float]] = {}
    differ = False
    for host, facts in _examined(examined):
        known[host] = examined.infos[host].get("clock") or [0, 0]
        away = certain_difference(known[host])
        if abs(away) > TOLERANCE:
            differ = True
            code = "clock-far" if abs(away) > FAR else "clock"
            yield code, host, f"the clock is {readable(away)} the controller's"
        if facts["synchronized"] is False:
            yield "clock-free", host, "the clock is not synchronized"
    if known and not differ:
        first, last, seconds = apart(known)
        if seconds > TOLERANCE:
            yield "clock", last, f"the clock is {readable(seconds)} that of {first}"


def sizes(examined: Examined) -> Iterator[Found]:
    """Find paths that lose large packets, and interfaces with different MTUs."""
    used: dict[int, list[str]] = {}
    at = {reached_at(host, examined.plans, examined.infos): host for host in examined.infos}
    for host, facts in _examined(examined):
        for address, (interface, largest) in facts["mtus"].items():
            if 0 < largest < interface:
                other = at.get(address, address)
                yield "mtu", host, f"packets of {interface} bytes do not reach {other}, and those of {largest} bytes do"
        answers = [largest for dummy, largest in facts["mtus"].values()]
        if answers and max(answers) <= 0:
            said = "no other host answers echo requests" if max(answers) == 0 else "echo requests cannot be sent there"
            yield "mtu-unknown", host, said
        for mtu in sorted({interface for interface, dummy in facts["mtus"].values()}):
            used.setdefault(mtu, []).append(host)
    if len(used) > 1:
        for host in dict.fromkeys(host for hosts in used.values() for host in hosts):
            yield "mtu-differs", host, f"the MTU is {by_value(used)}"


def interfaces(examined: Examined) -> Iterator[Found]:
    """Find interfaces that are set but cannot be used, and hosts whose address was chosen from several."""
    for host, facts in _examined(examined):
        values, links = examined.values[host], {link["name"]: link for link in facts["interfaces"]}
        if not links:
            continue
        has_workers = host in examined.groups.get("dask_workers", [])
        for name in [values["dask_interface"], *(worker_interfaces(values) if has_workers else [])]:
            if not name:
                continue
            link = links.get(name)
            wrong = "does not exist" if not link else "is down" if not link["up"] else ""
            wrong = wrong or ("" if link and link["addresses"] else "has no address")
            if wrong:
                yield "interface", host, f"the interface {name} {wrong}; it has {join(sorted(links))}"
        several = [address for link in links.values() if link["up"] for address in link["addresses"]]
        chosen = values["dask_interface"] or values["dask_bind_address"]
        listens = examined.infos[host].get("address", "")
        # An address of each family is usual.
        if not chosen and sum((":" in one) == (":" in listens) for one in several) > 1:
            yield "addresses", host, f"there are {join(several)}, and services listen at {listens or 'none of them'}"


def limits(examined: Examined) -> Iterator[Found]:
    """Find limits of the kernel below those of services."""
    for host, facts in _examined(examined):
        values, kernel = examined.values[host], facts["limits"]
        if 0 < kernel["nr_open"] < values["dask_open_files"]:
            yield (
                "open-files",
                host,
                f"fs.nr_open is {kernel['nr_open']}, and dask_open_files is {values['dask_open_files']}",
            )
        for name, shown in (("pid_max", "kernel.pid_max"), ("threads_max", "kernel.threads-max")):
            if 0 < kernel[name] < values["dask_process_limit"]:
                limit = values["dask_process_limit"]
                yield "processes", host, f"{shown} is {kernel[name]}, and dask_process_limit is {limit}"


def disks(examined: Examined) -> Iterator[Found]:
    """Find disks that are slow or nearly full."""
    for host, facts in _examined(examined):
        for path, about in facts["scratch"].items():
            at = f"{path} (in {about['directory']})" if about["directory"] != path else path
            if 0 < about["speed"] < SLOW:
                yield "scratch-slow", host, f"{at} stores {about['speed'] / 1e6:.0f} MB per second"
            if 0 <= about["inodes"] < INODES:
                yield "scratch-inodes", host, f"{at} has {about['inodes']} free inodes"
            if about["free"] < facts["memory"]["total"]:
                free, memory = format_bytes(about["free"]), format_bytes(facts["memory"]["total"])
                yield "scratch-small", host, f"{at} has {free} free, and the memory is {memory}"


def memories(examined: Examined) -> Iterator[Found]:
    """Find settings of memory that disturb workers."""
    for host, facts in _examined(examined):
        memory, groups = facts["memory"], facts["cgroups"]
        if memory["overcommit"] == 2:
            yield "overcommit", host, f"{format_bytes(memory['commit_free'])} can still be allocated"
        if memory["swap_used"] > SWAPPING:
            yield "swapping", host, f"{format_bytes(memory['swap_used'])} of swap are in use"
        elif memory["swap"]:
            yield "swap", host, f"{format_bytes(memory['swap'])} of swap"
        if not groups["memory"]:
            yield "memory-controller", host, "the control group for memory is not available"
        elif groups["version"] == 1:
            yield "cgroups", host, "control groups have version 1"


def security(examined: Examined) -> Iterator[Found]:
    """Find firewalls and SELinux."""
    for host, info in examined.infos.items():
        for name in (info.get("firewall") or {}).get("foreign", []):
            yield "firewall", host, f"{name} is active"
    for host, facts in _examined(examined):
        if facts["selinux"]["mode"] == "enforcing":
            tools = facts["selinux"]["tools"]
            yield ("selinux", host, "SELinux is enforced") if tools else ("selinux-tools", host, "tools are missing")


def leftovers(examined: Examined) -> Iterator[Found]:
    """Find other installations."""
    lists = {
        "conda": "conda",
        "packages": "user-packages",
        "system_configuration": "system-configuration",
        "configuration": "user-configuration",
        "units": "other-unit",
    }
    for host, facts in _examined(examined):
        found = facts["leftovers"]
        for key, code in lists.items():
            if found[key]:
                yield code, host, join([printable(path, 200) for path in found[key]])
        for process in found["processes"]:
            yield "stray-process", host, f"{process['command']} (pid {process['pid']} of {process['user']})"


def pythons(examined: Examined) -> Iterator[Found]:
    """Find different versions of Python."""
    found: dict[str, list[str]] = {}
    for host, info in examined.infos.items():
        version = (info.get("python") or {}).get("version", "")
        if version:
            found.setdefault(".".join(version.split(".")[:2]), []).append(host)
    if len(found) > 1:
        for host in (host for hosts in found.values() for host in hosts):
            yield "python-versions", host, f"Python is {by_value(found)}"


def gpus(examined: Examined) -> Iterator[Found]:
    """Find GPUs whose driver is missing, broken or of another version than on other hosts."""
    drivers: dict[str, list[str]] = {}
    for host, facts in _examined(examined):
        about = facts["gpus"]
        driver, tool = about["driver"], about["tool"]
        if about["devices"] and not driver:
            yield "gpu-no-driver", host, f"{about['devices']} NVIDIA GPU(s), and no driver is loaded"
        elif driver and about["error"]:
            yield "gpu-driver", host, f"nvidia-smi: {about['error']}"
        elif driver and tool and tool != driver:
            yield "gpu-driver", host, f"the kernel has loaded the driver {driver}, and nvidia-smi has {tool}"
        elif driver and not tool:
            yield "gpu-tool", host, "nvidia-smi is not installed"
        if driver:
            drivers.setdefault(driver, []).append(host)
    if len(drivers) > 1:
        for host in (host for hosts in drivers.values() for host in hosts):
            yield "gpu-versions", host, f"the driver is {by_value(drivers)}"


RULES: tuple[Callable[[Examined], Iterator[Found]], ...] = (
    reachable,
    parts,
    services,
    planned,
    network,
    names,
    clocks,
    sizes,
    interfaces,
    limits,
    disks,
    memories,
    security,
    leftovers,
    pythons,
    gpus,
)
