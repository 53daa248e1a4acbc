# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preload of a worker with or without a nanny: ``distributed.worker.preload: [daskops_runtime.worker]``."""

from __future__ import annotations

import os

from distributed import Worker

from daskops_runtime import (
    certificates,
    configuration,
    control,
    dashboard,
    drain,
    end_of_hours,
    ipv6,
    lifetime,
    logs,
    metrics,
    registration,
    release,
    scaling,
    shutdown,
    systemd,
    task_errors,
)

# A nanny's worker is a process that launch.py does not start. It imports this before it starts its HTTP server.
ipv6.start()


async def dask_setup(worker: Worker) -> None:
    # A preload runs before the worker registers. The registration sends all of this to the scheduler.
    worker.name = os.environ.pop("DASKOPS_WORKER_NAME", None) or worker.name
    worker.startup_information[release.KEY] = lambda worker: release.get_release()
    worker.startup_information[release.LABEL_KEY] = lambda worker: release.get_label()
    for resource in release.get_resources():
        # Add one unit for each thread. The resource selects workers and must not limit the number of tasks.
        worker.state.total_resources[resource] = worker.state.nthreads
        worker.state.available_resources[resource] = worker.state.nthreads
    certificates.start(worker, systemd.notify)
    worker.metrics[certificates.KEY] = certificates.describe
    worker.metrics[configuration.KEY] = configuration.get_drift
    dashboard.start(worker)
    await task_errors.start(worker)
    await systemd.start(worker)
    drain_command = drain.start(worker)
    await control.start(worker, {"drain": drain_command.serve, "configuration": configuration.serve})
    metrics.start(worker)
    logs.start_worker(worker)
    scaling.start_worker(worker)
    shutdown.start(control.get_directory(worker))
    lifetime.start(worker)
    end_of_hours.start(worker)
    configuration.start(worker)
    registration.start(worker)


async def dask_teardown(worker: Worker) -> None:
    shutdown.stay_down_if_marked(control.get_directory(worker))
    metrics.stop(worker)
    control.stop(worker)
    drain.stop(worker)
    systemd.stop(worker)
    certificates.stop(worker)
