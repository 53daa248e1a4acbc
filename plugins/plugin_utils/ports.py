# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Purpose and clients of each port, for reports and for firewall rules. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: The purpose of a port, what connects to it, and whether clients (such as browsers and monitoring) do, by variable. Hosts
#: of the cluster may connect to every port.
PORTS = {
    "dask_scheduler_port": ("Dask", "workers, clients", True),
    "dask_scheduler_dashboard_port": ("dashboard, metrics", "browsers, monitoring, the scheduler's host", True),
    "dask_dashboard_proxy_port": ("dashboard, metrics", "browsers, monitoring", True),
    # Clients with `direct_to_workers` connect, too. With a firewall, they must be in dask_firewall_peers.
    "dask_worker_port": ("Dask", "the scheduler, other workers", False),
    "dask_worker_dashboard_port": ("dashboard, metrics", "browsers, monitoring", True),
    "dask_worker_nanny_port": ("Dask", "the scheduler", False),
    # By default, both listen only at the loopback address.
    "dask_monitoring_port": ("metrics, alerts", "Grafana, browsers", False),
    "dask_monitoring_node_exporter_port": ("metrics of the host", "Prometheus", False),
}

HEADER = ("host", "port", "service", "purpose", "used by", "firewall")


def describe(port: int, variable: str, unit: str, local: bool = False) -> dict[str, Any]:
    """Return the description of a port on which a unit listens; ``local`` if only the unit's own host connects to it."""
    purpose, connects, clients = PORTS[variable]
    if local:
        connects, clients = "the host itself", False
    return {
        "port": port,
        "unit": unit,
        "variable": variable,
        "purpose": purpose,
        "connects": connects,
        "clients": clients,
    }


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as ranges, such as ``8786,8800-8803``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def rows(
    host: str, ssh: int | str, ports: Sequence[Mapping[str, Any]], firewall: str
) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yield the rows of a host. All ports of a variable share one row.

    Parameters
    ----------
    host : str
        Name in the inventory.
    ssh : int or str
        Port to which Ansible connects; 0 to leave it out.
    ports : list of dict
        Result of `describe` for each port of the host.
    firewall : str
        Name of the firewall. ``none`` if there is none.
    """
    if ssh:
        yield (host, str(ssh), "ssh", "Ansible", "the controller", "")
    for variable in PORTS:
        group = [port for port in ports if port["variable"] == variable]
        if group:
            numbers = ranges(port["port"] for port in group)
            first, last = (port["unit"].removesuffix(".service") for port in (group[0], group[-1]))
            units = first if first == last else f"{first} to {last.partition('@')[2]}"
            yield (host, numbers, units, group[0]["purpose"], group[0]["connects"], firewall)
