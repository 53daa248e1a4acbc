# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts as `dask ssh` and batch systems have them."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.hostfiles import HostfileError, divide, read_hosts


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("node1\nnode2\n", ["node1", "node2"]),
        ("node1 node2\tnode3", ["node1", "node2", "node3"]),
        ("node2\nnode2\nnode1\nnode2\n", ["node2", "node1"]),
        ("# rack 1\nnode1 # the scheduler\n\n10.0.0.2\r\nfd00::1\n", ["node1", "10.0.0.2", "fd00::1"]),
        ("node-1.example.org\n3dnode\n7.example.org.\na_b", ["node-1.example.org", "3dnode", "7.example.org.", "a_b"]),
    ],
)
def test_names_are_read_once_and_in_their_order(text, hosts):
    assert read_hosts(text) == hosts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no hosts"),
        ("# nothing\n", "has no hosts"),
        (
            "node1\nnode2 slots=4\n",
            "line 2 has 'slots=4', which is not the name of a host. The file must have only names",
        ),
        (
            "node1 4 all.q@node1 UNDEFINED",
            "line 1 has '4', which is not the name of a host. The file must have only names",
        ),
        ("node[1-4]", "'scontrol show hostnames' writes the names"),
        ("[1-4]", "'scontrol show hostnames' writes the names"),
        ("[::1]", "Write an IPv6 address without brackets. ssh_port sets the port"),
        ("[fd00::1]:22", "Write an IPv6 address without brackets"),
        (
            "[workers]\nnode1\n",
            "line 1 has '[workers]', which is not the name of a host. If the file is an inventory of Ansible, use it "
            "without this plugin (-i FILE), else remove the line.",
        ),
        ("[workers:vars]", "If the file is an inventory of Ansible"),
        ("ada@node1", "Set ssh_username to the user"),
        ("node1:4", "nworkers the number of workers"),
        ("node1,node2", "line 1 has 'node1,node2', which is not the name of a host. Write the names"),
        ("node1;reboot", "is not the name of a host"),
        ("-oProxyCommand=x", "is not the name of a host"),
        ("1.2.3.400", "is not the name of a host"),
        ("{{ lookup('pipe', 'id') }}", "line 1 has '{{', which is not the name of a host"),
    ],
)
def test_other_words_are_rejected(text, message):
    with pytest.raises(HostfileError, match="(?s).*") as raised:
        read_hosts(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("scheduler", "works", "expected"),
    [
        ("", False, ("a", ["b", "c"])),
        ("", True, ("a", ["a", "b", "c"])),
        ("b", False, ("b", ["a", "c"])),
        ("b", True, ("b", ["b", "a", "c"])),
        ("d", False, ("d", ["a", "b", "c"])),
    ],
)
def test_scheduler_is_the_first_host_or_the_given_one(scheduler, works, expected):
    assert divide(["a", "b", "c"], scheduler, works) == expected


def test_single_host_has_the_scheduler_and_workers():
    assert divide(["a"], "", False) == ("a", ["a"])
