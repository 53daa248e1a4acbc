# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preload of the scheduler: ``distributed.scheduler.preload: [daskops_runtime.scheduler]``."""

from __future__ import annotations

from distributed import Scheduler

from daskops_runtime import (
    certificates,
    clients,
    configuration,
    control,
    dashboard,
    logs,
    metrics,
    scaling,
    shutdown,
    subscriptions,
    systemd,
    without_nanny,
)


async def dask_setup(scheduler: Scheduler) -> None:
    without_nanny.start(scheduler)
    certificates.start(scheduler, systemd.notify)
    dashboard.start(scheduler)
    await control.start(scheduler, {"configuration": configuration.serve, "clients": clients.Command(scheduler)})
    metrics.start(scheduler)
    scaling.start(scheduler)
    subscriptions.start(scheduler)
    logs.start_scheduler(scheduler)
    shutdown.start(control.get_directory(scheduler))
    await systemd.start(scheduler)
    configuration.start(scheduler)


async def dask_teardown(scheduler: Scheduler) -> None:
    shutdown.stay_down_if_marked(control.get_directory(scheduler))
    metrics.stop(scheduler)
    control.stop(scheduler)
    scaling.stop(scheduler)
    systemd.stop(scheduler)
    certificates.stop(scheduler)
