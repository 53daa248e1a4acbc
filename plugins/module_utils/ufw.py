# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of ufw that let hosts of the cluster and clients connect to Dask's ports. Pure functions."""

from __future__ import annotations

import binascii
import ipaddress
import re
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

#: Files in which ufw keeps the rules of users, for IPv4 and for IPv6.
FILES = ("/etc/ufw/user.rules", "/etc/ufw/user6.rules")

#: Comment of the collection's own rules.
COMMENT = "daskops.cluster"

#: Most ports of a rule, of which a range counts twice.
LARGEST = 15

#: A rule that allows TCP connections from a network to ports, in these files. The comment is in hexadecimal digits.
RULE = re.compile(r"### tuple ### allow tcp (\S+) (?:0\.0\.0\.0/0|::/0) any (\S+) in(?: comment=([0-9a-f]*))?")


class Rule(NamedTuple):
    """A rule: the network that may connect, and the ports in ufw's form, such as ``8786,8800:8803``."""

    network: str
    ports: str

    @property
    def words(self) -> list[str]:
        """Return the rule as arguments of ``ufw``."""
        return ["allow", "proto", "tcp", "from", self.network, "to", "any", "port", self.ports]


def read_rules(texts: Iterable[str]) -> dict[Rule, bool]:
    """Return the rules in the files of ufw, each with whether it is the collection's own."""
    found: dict[Rule, bool] = {}
    for line in (line for text in texts for line in text.splitlines()):
        match = RULE.fullmatch(line.strip())
        if match:
            try:
                network = str(ipaddress.ip_network(match.group(2)))
                comment = binascii.unhexlify(match.group(3) or "").decode(errors="replace")
            except (ValueError, binascii.Error):
                continue
            found[Rule(network, match.group(1))] = comment == COMMENT
    return found


def own_rules(rules: Mapping[Rule, bool]) -> list[Rule]:
    """Return the collection's own rules among those that `read_rules` returned."""
    return [rule for rule, own in rules.items() if own]


def chunks(ports: Iterable[int]) -> Iterator[str]:
    """Yield ports in ufw's form, as many in each as a rule may have."""
    runs: list[list[int]] = []
    for port in sorted(set(ports)):
        if runs and port == runs[-1][1] + 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    words: list[str] = []
    room = LARGEST
    for first, last in runs:
        size = 1 if first == last else 2
        if size > room:
            yield ",".join(words)
            words, room = [], LARGEST
        words.append(str(first) if first == last else f"{first}:{last}")
        room -= size
    if words:
        yield ",".join(words)


def wanted_rules(
    ports: Sequence[Mapping[str, Any]], networks: Mapping[str, Mapping[str, Iterable[str]]], ipv6: bool
) -> list[Rule]:
    """Return the rules for the ports of a host.

    Parameters
    ----------
    ports : list of dict
        ``port`` of each planned port, and whether ``clients`` may connect.
    networks : dict of dict
        Networks of the ``cluster`` and of ``clients``, by family (``ipv4`` and ``ipv6``).
    ipv6 : bool
        Whether ufw also filters IPv6.
    """
    families = ("ipv4", "ipv6") if ipv6 else ("ipv4",)
    given = {
        "cluster": [port["port"] for port in ports],
        "clients": [port["port"] for port in ports if port["clients"]],
    }
    rules = [
        Rule(str(ipaddress.ip_network(network)), chunk)
        for who, numbers in given.items()
        for family in families
        for network in networks[who].get(family, [])
        for chunk in chunks(numbers)
    ]
    return list(dict.fromkeys(rules))
