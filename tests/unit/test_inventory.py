# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The problems of an inventory name the hosts and say what to do; a good inventory has none."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import problems


def only(found):
    """The one problem that is expected."""
    (problem,) = found
    return problem


def says(sentence, *parts):
    return all(part in sentence for part in parts)


def inventory(
    schedulers=("s1",), workers=("w1", "w2"), address="", platform="linux", tls=True, dashboard_proxy=False, **hostvars
):
    """What is wrong with an inventory. Variables of hosts are keyword arguments."""
    known = {host: hostvars.get(host, {}) for host in {*schedulers, *workers}}
    groups = {"dask_scheduler": list(schedulers), "dask_workers": list(workers)}
    return [str(problem) for problem in problems(groups, known, address, platform, tls, dashboard_proxy)]


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"workers": ["s1", "w1"]},
        {"schedulers": [], "address": "tls://10.0.0.5:8786"},
        {"schedulers": [], "address": "tcp://10.0.0.5:8786", "platform": "windows", "tls": False},
        {"w1": {"dask_worker_count": 2, "ansible_connection": "ssh", "my_dask_notes": "", "__dask_internal": 1}},
        {"w1": {"ansible_facts": {"os_family": "Debian"}}},
        {"dashboard_proxy": True},
    ],
)
def test_good_inventories_pass(good):
    assert inventory(**good) == []


def test_groups_that_do_not_exist_are_empty():
    found = list(map(str, problems({}, {}, "", "linux", True)))
    assert len(found) == 2
    assert says(found[0], "dask_scheduler has no host", "Put one Linux host in it", "set dask_scheduler_address")
    assert says(found[1], "dask_workers has no host", "Put at least one in it")


def test_two_schedulers():
    assert says(only(inventory(schedulers=["s1", "s2"])), "dask_scheduler has 2 hosts (s1, s2)", "Leave exactly one")


def test_a_scheduler_of_ours_and_one_of_somebody_else():
    sentence = only(inventory(address="tls://10.0.0.5:8786"))
    assert says(sentence, "dask_scheduler_address (tls://10.0.0.5:8786)", "has s1", "Keep one of the two")


@pytest.mark.parametrize(("scheme", "tls", "other"), [("tcp", True, "tls"), ("tls", False, "tcp")])
def test_an_address_that_speaks_otherwise_than_the_cluster(scheme, tls, other):
    sentence = only(inventory(schedulers=[], address=f"{scheme}://10.0.0.5:8786", tls=tls))
    assert says(sentence, f"dask_scheduler_address is {scheme}://10.0.0.5:8786, but dask_tls is {str(tls).lower()}")
    assert says(sentence, f"Set dask_tls to {str(not tls).lower()}", f"{other}://")


def test_a_proxy_in_front_of_somebody_elses_dashboard():
    sentence = only(inventory(schedulers=[], address="tls://10.0.0.5:8786", dashboard_proxy=True))
    assert says(sentence, "dask_dashboard_proxy is true", "(tls://10.0.0.5:8786)", "Set dask_dashboard_proxy to false")


WINDOWS = [
    {"ansible_connection": "winrm"},
    {"ansible_connection": "ansible.builtin.psrp"},
    {"ansible_connection": "ssh", "ansible_shell_type": "powershell"},
    {"ansible_shell_type": "cmd"},
    {"ansible_facts": {"os_family": "Windows"}},
]


@pytest.mark.parametrize("variables", WINDOWS)
def test_a_scheduler_on_windows(variables):
    assert says(only(inventory(s1=variables)), "s1:", "not installed on Windows", "Put the scheduler on a Linux host")


def test_a_scheduler_of_ours_that_is_said_to_be_on_windows():
    assert says(only(inventory(platform="windows")), "s1:", "Put the scheduler on a Linux host")


@pytest.mark.parametrize("variables", WINDOWS)
def test_a_worker_on_windows(variables):
    sentence = only(inventory(w2=variables))
    assert says(sentence, "w2:", "not managed here", "Take the host out of dask_workers", "'dask worker'")


def test_a_windows_host_in_both_groups_is_told_once():
    assert says(only(inventory(workers=["s1"], s1=WINDOWS[0])), "Put the scheduler on a Linux host")


SAME = (
    "w1 and w2 are one machine, and would fight over the same services. Keep one of the names; a host may be in both "
    "groups, and dask_worker_count says how many workers it has."
)
JUMP = {"ansible_ssh_common_args": "-J a.example.org"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1"}),
        ({"ansible_host": "10.0.0.1", "ansible_user": "a"}, {"ansible_host": "10.0.0.1", "ansible_user": "b"}),
        ({"ansible_host": "10.0.0.1", "ansible_port": 22}, {"ansible_host": "10.0.0.1"}),
        ({"ansible_host": "node.example.org"}, {"ansible_host": "Node.Example.org", "ansible_connection": "ssh"}),
        ({"ansible_host": "w2"}, {}),
        ({"ansible_connection": "local"}, {"ansible_host": "localhost"}),
        ({"ansible_connection": "ansible.builtin.local", "ansible_host": "w1"}, {"ansible_host": "127.0.0.1"}),
        ({"ansible_host": "10.0.0.1", **JUMP}, {"ansible_host": "10.0.0.1", **JUMP}),
        ({"ansible_ssh_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1", "ansible_connection": "paramiko"}),
    ],
)
def test_two_names_that_lead_to_one_machine(one, other):
    assert inventory(w1=one, w2=other) == [SAME]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.2"}),
        ({"ansible_host": "127.0.0.1", "ansible_port": 2201}, {"ansible_host": "127.0.0.1", "ansible_port": "2202"}),
        ({"ansible_host": "10.0.0.1", **JUMP}, {"ansible_host": "10.0.0.1"}),
        ({"ansible_host": "a"}, {"ansible_host": "a", "ansible_connection": "community.docker.docker"}),
        (
            {"ansible_host": "127.0.0.1", "ansible_ssh_port": 2201},
            {"ansible_host": "127.0.0.1", "ansible_ssh_port": 2202},
        ),
        (
            {"ansible_host": "a", "ansible_connection": "community.general.lxd", "ansible_lxd_remote": "one"},
            {"ansible_host": "a", "ansible_connection": "community.general.lxd", "ansible_lxd_remote": "two"},
        ),
        (
            {"ansible_host": "a", "ansible_connection": "kubernetes.core.kubectl", "ansible_kubectl_pod": "one"},
            {"ansible_host": "a", "ansible_connection": "kubernetes.core.kubectl", "ansible_kubectl_pod": "two"},
        ),
        (
            {"ansible_host": "10.0.0.1", "ansible_paramiko_proxy_command": "ssh -W %h:%p one"},
            {"ansible_host": "10.0.0.1", "ansible_paramiko_proxy_command": "ssh -W %h:%p two"},
        ),
    ],
)
def test_names_that_may_lead_to_two_machines(one, other):
    assert inventory(w1=one, w2=other) == []


def test_truth_may_be_written_as_a_text():
    assert inventory(w1={"dask_tls": True}, w2={"dask_tls": "true"}, s1={"dask_tls": "yes"}) == []


@pytest.mark.parametrize(
    "address",
    ["10.0.0.5", "10.0.0.5:8786", "tls://10.0.0.5", "tls://10.0.0.5:0", "tls://:8786", "tls://::1:8786", "tls://a b:1"],
)
def test_an_address_that_is_none(address):
    assert inventory(schedulers=[], address=address) == [
        f"dask_scheduler_address is '{address}'. Give a protocol, a host and a port, like tls://10.0.0.5:8786, with an IPv6 "
        "address in brackets."
    ]


def test_an_ipv6_address_in_brackets_is_one():
    assert inventory(schedulers=[], address="tls://[fe80::1]:8786") == []


def test_a_variable_of_the_whole_cluster_that_one_host_has_otherwise():
    sentence = only(
        inventory(s1={"dask_scheduler_port": 9}, w1={"dask_scheduler_port": 9}, w2={"dask_scheduler_port": 8})
    )
    assert says(
        sentence, "dask_scheduler_port differs for w2 (8) from the other hosts (9)", "set it once, for all hosts"
    )
