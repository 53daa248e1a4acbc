# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preload of a Dask client. ``Client()`` connects to the cluster in ``daskops.client`` of the Dask configuration.

Dask's own settings for this are ``scheduler-address``, ``require-encryption`` and ``default-scheme``. They apply to every
use of Dask by an account. With them, LocalCluster(), Client(processes=False) and Client("tcp://other") fail.

Dask imports the preloads of a client while it creates the client, before the client connects. It passes the client to
``dask_setup`` only after the client has connected, so this module finds the client on the stack. Tested with distributed
2024.1 to 2026.8.
"""

from __future__ import annotations

import logging
import sys
from types import FrameType
from typing import Any

import dask
from distributed import Client, Security


def find_client() -> Client | None:
    """Return the client that is being created; None if no client imports this module."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, Client):
            return candidate
        frame = frame.f_back
    return None


def direct(client: Client, cluster: dict[str, Any], dashboard: str) -> None:
    """Set the cluster's address of a client without an address, and the certificates of a client of this cluster."""
    # Arguments such as n_workers or processes are for a LocalCluster.
    given = (client._start_arg, client.cluster, client.scheduler, client.scheduler_file, client._startup_kwargs or None)
    if given == (None,) * len(given):
        client._start_arg = cluster["address"]
    elif client._start_arg != cluster["address"]:
        return
    if cluster.get("security") and client.security.tls_client_cert is None:
        client.security = Security(**cluster["security"])
        client.connection_args = client.rpc.connection_args = client.security.get_connection_args("client")
    # The setting distributed.dashboard.link would apply to every cluster.
    kind = type(client)
    client.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__, "dashboard_link": dashboard})


def is_of_others(record: logging.LogRecord) -> bool:
    """Return whether a log record is not about this file."""
    return "daskops_client" not in record.getMessage()


def be_quiet() -> None:
    """Prevent Dask from logging the import of this file. The first client has already logged it."""
    for name in ("distributed.preloading", "distributed.utils"):
        logger = logging.getLogger(name)
        if not any(
            getattr(one, "__module__", None) == __name__ for one in logger.filters
        ):  # Dask imports this file again for each client
            logger.addFilter(is_of_others)


def start() -> None:
    """Connect the client that is being created to the cluster."""
    settings = dask.config.get("daskops", {})
    client = find_client()
    if client is not None and client.status == "newly-created" and settings.get("client"):
        direct(client, settings["client"], settings["dashboard"])


be_quiet()
start()
