# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try connections and packets to other hosts. All functions are bounded in time. Only `echoes` may need root."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence

#: Results of an attempt to connect. Other results are texts of the operating system.
OPEN, REFUSED, TIMEOUT = "open", "refused", "timed out"

#: Connections that are tried at the same time.
AT_ONCE = 200

#: Linux's options that forbid fragments and ignore what the kernel remembers of the path, which Python does not name.
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3

#: Sizes of packets to try if one of the interface's size is lost: those of jumbo frames, Ethernet, PPPoE, tunnels and the
#: least of IPv6.
SIZES = (9000, 8900, 8000, 4000, 1500, 1492, 1480, 1460, 1450, 1430, 1420, 1400, 1380, 1350, 1280, 576)

#: Seconds for the names of all hosts.
LOOKUPS = 10.0

#: Bytes of a packet that every path transports.
SMALL = 64


def _said(error: int) -> str:
    """Return the result for an error number of a connection."""
    if error in (0, errno.EISCONN):
        return OPEN
    return {errno.ECONNREFUSED: REFUSED, errno.ETIMEDOUT: TIMEOUT}.get(error) or os.strerror(error)


def connect_all(targets: Sequence[tuple[str, int]], timeout: float = 3.0) -> list[str]:
    """Try TCP connections, and return the result of each: `OPEN`, `REFUSED`, `TIMEOUT` or another text.

    Parameters
    ----------
    targets : list of tuple
        Address and port of each connection.
    timeout : float
        Seconds that each connection may take.
    """
    found: list[str] = []
    for start in range(0, len(targets), AT_ONCE):
        found += _connect_some(targets[start : start + AT_ONCE], timeout)
    return found


def _connect_some(targets: Sequence[tuple[str, int]], timeout: float) -> list[str]:
    """Try TCP connections at the same time."""
    found = [TIMEOUT] * len(targets)
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for number, (address, port) in enumerate(targets):
            sock = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            sock.setblocking(False)
            try:
                error = sock.connect_ex((address, port))
            except (OSError, OverflowError, UnicodeError) as reason:
                found[number] = str(getattr(reason, "strerror", None) or reason)
                continue
            if error == errno.EINPROGRESS:
                selector.register(sock, selectors.EVENT_WRITE, number)
            else:
                found[number] = _said(error)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for key, dummy in ready:
                selector.unregister(key.fileobj)
                sock = key.fileobj  # type: ignore[assignment]
                found[key.data] = _said(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    return found


def _ping_socket(family: int) -> socket.socket:
    """Return a socket for echo requests that are not fragmented.

    It is a raw socket if no group of this account may send echo requests (``net.ipv4.ping_group_range``), as on Debian 12.

    Raises
    ------
    OSError
        If this account may not use a raw socket either.
    """
    is_six = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if is_six else socket.IPPROTO_ICMP
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    except PermissionError:
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
    try:
        if is_six:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    except OSError:
        sock.close()
        raise
    return sock


def _echo_request(family: int, identifier: int, size: int) -> bytes:
    """Return an echo request. The kernel sets the checksum of ICMPv6, and that and the identifier without a raw socket."""
    kind, headers = (128, 48) if family == socket.AF_INET6 else (8, 28)
    data = b"\0" * max(0, size - headers)
    # The data is zero, so the checksum is that of the header.
    total = (kind << 8) + identifier + 1
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", kind, 0, checksum, identifier, 1) + data


def _is_reply(data: bytes, family: int, identifier: int | None) -> bool:
    """Return whether a packet is an echo reply. With an identifier, it is from a raw socket, with the header of IPv4."""
    if identifier is not None and family == socket.AF_INET:
        data = data[4 * (data[0] & 15) :] if data else b""
    if data[:1] not in (b"\0", b"\x81"):
        return False
    return identifier is None or data[4:6] == struct.pack("!H", identifier)


def echoes(addresses: Mapping[str, int], timeout: float = 1.0) -> set[str]:
    """Return the addresses that answer an echo request (ping) in one packet of a size.

    Parameters
    ----------
    addresses : dict of int
        Size of the packet in bytes, with the headers of IP and ICMP, by address.
    timeout : float
        Seconds to wait for all answers.

    Raises
    ------
    OSError
        If this account may not send echo requests.
    """
    answered: set[str] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        mine = {a: size for a, size in addresses.items() if (":" in a) == (family == socket.AF_INET6)}
        if not mine:
            continue
        with _ping_socket(family) as sock:
            identifier = os.getpid() & 0xFFFF
            for address, size in mine.items():
                with contextlib.suppress(OSError):  # larger than the interface allows, or no route
                    sock.sendto(_echo_request(family, identifier, size), (address, 0))
            deadline = time.monotonic() + timeout
            while mine.keys() - answered and time.monotonic() < deadline:
                sock.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    data, sender = sock.recvfrom(65536)
                except OSError:  # the time is over, or an error of another packet
                    continue
                own = identifier if sock.type == socket.SOCK_RAW else None
                if sender[0] in mine and _is_reply(data, family, own):
                    answered.add(sender[0])
    return answered


def path_mtus(interfaces: Mapping[str, int], timeout: float = 1.0) -> dict[str, int]:
    """Return the size of the largest packet that reaches each address and comes back. 0 if the address does not answer.

    Parameters
    ----------
    interfaces : dict of int
        MTU of the interface that leads to an address, by address.
    timeout : float
        Seconds to wait for the answers to each size.

    Raises
    ------
    OSError
        As `echoes`.
    """
    found = dict.fromkeys(interfaces, 0)
    alive: set[str] = set()
    for dummy in range(2):  # the first packet to a host can get lost while its hardware address is looked up
        alive |= echoes({address: SMALL for address in interfaces if address not in alive}, timeout)
    left = {address: interfaces[address] for address in alive}
    for dummy in range(2):  # a lost packet is sent again
        for address in echoes(left, timeout) if left else ():
            found[address] = left.pop(address)
    for size in SIZES:
        smaller = {address: size for address, mtu in left.items() if size < mtu}
        for address in echoes(smaller, timeout) if smaller else ():
            found[address] = size
            del left[address]
    return {**found, **dict.fromkeys(left, SMALL)}


def names_of(addresses: Iterable[str], seconds: float = LOOKUPS) -> dict[str, str]:
    """Return the name of each address in the host's name service; empty if it has none.

    Addresses that are left after some seconds are omitted, because each takes long if the name service does not answer.
    """
    found: dict[str, str] = {}
    deadline = time.monotonic() + seconds
    for address in addresses:
        if found and time.monotonic() > deadline:
            break
        try:
            found[address] = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
        except (OSError, UnicodeError):
            found[address] = ""
    return found


def addresses_of(names: Iterable[str], seconds: float = LOOKUPS) -> dict[str, list[str]]:
    """Return the addresses of each name in the host's name service; none if it cannot be resolved.

    Names that are left after some seconds are omitted, as in `names_of`.
    """
    found: dict[str, list[str]] = {}
    deadline = time.monotonic() + seconds
    for name in names:
        if found and time.monotonic() > deadline:
            break
        try:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            entries = []
        found[name] = sorted({str(entry[4][0]) for entry in entries})
    return found
