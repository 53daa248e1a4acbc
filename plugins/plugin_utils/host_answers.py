# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a host said of itself can be true. Pure functions.

The controller plans the whole cluster with it, calls programs with some of it, and shows it. A host that somebody has taken
over may say anything.
"""

from __future__ import annotations

import ipaddress
import re

#: Items of a list or a dictionary, and characters of a text. A host of 1,000 cores with 100 releases has fewer.
ITEMS = 20_000
LENGTH = 1_000_000


def text(pattern=r"[^\x00-\x08\x0e-\x1f\x7f]*"):
    """A text that matches a pattern, by default one without control characters."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda value: isinstance(value, str) and len(value) <= LENGTH and compiled.fullmatch(value) is not None


def number(value):
    """A whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def flag(value):
    """true or false."""
    return isinstance(value, bool)


def address(value):
    """An IPv4 address, or nothing."""
    return value == "" or is_network(value, ipaddress.IPv4Address)


def network(value):
    """A network."""
    return is_network(value, ipaddress.ip_network)


def is_network(value, parse):
    try:
        return isinstance(value, str) and bool(parse(value))
    except ValueError:
        return False


def optional(check):
    """Nothing, or what another check allows."""
    return lambda value: value is None or check(value)


def listed(check):
    """A list of what another check allows."""
    return lambda value: isinstance(value, list) and len(value) <= ITEMS and all(map(check, value))


def mapping(check, key=None):
    """A dictionary of what another check allows, by texts."""
    key = key or text()
    return lambda value: (
        isinstance(value, dict)
        and len(value) <= ITEMS
        and all(key(name) and check(item) for name, item in value.items())
    )


def having(**checks):
    """A dictionary that has these keys or is empty, and maybe others."""
    return lambda value: (
        isinstance(value, dict) and all(name in value and check(value[name]) for name, check in checks.items() if value)
    )


NAME = text(r"[\w.@:+-]*")
_OF_RELEASES = {
    "id": NAME,
    "environment": NAME,
    "staged": number,
    "services": mapping(mapping(NAME)),
    "units": mapping(mapping(text())),
}
RELEASE = having(**_OF_RELEASES)
CURRENT = having(**_OF_RELEASES, content=NAME, settled=listed(NAME))
ENVIRONMENT = having(python=text(r"[\w.+]*"), packages=mapping(text(r"[\w.+!-]*")))


def python(value):
    """What is told of an interpreter: its path alone, where it was not run."""
    if isinstance(value, dict) and value.get("changeable"):
        return having(executable=text(), changeable=text())(value)
    return having(
        executable=text(),
        version=text(r"\d+\.\d+\.\d+\w*"),
        implementation=NAME,
        prefix=text(),
        machine=text(r"\w+"),
        libc=listed(text(r"[\w.-]*")),
    )(value)


#: What each value has to be.
CHECKS = {
    "cpus": listed(number),
    "nodes": listed(having(id=number, cpus=listed(number))),
    "gpus": listed(having(index=number, uuid=text(), model=text(), node=optional(number))),
    "memory": number,
    "systemd": flag,
    "python": python,
    "file_systems": mapping(having(exists=flag, type=text(), mount=text(), free=number, writable=flag)),
    "missing": listed(text()),
    "proxy": having(nginx=flag, port=number),
    "listeners": listed(having(port=number, process=text(), unit=text())),
    "address": address,
    "worker_addresses": mapping(address),
    "route": listed(address),
    "firewall": having(usable=listed(NAME), installed=listed(NAME), loaded=flag, cluster=listed(network)),
    "current": CURRENT,
    "previous": RELEASE,
    "unfinished": number,
    "running": mapping(optional(text(r"[\w.-]+( \(another unit\))?"))),
    "scheduler_environment": NAME,
    "account": having(home=text(), comment=text(), at_home=flag),
    "encrypted": optional(flag),
    "authorities": listed(text(r"[0-9a-f]{64}")),
    "environments": mapping(ENVIRONMENT, NAME),
    "versions": listed(having(id=NAME, packages=mapping(text()), releases=listed(NAME))),
    "certificates": having(
        installed=mapping(listed(lambda value: number(value) or text()(value))), loaded=mapping(NAME)
    ),
    "changeable": text(),
    "clock": lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and all(type(one) in (int, float) and 0 <= one < 1e11 for one in value)
    ),
    "unresolved": text(),
    "refused": text(),
    "machine": NAME,
}


def unbelievable(info):
    """The names of those values of `host_info` that are missing or cannot be, in order."""
    return sorted(name for name, check in CHECKS.items() if name not in info or not check(info[name]))
