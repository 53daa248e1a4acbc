# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the values that a host reports about itself. Pure functions.

A compromised host can report any value. The controller uses the values to plan the whole cluster, passes some of them to
programs, and prints them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    EXPIRES,
    PLAIN_CERTIFICATE,
    PUBLIC_LIMIT,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import TEXT_LIMIT, is_printable
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import LABEL

#: A function that returns whether a value is allowed.
Check = Callable[[Any], bool]

#: Largest number of items of a list or a dictionary. A host of 1,000 cores with 100 releases has fewer.
ITEMS = 20_000


def text(pattern: str = ".*") -> Check:
    """Return a check that allows printable strings that match a pattern."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda value: (
        isinstance(value, str)
        and len(value) <= TEXT_LIMIT
        and compiled.fullmatch(value) is not None
        and is_printable(value)
    )


#: Allows any printable string; see `is_printable`.
TEXT = text()


def number(value: object) -> bool:
    """Allow a whole number from 0 to 2^63 - 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def flag(value: object) -> bool:
    """Allow true and false."""
    return isinstance(value, bool)


def address(value: object) -> bool:
    """Allow an IPv4 or IPv6 address of a host, without a zone, or an empty string."""
    try:
        return isinstance(value, str) and (
            value == "" or not ("%" in value or ipaddress.ip_address(value).is_multicast)
        )
    except ValueError:
        return False


def route(value: object) -> bool:
    """Allow the addresses at the two ends of a route, or an empty list."""
    return isinstance(value, list) and len(value) in (0, 2) and all(one != "" and address(one) for one in value)


def network(value: object) -> bool:
    """Allow an IPv4 or IPv6 network."""
    try:
        return isinstance(value, str) and bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def optional(check: Check) -> Check:
    """Return a check that allows None and the values that another check allows."""
    return lambda value: value is None or check(value)


def listed(check: Check) -> Check:
    """Return a check that allows lists of values that another check allows."""
    return lambda value: isinstance(value, list) and len(value) <= ITEMS and all(map(check, value))


def mapping(check: Check, key: Check = TEXT) -> Check:
    """Return a check that allows dictionaries whose values and keys each pass a check."""
    return lambda value: (
        isinstance(value, dict)
        and len(value) <= ITEMS
        and all(key(name) and check(item) for name, item in value.items())
    )


def having(**checks: Check) -> Check:
    """Return a check that allows dictionaries with these keys and allowed values. They may have other keys."""
    return lambda value: (
        isinstance(value, dict) and all(name in value and check(value[name]) for name, check in checks.items())
    )


def with_optional(check: Check, **checks: Check) -> Check:
    """Return a check that also checks the values of optional keys."""
    return lambda value: check(value) and all(name not in value or one(value[name]) for name, one in checks.items())


def empty_or(check: Check) -> Check:
    """Return a check that allows an empty dictionary and the values that another check allows."""
    return lambda value: value == {} or check(value)


NAME = text(r"[\w.@:+-]*")
LABEL_OR_NONE = text(LABEL)
_OF_RELEASES: dict[str, Check] = {
    "id": NAME,
    "environment": NAME,
    "application": NAME,
    "label": LABEL_OR_NONE,
    "staged": number,
    "served": listed(NAME),
    "services": mapping(mapping(NAME)),
}
RELEASE = empty_or(having(**_OF_RELEASES))
CURRENT = empty_or(having(**_OF_RELEASES, content=NAME, settled=listed(NAME), enabled=listed(NAME)))
#: Name of a managed Python, which becomes part of paths.
MANAGED = text(r"\w[\w.+-]*")

#: Checks of the values that identify the source of an environment.
ORIGIN: dict[str, Check] = {
    "lock": NAME,
    "archive": NAME,
    "path": TEXT,
    "fingerprint": NAME,
    "managed_python": MANAGED,
}
ENVIRONMENT = with_optional(having(python=text(r"[\w.+]*"), packages=mapping(text(r"[\w.+!-]*"))), **ORIGIN)


KIND = text("scheduler|worker")
_PUBLIC = re.compile(f"({EXPIRES.pattern})?({PLAIN_CERTIFICATE.pattern})+")


def public_certificates(value: object) -> bool:
    """Allow certificates in PEM format below a line with their expiry, and nothing else."""
    return isinstance(value, str) and len(value) <= PUBLIC_LIMIT and _PUBLIC.fullmatch(value) is not None


#: An environment outside of dask_home.
EXISTING = having(
    changeable=TEXT,
    problem=text(),
    python=text(r"(\d+\.\d+\.\d+\w*[+]?)?"),
    implementation=NAME,
    prefix=TEXT,
    base_prefix=TEXT,
    packages=mapping(text(r"[\w.+!-]*"), text(r"[a-z0-9][\w.-]*")),
    conda=listed(text(r"[\w.+!-]*")),
    by_conda=listed(NAME),
)


def python(value: object) -> bool:
    """Allow the description of an interpreter. It has only the path if the services' account can change the interpreter."""
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


#: Check by key of the result of `host_info`.
CHECKS: dict[str, Check] = {
    "cpus": listed(number),
    "cores": listed(listed(number)),
    "cpu_limit": number,
    "nodes": listed(having(id=number, cpus=listed(number))),
    "gpus": listed(having(index=number, uuid=text(), model=text(), node=optional(number))),
    "memory": number,
    "systemd": flag,
    "selinux_type": NAME,
    "python": empty_or(python),
    "architecture": text(r"\w+"),
    "libc": listed(text(r"[\w.-]*")),
    "pythons": listed(MANAGED),
    "file_systems": mapping(having(exists=flag, type=text(), mount=text(), free=number, writable=flag)),
    "groups": mapping(optional(number)),
    "import_paths": mapping(having(readable=flag, changeable=text())),
    "missing": listed(text()),
    "time_zones": mapping(flag),
    "proxy": having(nginx=flag, port=number, confined=flag),
    "listeners": listed(having(port=number, process=text(), unit=text())),
    "address": address,
    "worker_addresses": mapping(address),
    "client_addresses": listed(address),
    "route": route,
    "firewall": having(
        foreign=listed(TEXT), usable=listed(NAME), installed=listed(NAME), loaded=flag, cluster=listed(network)
    ),
    "current": CURRENT,
    "previous": RELEASE,
    "serving": RELEASE,
    "unfinished": number,
    "known": listed(NAME),
    "running": mapping(optional(text(r"[\w.-]+( \(another unit\))?"))),
    "dashboard": text(r"(\d{1,5}/[\w.~/-]*)?"),
    "scheduler_environment": NAME,
    "account": empty_or(having(home=text(), comment=text(), at_home=flag, root=flag)),
    "encrypted": optional(flag),
    "authorities": listed(text(r"[0-9a-f]{64}")),
    "environments": mapping(ENVIRONMENT, NAME),
    "applications": mapping(having(id=NAME, packages=mapping(text(r"[\w.+!-]*"))), NAME),
    "environment_paths": mapping(EXISTING),
    "versions": listed(
        with_optional(
            having(
                id=NAME,
                python=TEXT,
                packages=mapping(text()),
                releases=listed(NAME),
                labels=mapping(NAME),
                applications=mapping(NAME),
            ),
            **ORIGIN,
        )
    ),
    "certificates": having(
        installed=mapping(listed(lambda value: number(value) or text()(value))),
        loaded=mapping(NAME),
        current=mapping(NAME, KIND),
        public=mapping(public_certificates, text("ca|scheduler|worker")),
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


def unbelievable(info: Mapping[str, Any]) -> list[str]:
    """Return the names of values of `host_info` that are missing or not allowed, sorted."""
    return sorted(name for name, check in CHECKS.items() if name not in info or not check(info[name]))
