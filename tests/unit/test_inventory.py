# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems of an inventory, which name the hosts and the remedy."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import problems
from sentences import only, says


def inventory(
    schedulers=("s1",),
    workers=("w1", "w2"),
    address="",
    platform="linux",
    tls=True,
    dashboard_proxy=False,
    client_host="",
    scheduler_host="",
    **hostvars,
):
    """Return the problems of an inventory. Keyword arguments are the variables of hosts."""
    known = {host: hostvars.get(host, {}) for host in {*schedulers, *workers}}
    groups = {"dask_scheduler": list(schedulers), "dask_workers": list(workers)}
    found = problems(groups, known, address, platform, tls, dashboard_proxy, client_host, scheduler_host)
    return [str(problem) for problem in found]


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
        {"client_host": "dask.example.org"},
        {"client_host": "fd00::1"},
        {"scheduler_host": "fd00::1"},
    ],
)
def test_valid_inventories_have_no_problem(good):
    assert inventory(**good) == []


def test_missing_groups_count_as_empty():
    found = list(map(str, problems({}, {}, "", "linux", True)))
    assert len(found) == 2
    assert says(found[0], "dask_scheduler has no host", "Put one Linux host into it", "set dask_scheduler_address")
    assert says(found[1], "dask_workers has no host", "Put at least one host into it")


def test_group_that_was_probably_meant_is_named():
    hosts = {"s1": {}, "w1": {}}
    (problem,) = map(
        str, problems({"dask_scheduler": ["s1"], "workers": ["w1"], "web": ["w1"]}, hosts, "", "linux", True)
    )
    assert problem == (
        "The group dask_workers has no host. Put at least one host into it. The group workers was probably meant to be "
        "dask_workers."
    )
    (problem,) = map(
        str, problems({"scheduler": ["s1"], "dask_workers": ["w1"], "nodes": []}, hosts, "", "linux", True)
    )
    assert says(problem, "The group dask_scheduler has no host", "that another system runs. The group scheduler was")


def test_host_for_clients_that_is_a_url():
    assert only(inventory(client_host="tls://dask.example.org:8786")) == (
        "dask_client_scheduler_host is 'tls://dask.example.org:8786'. Give a name or an address, without a protocol, a port "
        "and brackets."
    )


def test_host_of_the_scheduler_with_brackets():
    assert says(only(inventory(scheduler_host="[fd00::1]")), "dask_scheduler_host is '[fd00::1]'", "without a protocol")


def test_two_schedulers():
    assert says(only(inventory(schedulers=["s1", "s2"])), "dask_scheduler has 2 hosts (s1, s2)", "Leave exactly one")


def test_scheduler_host_and_external_scheduler_exclude_each_other():
    sentence = only(inventory(address="tls://10.0.0.5:8786"))
    assert says(sentence, "dask_scheduler_address (tls://10.0.0.5:8786)", "has s1", "Keep one of the two")


@pytest.mark.parametrize(("scheme", "tls", "other"), [("tcp", True, "tls"), ("tls", False, "tcp")])
def test_protocol_of_the_address_must_match_dask_tls(scheme, tls, other):
    sentence = only(inventory(schedulers=[], address=f"{scheme}://10.0.0.5:8786", tls=tls))
    assert says(sentence, f"dask_scheduler_address is {scheme}://10.0.0.5:8786, but dask_tls is {str(tls).lower()}")
    assert says(sentence, f"Set dask_tls to {str(not tls).lower()}", f"{other}://")


def test_proxy_needs_a_scheduler_host():
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
def test_scheduler_on_windows_is_rejected(variables):
    sentence = only(inventory(s1=variables))
    assert says(sentence, "s1:", "cannot be installed on Windows", "systemd", "about 100 workers")
    assert says(sentence, "Put the scheduler on a Linux host")


def test_scheduler_host_with_platform_windows_is_rejected():
    assert says(only(inventory(platform="windows")), "s1:", "Put the scheduler on a Linux host")


@pytest.mark.parametrize("variables", WINDOWS)
def test_worker_on_windows_is_rejected(variables):
    sentence = only(inventory(w2=variables))
    assert says(sentence, "w2:", "cannot be managed", "Remove the host from dask_workers", "'dask worker'")


def test_windows_host_in_both_groups_is_reported_once():
    assert says(only(inventory(workers=["s1"], s1=WINDOWS[0])), "Put the scheduler on a Linux host")


SAME = (
    "w1 and w2 are the same machine, and would both change the same services. Keep one of the names. A host may be in both "
    "groups, and dask_worker_count sets its number of workers."
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
def test_two_names_of_one_machine_are_rejected(one, other):
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
def test_names_of_possibly_different_machines_are_accepted(one, other):
    assert inventory(w1=one, w2=other) == []


def test_equal_booleans_may_be_written_differently():
    assert inventory(w1={"dask_tls": True}, w2={"dask_tls": "true"}, s1={"dask_tls": "yes"}) == []


def test_equal_dictionaries_may_have_another_order():
    one, other = "0" * 64, "1" * 64
    given = {"s1": {"x86_64": one, "aarch64": other}, "w1": {"aarch64": other, "x86_64": one}}
    hosts = {host: {"dask_python_sha256": value} for host, value in given.items()}
    assert inventory(workers=["w1"], **hosts) == []
    hosts["w1"] = {"dask_python_sha256": {"aarch64": one, "x86_64": one}}
    assert says(only(inventory(workers=["w1"], **hosts)), "dask_python_sha256 differs for ")


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.0.0.5",
            "10.0.0.5:8786",
            "tls://10.0.0.5",
            "tls://10.0.0.5:0",
            "tls://:8786",
            "tls://::1:8786",
            "tls://a b:1",
        ),
        *(f"{protocol}://10.0.0.5:8786" for protocol in ("gateway", "inproc", "quic", "ucx", "ws", "wss", "TLS")),
    ],
)
def test_invalid_address_is_rejected(address):
    assert inventory(schedulers=[], address=address) == [
        f"dask_scheduler_address is '{address}'. Give tcp:// or tls://, a host and a port, like tls://10.0.0.5:8786, with "
        "an IPv6 address in brackets."
    ]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("address", ["http://10.0.0.5:8787", "https://10.0.0.5/status", "http://["])
def test_url_of_the_dashboard_is_rejected(address, tls):
    assert inventory(schedulers=[], address=address, tls=tls) == [
        f"dask_scheduler_address is '{address}', the URL of a dashboard. Give the address of the scheduler, "
        f"{'tls' if tls else 'tcp'}://HOST:8786. The dashboard belongs in dask_scheduler_dashboard_url."
    ]


@pytest.mark.parametrize("name", ["node 1", "node\t1", 'node"1', "node'1", "node\\1"])
def test_name_of_a_worker_host_that_a_unit_splits_is_rejected(name):
    assert inventory(workers=["w1", name]) == [
        f"The host {name!r} in dask_workers has a name with a space, a quote or a backslash, which systemd interprets in "
        "the arguments of workers. Rename it, and set ansible_host to its address."
    ]
    assert inventory(schedulers=[name], workers=["w1"]) == []


@pytest.mark.parametrize(
    "name", ["nœud", "rack/1", "fd00::1", "a%b", "a$b", "a#b", "a@b", "w-1.example.org", "a_b", "10.0.0.1"]
)
def test_other_names_of_worker_hosts_are_accepted(name):
    assert inventory(workers=[name]) == []


def test_ipv6_address_in_brackets_is_accepted():
    assert inventory(schedulers=[], address="tls://[fe80::1]:8786") == []


def test_cluster_variable_that_differs_for_one_host_is_rejected():
    sentence = only(
        inventory(s1={"dask_scheduler_port": 9}, w1={"dask_scheduler_port": 9}, w2={"dask_scheduler_port": 8})
    )
    assert says(
        sentence, "dask_scheduler_port differs for w2 (8) from the other hosts (9)", "Set it once, for all hosts"
    )
    sentence = only(inventory(w2={"dask_environment_lock": "other.txt"}))
    assert says(sentence, "dask_environment_lock differs for w2 (other.txt) from the other hosts (not set)")


def test_differing_secrets_are_not_shown():
    given = {host: {"dask_tls_files": {"ca.key": "a secret"}} for host in ("s1", "w1")}
    sentence = only(inventory(**given, w2={"dask_tls_files": {"ca.key": "another secret"}}))
    assert says(sentence, "dask_tls_files differs for w2 from the other hosts. It applies")
    assert "secret" not in sentence
