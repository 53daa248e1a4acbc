"""Preload of the scheduler: ``distributed.scheduler.preload: [daskops_runtime.scheduler]``."""

from __future__ import annotations

from distributed import Scheduler

from daskops_runtime import certificates, configuration, control, systemd


async def dask_setup(scheduler: Scheduler) -> None:
    certificates.start(scheduler, systemd.notify)
    await control.start(scheduler, {"configuration": configuration.serve})
    systemd.start(scheduler)
    configuration.start(scheduler)


async def dask_teardown(scheduler: Scheduler) -> None:
    control.stop(scheduler)
    systemd.stop(scheduler)
    certificates.stop(scheduler)
