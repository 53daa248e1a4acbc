"""Preload of a worker, with a nanny or without: ``distributed.worker.preload: [daskops_runtime.worker]``."""

from __future__ import annotations

from distributed import Worker

from daskops_runtime import drain, release, systemd


async def dask_setup(worker: Worker) -> None:
    # A preload runs before the worker registers, which is when the scheduler is told this.
    worker.startup_information[release.KEY] = lambda worker: release.get_release()
    systemd.start(worker)
    await drain.start(worker)


async def dask_teardown(worker: Worker) -> None:
    drain.stop(worker)
    systemd.stop(worker)
