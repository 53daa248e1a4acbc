"""Preload of a Dask client: ``Client()`` connects to the cluster that the configuration names in ``daskops.client``.

Dask's own settings for this, ``scheduler-address``, ``require-encryption`` and ``default-scheme``, hold for all that an
account does with Dask: with them LocalCluster(), Client(processes=False) and Client("tcp://other") fail.

Dask 2024.2 and newer imports a client's preloads while it makes the client, before the client connects. It hands the client
to ``dask_setup`` only once it is connected, so the client is looked for on the stack. An older Dask does not read this.
"""

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


def start():
    """Direct the client that is being made."""
    settings = dask.config.get("daskops", {})
    client = find_client()
    if client is not None and client.status == "newly-created" and settings.get("client"):
        direct(client, settings["client"], settings["dashboard"])


start()
