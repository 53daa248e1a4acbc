"""Preload of the scheduler: ``distributed.scheduler.preload: [daskops_runtime.scheduler]``."""

from __future__ import annotations

from distributed import Scheduler

from daskops_runtime import systemd


async def dask_setup(scheduler: Scheduler) -> None:
    systemd.start(scheduler)


async def dask_teardown(scheduler: Scheduler) -> None:
    systemd.stop(scheduler)
