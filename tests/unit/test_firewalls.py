# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection of other programs' firewalls that close ports."""

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import firewalls
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import (
    closing_chains,
    closing_policy,
    foreign_firewalls,
    unmanaged,
)

OURS = """table inet daskops {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp flags & (syn | ack) == syn tcp dport { 8786, 8787 } goto dask
	}

	chain dask {
		iif "lo" accept
		counter packets 0 bytes 0 drop
	}
}
"""
BY_POLICY = """table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
		counter packets 12 bytes 840 jump ufw-before-input
	}

	chain FORWARD {
		type filter hook forward priority filter; policy accept;
	}
}
"""
BY_RULE = """table inet mine {
	set blocked {
		type ipv4_addr
	}

	chain incoming {
		type filter hook input priority 0; policy accept;
		ct state established,related accept
		tcp dport 22 accept
		{rule}
	}
}
"""
# Rules of Docker and fail2ban.
OPEN = """table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		meta l4proto tcp tcp dport 22 counter packets 5 bytes 300 jump f2b-sshd
	}

	chain f2b-sshd {
		ip saddr 192.0.2.1 counter packets 1 bytes 60 reject with icmp port-unreachable
		counter packets 4 bytes 240 return
	}

	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter packets 0 bytes 0 drop
	}
}
"""


@pytest.mark.parametrize(
    "rule", ["drop", "counter drop", "counter packets 3 bytes 180 drop", "reject with icmpx admin-prohibited", "reject"]
)
def test_chain_with_a_final_drop_rule_is_closing(rule):
    assert closing_chains(BY_RULE.replace("{rule}", rule)) == ["nftables (table inet mine, chain incoming)"]


def test_chain_with_a_drop_policy_is_closing():
    assert closing_chains(OURS + BY_POLICY) == ["nftables (table ip filter, chain INPUT)"]


@pytest.mark.parametrize("ruleset", ["", OURS, OPEN, BY_RULE.replace("{rule}", "tcp dport 25 drop")])
def test_rules_for_other_ports_are_not_closing(ruleset):
    assert closing_chains(ruleset) == []


@pytest.mark.parametrize(
    ("rules", "closes"),
    [
        ("-P INPUT DROP\n", True),
        (
            "-P INPUT ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n",
            True,
        ),
        ("-P INPUT ACCEPT\n-A INPUT -s 192.0.2.1/32 -j DROP\n", False),
        ("", False),
    ],
)
def test_iptables(rules, closes):
    assert closing_policy(rules) is closes


@pytest.mark.parametrize(
    ("address", "ipv6", "filters"),
    [("10.0.0.1", "no", True), ("fd00::1", "no", False), ("fd00::1", "yes", True), ("", "no", True)],
)
def test_ufw_may_leave_ipv6_alone(tmp_path, monkeypatch, address, ipv6, filters):
    (tmp_path / "defaults").write_text(f"IPV6={ipv6}\n")
    monkeypatch.setattr(firewalls, "UFW_DEFAULTS", str(tmp_path / "defaults"))
    assert firewalls.ufw_filters(address) is filters


@pytest.mark.parametrize(
    ("enabled", "policy", "found"),
    [("yes", "DROP", ["ufw"]), ("no", "DROP", []), ("yes", "ACCEPT", []), ("YES", "REJECT", ["ufw"])],
)
def test_ufw(tmp_path, monkeypatch, enabled, policy, found):
    (tmp_path / "ufw.conf").write_text(f"# /etc/ufw/ufw.conf\n#\nENABLED={enabled}\nLOGLEVEL=low\n")
    (tmp_path / "defaults").write_text(f'IPV6=yes\nDEFAULT_INPUT_POLICY="{policy}"\n')
    monkeypatch.setattr(firewalls, "UFW", str(tmp_path / "ufw.conf"))
    monkeypatch.setattr(firewalls, "UFW_DEFAULTS", str(tmp_path / "defaults"))
    monkeypatch.setattr(firewalls, "LEGACY_TABLES", ())
    assert foreign_firewalls(lambda command: (1, "", ""), lambda program: None) == found


def test_message_names_hosts_and_remedy():
    assert list(unmanaged({"a": [], "b": []})) == []
    (sentence,) = unmanaged({"a": ["ufw"], "b": ["ufw"], "c": []})
    assert sentence.startswith("a, b: a firewall that the collection does not manage is active, ufw.")
    assert "Set dask_firewall to ufw, or allow all hosts of the cluster to connect to the ports that show" in sentence
    (sentence,) = unmanaged({"a": ["iptables"]})
    assert "Allow all hosts of the cluster to connect" in sentence and "Set dask_firewall" not in sentence
