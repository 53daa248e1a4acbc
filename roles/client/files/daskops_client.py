# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preload of a Dask client: ``Client()`` connects to the cluster that the configuration names in ``daskops.client``.

Dask's own settings for this, ``scheduler-address``, ``require-encryption`` and ``default-scheme``, hold for all that an
account does with Dask: with them LocalCluster(), Client(processes=False) and Client("tcp://other") fail.

Dask imports a client's preloads while it makes the client, before the client connects. It hands the client to
``dask_setup`` only once it is connected, so the client is looked for on the stack. Tried with 2024.1 to 2026.8.
"""

import logging
import sys

import dask
from distributed import Client, Security


def find_client():
    """Return the client that is being made; None where this is imported for another reason."""
    frame = sys._getframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, Client):
            return candidate
        frame = frame.f_back
    return None


def direct(client, cluster, dashboard):
    """Direct a client to the cluster if it was given no address, and let it in if it goes there."""
    # What is given here beside the address, such as n_workers or processes, is for a LocalCluster.
    given = (client._start_arg, client.cluster, client.scheduler, client.scheduler_file, client._startup_kwargs or None)
    if given == (None,) * len(given):
        client._start_arg = cluster["address"]
    elif client._start_arg != cluster["address"]:
        return
    if cluster.get("security") and client.security.tls_client_cert is None:
        client.security = Security(**cluster["security"])
        client.connection_args = client.rpc.connection_args = client.security.get_connection_args("client")
    # The setting for it, distributed.dashboard.link, would hold for every cluster.
    kind = type(client)
    client.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__, "dashboard_link": dashboard})


def is_of_others(record):
    """Return whether a line of a log is not about this file."""
    return "daskops_client" not in record.getMessage()


def be_quiet():
    """Keep Dask from logging that it imports this file, for each client but the first, whose lines come before this."""
    for name in ("distributed.preloading", "distributed.utils"):
        logger = logging.getLogger(name)
        if not any(getattr(one, "__module__", None) == __name__ for one in logger.filters):  # Dask imports this again
            logger.addFilter(is_of_others)


def start():
    """Direct the client that is being made."""
    settings = dask.config.get("daskops", {})
    client = find_client()
    if client is not None and client.status == "newly-created" and settings.get("client"):
        direct(client, settings["client"], settings["dashboard"])


be_quiet()
start()
