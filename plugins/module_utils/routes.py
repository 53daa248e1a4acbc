# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the addresses of this host, and whether and from where it reaches other hosts.

Hosts with IPv4 and IPv6 use IPv4, so that all hosts of a cluster use the same. Others use IPv6.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from typing import Any, Callable

#: Time-out of a connection, in seconds.
CONNECT_TIMEOUT = 5

#: Linux's option for the choice of an own address, which Python does not name, and its value that excludes the temporary
#: addresses of the privacy extensions.
IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC = 72, 2


def reason(error: Exception) -> str:
    """Return the text of an error of the operating system."""
    return str(getattr(error, "strerror", None) or error)


def is_usable(address: str) -> bool:
    """Return whether other hosts can connect to an address: a link-local one is valid on one network segment only."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_link_local


def resolve(name: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Return the families and addresses, with port 9, that a name resolves to, IPv4 first.

    Raises
    ------
    OSError, UnicodeError
        If the name cannot be resolved.
    """
    found = [(int(entry[0]), entry[4]) for entry in socket.getaddrinfo(name, 9, type=socket.SOCK_DGRAM)]
    return sorted(found, key=lambda one: one[0] != socket.AF_INET)


def unresolved(name: str) -> str:
    """Return why a name cannot be resolved to an address; empty if it can."""
    try:
        resolve(name)
    except (OSError, UnicodeError) as error:
        return reason(error)
    return ""


def route(other: str) -> list[str]:
    """Return the addresses at the two ends of the route to another host, the own first; empty if there is none."""
    with contextlib.suppress(OSError, UnicodeError):
        for family, target in resolve(other):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
                if family == socket.AF_INET6:
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC)
                sock.connect(target)  # sends nothing, but selects the route
                own = str(sock.getsockname()[0])
                if is_usable(own):
                    return [own, str(target[0])]
    return []


def refused(name: str, number: int) -> str:
    """Return why this host cannot connect to a port; empty if it can."""
    try:
        with socket.create_connection((name, number), timeout=CONNECT_TIMEOUT):
            return ""
    except (OSError, OverflowError, UnicodeError) as error:
        return reason(error)


def bound(address: str) -> str:
    """Return an address of this host in its usual form; empty if this host does not have it."""
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
            sock.bind((address, 0))
            return str(sock.getsockname()[0])
    return ""


def own_addresses(name: str) -> list[str]:
    """Return the addresses of this host that a name resolves to, without loopback addresses."""
    try:
        found = {str(target[0]) for dummy, target in resolve(name)}
    except (OSError, UnicodeError):
        return []
    return sorted(address for address in found if bound(address) and not ipaddress.ip_address(address).is_loopback)


def interface_address(run: Callable[[list[str]], tuple[int, str, str]], interface: str) -> str:
    """Return the first address of an interface, IPv4 if it has one; empty if it has none.

    Parameters
    ----------
    run : callable
        Takes a command as a list; returns its exit status, output and errors, as ``AnsibleModule.run_command`` does.
    interface : str
        Name of the interface.
    """
    output = run(["ip", "-json", "address", "show", "dev", interface])[1]
    try:
        found = [address for link in json.loads(output) for address in link.get("addr_info", [])]
        usable = [
            (address["family"], address["local"])
            for address in found
            if address["family"] == "inet"
            # Not link-local, and none of the temporary addresses of the privacy extensions.
            or (address["scope"] == "global" and not any(address.get(flag) for flag in ("temporary", "deprecated")))
        ]
        return next((str(local) for dummy, local in sorted(usable, key=lambda one: one[0] != "inet")), "")
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""
