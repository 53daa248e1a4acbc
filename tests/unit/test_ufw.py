# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of ufw, in its files and as the collection wants them."""

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.ufw import (
    LARGEST,
    Rule,
    chunks,
    own_rules,
    read_rules,
    wanted_rules,
)
from hypothesis import given
from hypothesis import strategies as st

#: As ufw 0.36 of Debian 12 writes them.
V4 = """*filter
### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 22 -j ACCEPT

### tuple ### allow tcp 8786,8787,8800:8803 0.0.0.0/0 any 10.1.0.0/16 in comment=6461736b6f70732e636c7573746572
-A ufw-user-input -p tcp -m multiport --dports 8786,8787,8800:8803 -s 10.1.0.0/16 -j ACCEPT

### tuple ### allow tcp 8786 0.0.0.0/0 any 10.0.0.7 in comment=6461736b6f70732e636c7573746572
### tuple ### allow tcp 8787 0.0.0.0/0 any 10.0.0.8 in comment=6f74686572
### tuple ### deny tcp 8787 0.0.0.0/0 any 10.0.0.9 in comment=6461736b6f70732e636c7573746572
### tuple ### allow udp 8787 0.0.0.0/0 any 10.0.0.9 in
### tuple ### allow tcp 8786 0.0.0.0/0 any nonsense in
### tuple ### allow tcp 8786 0.0.0.0/0 any 10.0.0.1 in comment=6
### END RULES ###
"""
V6 = "### tuple ### allow tcp 8786 ::/0 any fd00::5 in comment=6461736b6f70732e636c7573746572\n"


def test_rules_are_read():
    assert read_rules([V4, V6]) == {
        Rule("0.0.0.0/0", "22"): False,
        Rule("10.1.0.0/16", "8786,8787,8800:8803"): True,
        Rule("10.0.0.7/32", "8786"): True,
        Rule("10.0.0.8/32", "8787"): False,
        Rule("fd00::5/128", "8786"): True,
    }
    assert len(own_rules(read_rules([V4, V6]))) == 3
    assert read_rules([]) == read_rules(["", "nothing"]) == {}


def ports_in(chunk):
    parts = [part.split(":") for part in chunk.split(",")]
    return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}


@given(st.sets(st.integers(1, 200), max_size=80))
def test_ports_are_divided_into_rules(ports):
    found = list(chunks(ports))
    assert set().union(*map(ports_in, found)) == ports
    for chunk in found:
        assert 1 <= sum(2 if ":" in part else 1 for part in chunk.split(",")) <= LARGEST
    numbers = [number for chunk in found for number in sorted(ports_in(chunk))]
    assert numbers == sorted(ports)


PORTS = [{"port": 8786, "clients": True}, {"port": 8787, "clients": True}, {"port": 8800, "clients": False}]
NETWORKS = {
    "cluster": {"ipv4": ["10.0.0.0/31", "10.0.0.9/32"], "ipv6": ["fd00::/64"]},
    "clients": {"ipv4": ["10.1.0.0/16"], "ipv6": ["::/0"]},
}


def test_hosts_and_clients_have_their_ports():
    v4 = [
        Rule("10.0.0.0/31", "8786:8787,8800"),
        Rule("10.0.0.9/32", "8786:8787,8800"),
        Rule("10.1.0.0/16", "8786:8787"),
    ]
    v6 = [Rule("fd00::/64", "8786:8787,8800"), Rule("::/0", "8786:8787")]
    assert wanted_rules(PORTS, NETWORKS, ipv6=False) == v4
    assert sorted(wanted_rules(PORTS, NETWORKS, ipv6=True)) == sorted([*v4, *v6])
    assert v4[0].words == ["allow", "proto", "tcp", "from", "10.0.0.0/31", "to", "any", "port", "8786:8787,8800"]


@pytest.mark.parametrize("ports", [[], [{"port": 8800, "clients": False}]])
def test_host_without_ports_for_clients_has_no_rule_for_them(ports):
    networks = {"cluster": {"ipv4": [], "ipv6": []}, "clients": {"ipv4": ["10.1.0.0/16"], "ipv6": []}}
    assert wanted_rules(ports, networks, ipv6=True) == []
