# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firewalls of a host that the collection does not manage."""

from __future__ import annotations

import re

UFW, UFW_DEFAULTS = "/etc/ufw/ufw.conf", "/etc/default/ufw"

#: There where iptables has tables that nftables does not show.
LEGACY_TABLES = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")

#: A rule of nftables for all packets, as those at the end of a list that lets others through.
CLOSES = re.compile(r"(counter( packets \d+ bytes \d+)? )?(drop|reject( with .*)?)")


def closing_chains(ruleset):
    """The base chains for incoming packets that drop what no rule accepts, other than the collection's own.

    Parameters
    ----------
    ruleset : str
        Output of ``nft list ruleset``.
    """
    found, table, chain, closes, incoming = [], "", "", False, False
    for line in map(str.strip, ruleset.splitlines()):
        if line.startswith("table "):
            table = line[: line.rfind("{")].strip()
        elif line.startswith("chain "):
            chain, closes, incoming = line.split()[1], False, False
        elif line.startswith("type filter hook input"):
            incoming, closes = True, "policy drop" in line
        elif incoming and CLOSES.fullmatch(line):
            closes = True
        elif line == "}" and chain:
            if incoming and closes and table != "table inet daskops":
                found.append(f"nftables ({table}, chain {chain})")
            chain = ""
    return found


def closing_policy(rules):
    """Whether ``iptables -S INPUT`` drops or rejects what no rule accepts."""
    return bool(re.search(r"^-P INPUT DROP|^-A INPUT -j (DROP|REJECT)", rules, re.MULTILINE))


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def setting(name, text):
    """The value of a shell variable in a file of settings, in lower case; empty if it is not set."""
    found = re.search(rf"^{name}=[\"']?(\w+)", text, re.MULTILINE)
    return found.group(1).lower() if found else ""


def foreign_firewalls(run, find):
    """The firewalls that filter incoming connections on this host, as people call them.

    Parameters
    ----------
    run : callable
        Takes a command as a list; returns its status, output and errors, as ``AnsibleModule.run_command`` does.
    find : callable
        Takes the name of a program, and returns its path; None if there is none.
    """
    if setting("ENABLED", read(UFW)) == "yes" and setting("DEFAULT_INPUT_POLICY", read(UFW_DEFAULTS)) != "accept":
        return ["ufw"]
    if find("firewall-cmd") and run(["systemctl", "is-active", "--quiet", "firewalld.service"])[0] == 0:
        return ["firewalld"]
    found = closing_chains(run([find("nft"), "--terse", "list", "ruleset"])[1]) if find("nft") else []
    if not found and any("filter" in read(path).split() for path in LEGACY_TABLES):
        program = find("iptables-legacy") or find("iptables")
        if program and closing_policy(run([program, "-S", "INPUT"])[1]):
            found.append("iptables")
    return found


def unmanaged(hosts):
    """Sentences about firewalls that the collection does not manage: by host, those of other programs.

    Parameters
    ----------
    hosts : dict of list of str
        What `foreign_firewalls` found, by host.
    """
    by_name = {}
    for host, names in hosts.items():
        for name in names:
            by_name.setdefault(name, []).append(host)
    for name, where in sorted(by_name.items()):
        shown = ", ".join(where[:10]) + (f" and {len(where) - 10} more hosts" if len(where) > 10 else "")
        command = "" if name != "ufw" else ", for example with: ufw allow proto tcp from NETWORK to any port PORT"
        yield (
            f"{shown}: a firewall that the collection does not manage is active, {name}. Scheduler and workers connect to "
            f"each other. Let all hosts of the cluster in to the ports that show_ports.yml lists{command}."
        )
