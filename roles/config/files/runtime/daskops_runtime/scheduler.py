"""Preload of the scheduler: ``distributed.scheduler.preload: [daskops_runtime.scheduler]``."""

from __future__ import annotations

from distributed import Scheduler

from daskops_runtime import certificates, systemd


async def dask_setup(scheduler: Scheduler) -> None:
    certificates.start(scheduler, systemd.notify)
    systemd.start(scheduler)


async def dask_teardown(scheduler: Scheduler) -> None:
    systemd.stop(scheduler)
    certificates.stop(scheduler)
