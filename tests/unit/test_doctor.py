# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of doctor.yml. Nothing is found on three hosts that are well, and each finding appears after one change."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.doctor import (
    KINDS,
    SEVERITIES,
    Examined,
    diagnose,
    names_to_resolve,
    report,
    scratch_directories,
    targets,
    worker_interfaces,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import plan_hosts
from settled_hosts import GIB, GROUPS, HOSTS, SCHEDULER, SETTLED, WORKER, cluster_of

NAMES = {"s1": "s1.example.org", "w1": "w1.example.org", "w2": "w2.example.org"}
ADDRESSES = {host: f"10.0.0.{number}" for number, host in enumerate(HOSTS, 1)}


def facts(host: str) -> dict[str, Any]:
    """Return the result of `doctor_info` for a host that is well."""
    own = ADDRESSES[host]
    others = [address for address in ADDRESSES.values() if address != own]
    return {
        "connections": [],
        "resolved": {NAMES[other]: [ADDRESSES[other]] for other in HOSTS},
        "reverse": {ADDRESSES[other]: NAMES[other] for other in HOSTS if other != host},
        "mtus": {address: [1500, 1500] for address in others},
        "interfaces": [
            {"name": "lo", "up": True, "mtu": 65536, "addresses": []},
            {"name": "eth0", "up": True, "mtu": 1500, "addresses": [own, "fd00::1"]},
            {"name": "eth1", "up": False, "mtu": 9000, "addresses": ["10.1.0.1"]},
        ],
        "limits": {"nr_open": 1048576, "pid_max": 4194304, "threads_max": 60000},
        "memory": {"total": 8 * GIB, "swap": 0, "swap_used": 0, "overcommit": 0, "commit_free": 8 * GIB},
        "cgroups": {"version": 2, "memory": True},
        "scratch": {
            "/var/lib/dask/scratch": {
                "directory": "/var/lib/dask/scratch",
                "type": "ext4",
                "free": 100 * GIB,
                "inodes": 1_000_000,
                "speed": 500_000_000,
            }
        }
        if host != "s1"
        else {},
        "synchronized": True,
        "selinux": {"mode": "", "tools": False},
        "leftovers": {
            "conda": [],
            "packages": [],
            "system_configuration": [],
            "configuration": [],
            "units": [],
            "processes": [],
        },
        "gpus": {"devices": 0, "driver": "", "tool": "", "error": ""},
        "restarting": [],
        "system": ["Debian GNU/Linux 12", "6.1.0", "x86_64"],
        "journal": "",
        "unanswered": [],
        "invalid": [],
    }


def healthy(**variables: Any) -> Examined:
    """Return hosts that are well, and can be changed."""
    infos = copy.deepcopy(SETTLED)
    services = {"s1": (SCHEDULER, [8786, 8787]), "w1": (WORKER, [8800, 8900]), "w2": (WORKER, [8800, 8900])}
    for host, (unit, ports) in services.items():
        infos[host]["listeners"] = [{"port": port, "process": "python", "unit": unit} for port in ports]
    cluster = cluster_of(infos, **variables)
    plans, problems = plan_hosts(cluster, HOSTS)
    found = {host: facts(host) for host in HOSTS}
    for host in HOSTS:
        plans[host]["problems"] = problems.get(host, [])
        found[host]["connections"] = ["open" for dummy in targets(host, GROUPS, plans, infos)]
    return Examined(GROUPS, infos, found, dict(cluster.values), plans, [], dict(NAMES), "s1.example.org")


def found(examined: Examined) -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Return the hosts and texts of the findings, by code."""
    by_code: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for finding in diagnose(examined):
        by_code.setdefault(finding.code, []).append((finding.hosts, finding.text))
    return by_code


def test_nothing_is_found_on_hosts_that_are_well():
    examined = healthy()
    assert found(examined) == {}
    assert report(diagnose(examined), 3) == ["Examined 3 host(s): nothing was found."]


def test_ports_that_are_tried():
    examined = healthy()
    tried = {
        host: [(one.host, one.port) for one in targets(host, GROUPS, examined.plans, examined.infos)] for host in HOSTS
    }
    assert tried["s1"] == [("w1", 8800), ("w1", 8900), ("w2", 8800), ("w2", 8900)]
    assert tried["w1"] == [("s1", 8786), ("w2", 8800)] and tried["w2"] == [("s1", 8786), ("w1", 8800)]


def test_addresses_at_which_ports_are_tried():
    examined = healthy(dask_bind_address="0.0.0.0")
    for host, info in examined.infos.items():
        examined.plans[host]["address"], info["route"] = "0.0.0.0", [ADDRESSES[host], "10.0.0.1"]
        for worker in examined.plans[host]["workers"]:
            worker["address"] = "0.0.0.0"
    assert {one.address for one in targets("w1", GROUPS, examined.plans, examined.infos)} == {"10.0.0.1", "10.0.0.3"}
    examined.plans["w2"]["workers"][0]["contact_host"] = "gateway.example.org"
    assert targets("w1", GROUPS, examined.plans, examined.infos)[1].address == "gateway.example.org"
    examined.infos["s1"]["route"] = []
    assert [one.host for one in targets("w1", GROUPS, examined.plans, examined.infos)] == ["w2"]


def test_names_of_variables():
    assert names_to_resolve({"a": "a.example", "b": "10.0.0.1", "c": "fd00::1", "d": ""}, "s", ["g", ""]) == [
        "s",
        "g",
        "a.example",
    ]
    (values,) = {id(one): one for one in [healthy().values["w1"]]}.values()
    assert worker_interfaces({**values, "dask_worker_interface": ["ib0", "ib1"]}) == ["ib0", "ib1"]
    assert scratch_directories(values) == ["/var/lib/dask/scratch"]
    wrong = {**values, "dask_worker_pools": {"a": {"nothing": 1}}}
    assert worker_interfaces(wrong) == scratch_directories(wrong) == []


# Each finding


def lost(one: Examined) -> None:
    one.infos["w1"] = {"unreachable": True, "msg": "No\nroute to host."}
    one.facts["w1"] = {"skipped": True}
    del one.plans["w1"]
    for host in ("s1", "w2"):
        wanted = targets(host, GROUPS, one.plans, one.infos)
        one.facts[host]["connections"] = ["open" for dummy in wanted]


def failing_facts(one: Examined) -> None:
    one.facts["w1"] = {"failed": False, "msg": "A traceback.\x1b[31m"}


def stop(one: Examined) -> None:
    one.infos["w1"]["running"] = {}


def restart(one: Examined) -> None:
    one.facts["w1"]["restarting"] = [WORKER]


def uninstall(one: Examined) -> None:
    one.infos["w1"].update(current={}, running={})


def connection(result: str, listens: bool = True):
    def change(one: Examined) -> None:
        one.facts["w1"]["connections"][1] = result
        if not listens:
            one.infos["w2"]["listeners"] = []

    return change


def fact(*path: Any, host: str = "w1"):
    """Return a change of a fact: the keys that lead to it, and the value."""
    *keys, last, value = path

    def change(one: Examined) -> None:
        part = one.facts[host]
        for key in keys:
            part = part[key]
        part[last] = value

    return change


def both(*changes):
    def change(one: Examined) -> None:
        for each in changes:
            each(one)

    return change


def info(name: str, value: Any, host: str = "w1"):
    def change(one: Examined) -> None:
        one.infos[host][name] = value

    return change


def variable(name: str, value: Any):
    def change(one: Examined) -> None:
        one.values["w1"] = {**one.values["w1"], name: value}

    return change


def rejected(one: Examined) -> None:
    one.plans["w1"]["problems"] = ["w1 has 1 GiB of memory. Lower dask_worker_memory."]


def take_port(one: Examined) -> None:
    one.infos["w1"]["listeners"] = [{"port": 8800, "process": "nginx", "unit": "nginx.service"}]
    one.plans["w1"]["problems"] = [
        "w1: port 8800 (dask_worker_port) is used by nginx of nginx.service. Stop that process, or choose another port."
    ]


NAME = NAMES["s1"]
SCRATCH = ("scratch", "/var/lib/dask/scratch")
NVIDIA = {"devices": 1, "driver": "580.1", "tool": "580.1", "error": ""}

#: Code, change, hosts and text of each finding.
FINDINGS = [
    ("unreachable", lost, "w1", "cannot be reached (No route to host)"),
    ("not-examined", failing_facts, "w1", "could not be examined (A traceback.\\x1b[31m)"),
    ("unanswered", fact("unanswered", ["/a did not answer within 10 s"]), "w1", "/a did not answer within 10 s"),
    ("invalid-values", fact("invalid", ["gpus", "mtus"]), "w1", "invalid values were reported: gpus, mtus"),
    ("plan", rejected, "w1", "has 1 GiB of memory. Lower dask_worker_memory"),
    ("stopped", stop, "w1", "dask-worker@1.service does not run"),
    ("restarting", restart, "w1", "dask-worker@1.service does not stay up"),
    ("not-installed", uninstall, "w1", "no services are installed"),
    ("blocked", connection("timed out"), "w1", "port 8800 of w2 (10.0.0.3): timed out"),
    ("blocked", connection("No route to host", False), "w1", "port 8800 of w2 (10.0.0.3): No route to host"),
    (
        "refused",
        connection("refused"),
        "w1",
        "port 8800 of w2 (10.0.0.3) refuses the connection, although a service listens on it",
    ),
    (
        "not-tried",
        connection("refused", False),
        "w2",
        "no service listens on its port, so connections are not tried in full",
    ),
    ("scheduler-name", fact("resolved", NAME, []), "w1", "s1.example.org cannot be resolved"),
    ("host-name", fact("resolved", NAMES["w2"], []), "w1", "w2.example.org cannot be resolved"),
    (
        "name-differs",
        fact("resolved", NAME, ["10.0.0.9"]),
        "w1 w2",
        "s1.example.org is 10.0.0.1 on w2; 10.0.0.9 on w1",
    ),
    (
        "name-differs",
        fact("resolved", NAMES["w1"], ["10.0.0.9"]),
        "s1 w2 w1",
        "w1.example.org is 10.0.0.2 on s1, w2; 10.0.0.9 on w1",
    ),
    ("name-loopback", fact("resolved", NAME, ["127.0.1.1"]), "w1", "s1.example.org is 127.0.1.1 there"),
    ("reverse-name", fact("reverse", "10.0.0.1", ""), "w1", "1 of 2 addresses of hosts have no name"),
    ("clock-far", info("clock", [400.0, 401.0]), "w1", "the clock is 400 s ahead of the controller's"),
    ("clock", info("clock", [-21.0, -20.0]), "w1", "the clock is 20 s behind the controller's"),
    (
        "clock",
        both(info("clock", [4.0, 4.1]), info("clock", [-4.1, -4.0], host="w2")),
        "w1",
        "the clock is 8 s ahead of that of w2",
    ),
    ("clock-free", fact("synchronized", False), "w1", "the clock is not synchronized"),
    (
        "mtu",
        fact("mtus", "10.0.0.3", [1500, 1400]),
        "w1",
        "packets of 1500 bytes do not reach w2, and those of 1400 bytes do",
    ),
    (
        "mtu-differs",
        fact("mtus", {"10.0.0.1": [9000, 9000]}),
        "s1 w2 w1",
        "the MTU is 1500 on s1, w2; 9000 on w1",
    ),
    ("mtu-unknown", fact("mtus", {"10.0.0.1": [1500, 0]}), "w1", "no other host answers echo requests"),
    ("mtu-unknown", fact("mtus", {"10.0.0.1": [1500, -1]}), "w1", "echo requests cannot be sent there"),
    ("interface", variable("dask_interface", "eth7"), "w1", "the interface eth7 does not exist; it has eth0, eth1, lo"),
    ("interface", variable("dask_worker_interface", "eth1"), "w1", "the interface eth1 is down; it has eth0, eth1, lo"),
    ("interface", variable("dask_interface", "lo"), "w1", "the interface lo has no address; it has eth0, eth1, lo"),
    (
        "addresses",
        both(fact("interfaces", 2, "up", True), info("address", "10.0.0.2")),
        "w1",
        "there are 10.0.0.2, fd00::1, 10.1.0.1, and services listen at 10.0.0.2",
    ),
    ("open-files", fact("limits", "nr_open", 1024), "w1", "fs.nr_open is 1024, and dask_open_files is 65536"),
    (
        "processes",
        fact("limits", "threads_max", 1000),
        "w1",
        "kernel.threads-max is 1000, and dask_process_limit is 4096",
    ),
    ("scratch-slow", fact(*SCRATCH, "speed", 9_000_000), "w1", "/var/lib/dask/scratch stores 9 MB per second"),
    ("scratch-inodes", fact(*SCRATCH, "inodes", 12), "w1", "/var/lib/dask/scratch has 12 free inodes"),
    (
        "scratch-small",
        both(fact(*SCRATCH, "free", GIB), fact(*SCRATCH, "directory", "/var/lib")),
        "w1",
        "/var/lib/dask/scratch (in /var/lib) has 1.0 GiB free, and the memory is 8.0 GiB",
    ),
    ("overcommit", fact("memory", "overcommit", 2), "w1", "8.0 GiB can still be allocated"),
    ("swap", fact("memory", "swap", GIB), "w1", "1.0 GiB of swap"),
    ("swapping", fact("memory", "swap_used", 2 * GIB), "w1", "2.0 GiB of swap are in use"),
    ("cgroups", fact("cgroups", "version", 1), "w1", "control groups have version 1"),
    (
        "memory-controller",
        fact("cgroups", "memory", False),
        "w1",
        "the control group for memory is not available",
    ),
    ("firewall", info("firewall", {"foreign": ["firewalld"]}), "w1", "firewalld is active"),
    ("selinux", fact("selinux", {"mode": "enforcing", "tools": True}), "w1", "SELinux is enforced"),
    ("selinux-tools", fact("selinux", {"mode": "enforcing", "tools": False}), "w1", "tools are missing"),
    ("conda", fact("leftovers", "conda", ["/etc/profile.d/c.sh"]), "w1", "/etc/profile.d/c.sh"),
    ("user-packages", fact("leftovers", "packages", ["/home/\x1b[0m"]), "w1", "/home/\\x1b[0m"),
    ("system-configuration", fact("leftovers", "system_configuration", ["/etc/dask/a.yaml"]), "w1", "/etc/dask/a.yaml"),
    ("user-configuration", fact("leftovers", "configuration", ["/x/a.yaml"]), "w1", "/x/a.yaml"),
    (
        "other-unit",
        fact("leftovers", "units", ["/etc/systemd/system/d.service"]),
        "w1",
        "/etc/systemd/system/d.service",
    ),
    (
        "stray-process",
        fact("leftovers", "processes", [{"pid": 7, "user": "ada", "command": "dask-worker a"}]),
        "w1",
        "dask-worker a (pid 7 of ada)",
    ),
    (
        "stray-process",  # must not start a line of the report
        fact("leftovers", "processes", [{"pid": 7, "user": "ada", "command": "dask-worker\nerror [plan] a"}]),
        "w1",
        "dask-worker\\nerror [plan] a (pid 7 of ada)",
    ),
    (
        "port-taken",
        take_port,
        "w1",
        "port 8800 (dask_worker_port) is used by nginx of nginx.service. Stop that process, or choose another port",
    ),
    ("python-versions", info("python", {"version": "3.13.1"}), "s1 w2 w1", "Python is 3.11 on s1, w2; 3.13 on w1"),
    ("gpu-driver", fact("gpus", {**NVIDIA, "error": "mismatch", "tool": ""}), "w1", "nvidia-smi: mismatch"),
    (
        "gpu-driver",
        fact("gpus", {**NVIDIA, "tool": "570.2"}),
        "w1",
        "the kernel has loaded the driver 580.1, and nvidia-smi has 570.2",
    ),
    (
        "gpu-no-driver",
        fact("gpus", {**NVIDIA, "driver": "", "tool": ""}),
        "w1",
        "1 NVIDIA GPU(s), and no driver is loaded",
    ),
    (
        "gpu-versions",
        both(fact("gpus", NVIDIA), fact("gpus", {**NVIDIA, "driver": "9", "tool": "9"}, host="w2")),
        "w1 w2",
        "the driver is 580.1 on w1; 9 on w2",
    ),
    ("gpu-tool", fact("gpus", {**NVIDIA, "tool": ""}), "w1", "nvidia-smi is not installed"),
]


@pytest.mark.parametrize(("code", "change", "hosts", "text"), FINDINGS, ids=lambda value: str(value)[:20])
def test_each_finding(code, change, hosts, text):
    examined = healthy()
    change(examined)
    assert found(examined) == {code: [(tuple(hosts.split()), text)]}


def test_every_kind_is_found_by_a_test():
    assert {code for code, *dummy in FINDINGS} == set(KINDS)


@pytest.mark.parametrize("code", KINDS)
def test_kind_says_when_and_what_to_do(code):
    kind = KINDS[code]
    assert kind.severity in SEVERITIES and kind.remedy.endswith((".", ")."))
    assert kind.when and not kind.when.endswith(".")


def test_gpus_without_a_finding():
    examined = healthy()
    for host in ("w1", "w2"):
        examined.facts[host]["gpus"] = NVIDIA
    assert found(examined) == {}


def test_hosts_in_maintenance_are_not_examined():
    examined = healthy()
    lost(examined)
    examined.maintenance.append("w1")
    assert found(examined) == {}


def test_other_hosts_are_examined_if_one_is_lost():
    examined = healthy()
    lost(examined)
    examined.facts["w2"]["leftovers"]["conda"] = ["/x"]
    assert set(found(examined)) == {"unreachable", "conda"}


def test_blank_hosts():
    """Before the first run, nothing is installed and nothing listens. Refused connections are no errors."""
    examined = healthy()
    for host, info in examined.infos.items():
        info.update(current={}, running={}, listeners=[])
        examined.facts[host]["connections"] = ["refused" for dummy in examined.facts[host]["connections"]]
    assert set(found(examined)) == {"not-installed", "not-tried"}
    assert {finding.severity for finding in diagnose(examined)} == {"note"}


def test_scheduler_that_does_not_run_is_an_error_and_its_port_only_a_note():
    examined = healthy()
    examined.infos["s1"].update(running={}, listeners=[])
    for host in ("w1", "w2"):
        examined.facts[host]["connections"][0] = "refused"
    assert found(examined) == {
        "stopped": [(("s1",), "dask-scheduler.service does not run")],
        "not-tried": [(("s1",), "no service listens on its port, so connections are not tried in full")],
    }


def test_report_has_the_most_severe_findings_first_and_the_hosts_of_each():
    examined = healthy()
    for host in HOSTS:
        examined.facts[host]["synchronized"] = False
        examined.facts[host]["cgroups"]["version"] = 1
    stop(examined)
    assert [line.partition(".")[0] for line in report(diagnose(examined), 3)] == [
        "error [stopped] w1: dask-worker@1",
        "warning [cgroups] s1, w1, w2: control groups have version 1",
        "note [clock-free] s1, w1, w2: the clock is not synchronized",
        "Examined 3 host(s): 1 error, 1 warning, 1 note",
    ]
