# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks that may connect to the ports of a cluster."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Hosts = Mapping[str, Mapping[str, Any]]

BROADCAST = ipaddress.IPv4Address("255.255.255.255")
FAMILIES = {"ipv4": 4, "ipv6": 6}


def parse(variable: str, values: Iterable[str], problems: list[str]) -> list[Network]:
    """Return the networks in a variable, and append a sentence to ``problems`` for each invalid value."""
    networks: list[Network] = []
    for value in values:
        try:
            networks.append(ipaddress.ip_network(value))
        except ValueError:
            problems.append(
                f"{variable}: '{value}' is not an address or a network. Write it like 10.1.2.3 or 10.1.0.0/16."
            )
    return networks


def on_network(addresses: Iterable[str]) -> list[Address]:
    """Return the addresses to which other hosts can connect."""
    found = [ipaddress.ip_address(address) for address in addresses if address]
    return [one for one in found if not (one.is_loopback or one.is_unspecified or one.is_multicast or one == BROADCAST)]


def remembered(info: Mapping[str, Any]) -> list[Network]:
    """Return the cluster's networks in the host's firewall rules; none if one of them is invalid."""
    try:
        return [ipaddress.ip_network(network) for network in info["firewall"]["cluster"]]
    except ValueError:
        return []


def resolve(name: str) -> list[str]:
    """Return the addresses to which the controller resolves a name; none if it cannot resolve the name."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None)})
    except OSError:
        return []


def newcomers(hosts: Hosts, closed: list[str], peers: list[Network]) -> Iterator[str]:
    """Yield a sentence for each new host that the firewalls of hosts outside the run do not accept yet."""
    for host, info in hosts.items():
        known = any(ipaddress.ip_address(address) in network for address in info["route"][:1] for network in peers)
        if closed and not info["current"] and not known:
            yield (
                f"{host} is new, and the firewall of {', '.join(closed)} does not accept it yet. Run without --limit, or "
                "first run for all hosts with its network in dask_firewall_peers."
            )


def by_family(networks: Iterable[Any]) -> dict[str, list[str]]:
    """Return networks as strings by family, without overlaps."""
    parsed = [ipaddress.ip_network(network) for network in networks]
    return {
        family: [str(one) for one in ipaddress.collapse_addresses(n for n in parsed if n.version == version)]  # type: ignore[type-var]
        for family, version in FAMILIES.items()
    }


def networks(
    hosts: Hosts,
    others: Mapping[str, Callable[[], list[str]]],
    contacts: Mapping[str, Callable[[], list[str]]],
    closed: list[str],
    peers: Iterable[str],
    clients: Iterable[str],
    monitors: Mapping[str, Callable[[], list[str]]] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the networks that may connect, and the problems.

    Parameters
    ----------
    hosts : dict of dict
        Results of `host_info` for the hosts of the run.
    others : dict of callable
        A function that returns the addresses of a worker host outside the run, by host.
    contacts : dict of callable
        A function that returns the addresses of the gateway of a worker host of the run, by host.
    closed : list of str
        Hosts outside the run that have a firewall.
    peers, clients : list of str
        Values of ``dask_firewall_peers`` and ``dask_firewall_clients``.
    monitors : dict of callable, optional
        A function that returns the addresses of a monitoring host outside the cluster, by host. It counts as a client.

    Returns
    -------
    tuple of (dict, list of str)
        The networks of the ``cluster`` by host and family, and of ``clients`` by family. Then a sentence for each problem.
    """
    problems: list[str] = []
    known_peers = parse("dask_firewall_peers", peers, problems)
    known_clients: list[Any] = [*parse("dask_firewall_clients", clients, problems)]
    for host, find in (monitors or {}).items():
        addresses = on_network(find())
        if not addresses:
            problems.append(
                f"{host} is in the group dask_monitoring, and the controller cannot resolve its address for the firewall. "
                "Set its ansible_host to an address."
            )
        known_clients.extend(addresses)
    cluster: list[Any] = [*known_peers]
    for info in hosts.values():
        cluster.extend(on_network([info["address"], *info["route"], *info["worker_addresses"].values()]))
    for host, find in contacts.items():
        # Connections of these hosts come from the gateway, too.
        addresses = on_network(find())
        if not addresses:
            problems.append(
                f"{host}: the controller cannot resolve dask_worker_contact_host for the firewall. Set it to an address, or "
                "add the gateway to dask_firewall_peers and to the controller's /etc/hosts."
            )
        cluster.extend(addresses)
    known = {host: remembered(info) if others else [] for host, info in hosts.items()}
    looked_up: list[Any] = []
    # The rules of a host have the actual addresses of other hosts. The controller can only resolve names. Use a host's rules
    # only for that host, because a compromised host could report any network.
    if any(info["firewall"]["usable"] and not known[host] for host, info in hosts.items()):
        for host, find in others.items():
            addresses = on_network(find())
            if not addresses:
                problems.append(
                    f"{host} is not in this run, and the controller cannot resolve an address for the firewall. "
                    "Run without --limit, or set its ansible_host to an address."
                )
            looked_up.extend(addresses)
    problems.extend(newcomers(hosts, closed, known_peers))
    # Most hosts accept the same networks, and joining those of 1,000 hosts takes 5 ms.
    joined: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    by_host = {}
    for host in hosts:
        own = tuple(known[host] or looked_up)
        if own not in joined:
            joined[own] = by_family([*cluster, *own])
        by_host[host] = joined[own]
    return {"cluster": by_host, "clients": by_family(known_clients)}, problems
