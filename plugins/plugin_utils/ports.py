# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ports are for and who connects to them: what reports show, and what firewalls let in. Pure functions."""

from __future__ import annotations

#: By variable: what a port is for, who connects to it, and whether these are clients (browsers, monitoring) too. Hosts of
#: the cluster may connect to any of them.
PORTS = {
    "dask_scheduler_port": ("Dask", "workers, clients", True),
    "dask_scheduler_dashboard_port": ("dashboard, metrics", "browsers, monitoring, the scheduler's host", True),
    "dask_dashboard_proxy_port": ("dashboard, metrics", "browsers, monitoring", True),
    # And clients with `direct_to_workers`, which few are: where there is a firewall, these have to be among its peers.
    "dask_worker_port": ("Dask", "the scheduler, other workers", False),
    "dask_worker_dashboard_port": ("dashboard, metrics", "browsers, monitoring", True),
    "dask_worker_nanny_port": ("Dask", "the scheduler", False),
}

HEADER = ("host", "port", "service", "what for", "who connects", "firewall")


def describe(port, variable, unit, local=False):
    """All there is to know of a port that a unit listens on, ``local`` if for its own host alone."""
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


def ranges(numbers):
    """Numbers as ranges, like ``8786,8800-8803``."""
    found = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def rows(host, ssh, ports, firewall):
    """The rows of a host: a variable's ports are one.

    Parameters
    ----------
    host : str
        Name in the inventory.
    ssh : int or str
        Port that Ansible connects to.
    ports : list of dict
        Its ports, as `describe` returns them.
    firewall : str
        What filters them, ``none`` for nothing.
    """
    yield (host, str(ssh), "ssh", "Ansible", "the controller", "")
    for variable in PORTS:
        group = [port for port in ports if port["variable"] == variable]
        if group:
            numbers = ranges(port["port"] for port in group)
            first, last = (port["unit"].removesuffix(".service") for port in (group[0], group[-1]))
            units = first if first == last else f"{first} to {last.partition('@')[2]}"
            yield (host, numbers, units, group[0]["purpose"], group[0]["connects"], firewall)
