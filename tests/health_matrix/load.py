# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a cluster in a state until standard input ends. Runs with the Python of the cluster's environment.

Usage: load.py ADDRESS STATE... where a state is one of the functions below.
"""

import contextlib
import sys
import time

from distributed import Client
from distributed.core import Status


def set_status(status, dask_worker):
    """Set the status of a worker; runs on the worker."""
    dask_worker.status = Status[status]


@contextlib.contextmanager
def paused(client):
    """Pause the worker w2."""
    workers = client.scheduler_info()["workers"]
    address = [address for address, worker in workers.items() if worker["name"] == "w2"]
    client.run(set_status, "paused", workers=address)
    yield
    client.run(set_status, "running", workers=address)


@contextlib.contextmanager
def busy(client):
    """Keep all workers busy with many short tasks."""
    futures = client.map(time.sleep, [0.05] * 4000, pure=False)
    while not any(future.done() for future in futures):
        time.sleep(0.05)
    yield
    client.cancel(futures)


@contextlib.contextmanager
def holding(client):
    """Keep a result in a client, without running tasks."""
    future = client.submit(sum, [1, 2])
    future.result()
    yield
    future.release()


@contextlib.contextmanager
def lacking(client):
    """Submit a task that waits for a resource that no worker has."""
    future = client.submit(sum, [1, 2], resources={"NONE": 1})
    yield
    future.cancel()


@contextlib.contextmanager
def queueing(client):
    """Pause all workers, so that the scheduler queues tasks."""
    workers = list(client.scheduler_info()["workers"])
    client.run(set_status, "paused", workers=workers)
    time.sleep(1)
    futures = client.map(time.sleep, [60] * 40, pure=False)
    yield
    client.cancel(futures)
    client.run(set_status, "running", workers=workers)


def main(address, *states):
    with Client(address, timeout=30) as client, contextlib.ExitStack() as stack:
        for state in states:
            stack.enter_context(globals()[state](client))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
