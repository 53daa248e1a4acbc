# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find firewalls of a host that the collection does not manage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

UFW, UFW_DEFAULTS = "/etc/ufw/ufw.conf", "/etc/default/ufw"

#: Firewalls that the collection can manage, and that may close ports without it.
MANAGEABLE = ("firewalld", "ufw")

#: These files exist if iptables has tables that ``nft`` does not show.
LEGACY_TABLES = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")

#: An nftables rule that drops or rejects every packet, as the last rule of a chain of accepted packets.
CLOSES = re.compile(r"(counter( packets \d+ bytes \d+)? )?(drop|reject( with .*)?)")


def closing_chains(ruleset: str) -> list[str]:
    """Return the base chains for incoming packets that drop the packets that no rule accepts, except the collection's.

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


def closing_policy(rules: str) -> bool:
    """Return whether ``rules``, the output of ``iptables -S INPUT``, drop or reject packets that no rule accepts."""
    return bool(re.search(r"^-P INPUT DROP|^-A INPUT -j (DROP|REJECT)", rules, re.MULTILINE))


def read(path: str) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def setting(name: str, text: str) -> str:
    """Return the value of a shell variable in a file of settings, in lower case; empty if it is not set."""
    found = re.search(rf"^{name}=[\"']?(\w+)", text, re.MULTILINE)
    return found.group(1).lower() if found else ""


def ufw_filters(address: str) -> bool:
    """Return whether ufw, if it is active, filters connections to an address of the host."""
    return ":" not in address or setting("IPV6", read(UFW_DEFAULTS)) == "yes"


def foreign_firewalls(run: Callable[[list[str]], tuple[int, str, str]], find: Callable[[str], str | None]) -> list[str]:
    """Return the names of the firewalls that filter incoming connections on this host.

    Parameters
    ----------
    run : callable
        Takes a command as a list. Returns its exit status, output and errors, like ``AnsibleModule.run_command``.
    find : callable
        Takes the name of a program. Returns its path, or None if the program is not installed.
    """
    if setting("ENABLED", read(UFW)) == "yes" and setting("DEFAULT_INPUT_POLICY", read(UFW_DEFAULTS)) != "accept":
        return ["ufw"]
    if find("firewall-cmd") and run(["systemctl", "is-active", "--quiet", "firewalld.service"])[0] == 0:
        return ["firewalld"]
    nft = find("nft")
    found = closing_chains(run([nft, "--terse", "list", "ruleset"])[1]) if nft else []
    if not found and any("filter" in read(path).split() for path in LEGACY_TABLES):
        program = find("iptables-legacy") or find("iptables")
        if program and closing_policy(run([program, "-S", "INPUT"])[1]):
            found.append("iptables")
    return found


def unmanaged(hosts: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield a sentence for each firewall that the collection does not manage.

    Parameters
    ----------
    hosts : dict of list of str
        Result of `foreign_firewalls`, by host.
    """
    by_name: dict[str, list[str]] = {}
    for host, names in hosts.items():
        for name in names:
            by_name.setdefault(name, []).append(host)
    for name, where in sorted(by_name.items()):
        shown = ", ".join(where[:10]) + (f" and {len(where) - 10} more hosts" if len(where) > 10 else "")
        manage = f"Set dask_firewall to {name}, or allow" if name in MANAGEABLE else "Allow"
        yield (
            f"{shown}: a firewall that the collection does not manage is active, {name}. It may block connections between "
            f"the scheduler and the workers. {manage} all hosts of the cluster to connect to the ports that show_ports.yml "
            "lists."
        )
