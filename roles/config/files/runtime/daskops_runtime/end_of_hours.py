# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain a worker that runs outside of its hours. Its unit starts again, and waits for the next hours.

systemd's timer has already stopped the worker in nearly all cases. This is for the others: the hours have changed, the clock
was set, or the timer came while the worker was starting, which it does not restart.
"""

from __future__ import annotations

import logging
import os
import time

from distributed import Worker
from distributed.core import Status

from daskops_runtime import drain, stop, unit_hours

logger = logging.getLogger("distributed.daskops.hours")

#: Seconds between two looks at the clock.
INTERVAL = 10.0
#: Seconds until the next look at a worker that is not registered yet.
SOON = 1.0


def start(worker: Worker) -> None:
    """Look at the clock at intervals, if the unit has hours now or later (``DASKOPS_HOURS``)."""
    # Remove the variable, because a worker that a task starts has no unit.
    path = os.environ.pop("DASKOPS_HOURS", "")
    if path:
        worker.loop.call_later(SOON, look, worker, unit_hours.UnitHours(path))


def look(worker: Worker, hours: unit_hours.UnitHours) -> None:
    """Drain the worker if it is outside of its hours."""
    if worker.status == Status.init:
        worker.loop.call_later(SOON, look, worker, hours)
        return
    before = hours.problem
    state = hours.look_while_running()
    if hours.problem not in ("", before):
        logger.warning("The last valid hours of the worker continue to apply, because %s", hours.problem)
    if not state.runs and drain.get_drain(worker) is None:
        timeout = stop.get_timeout()
        if state.end is not None:
            timeout = min(timeout, max(1.0, state.end - time.time() - stop.GRACE))
        problem = drain.begin(worker, timeout)
        if problem:
            logger.warning("The worker is outside of its hours %s, but it cannot drain: %s", state.outside, problem)
        else:
            logger.info("The worker is outside of its hours %s, so it drains", state.outside)
    worker.loop.call_later(INTERVAL, look, worker, hours)
