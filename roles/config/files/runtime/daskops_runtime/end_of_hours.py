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
from time import monotonic

from distributed import Worker
from distributed.core import Status

from daskops_runtime import drain, stop, unit_hours

logger = logging.getLogger("distributed.daskops.hours")

#: Seconds between two looks at the clock.
INTERVAL = 10.0
#: Seconds until the next look at a worker that is not registered yet.
SOON = 1.0
#: Seconds by which the deadline of a drain may be later than the end of the hours. Each look computes the end a little
#: differently, and a drain with a new deadline reserves less time for its data.
TOLERANCE = 1.0


def start(worker: Worker) -> None:
    """Look at the clock at intervals, if the unit has hours now or later (``DASKOPS_HOURS``)."""
    # Remove the variable, because a worker that a task starts has no unit.
    path = os.environ.pop("DASKOPS_HOURS", "")
    if path:
        worker.loop.call_later(SOON, look, worker, unit_hours.UnitHours(path))


def look(worker: Worker, hours: unit_hours.UnitHours) -> None:
    """Drain the worker if it is outside of its hours."""
    starts = worker.status == Status.init
    worker.loop.call_later(SOON if starts else INTERVAL, look, worker, hours)  # first, because an error ends this call
    if starts:
        return
    before = hours.problem
    state = hours.look_while_running()
    if hours.problem not in ("", before):
        logger.warning("The last valid hours of the worker continue to apply, because %s", hours.problem)
    if not state.runs:
        leave(worker, state)


def leave(worker: Worker, state: unit_hours.State) -> None:
    """Start to drain the worker, or bring the deadline of a running drain forward to the end of the hours."""
    timeout = stop.get_timeout()
    if state.end is not None:
        timeout = min(timeout, max(1.0, state.end - time.time() - stop.GRACE))
    running = drain.get_drain(worker)
    if running and (running.ended or monotonic() + timeout + TOLERANCE >= running.end_at):
        return
    problem = drain.begin(worker, timeout)
    if problem:
        logger.warning("The worker is outside of its hours %s, but it cannot drain: %s", state.outside, problem)
    elif running:
        logger.info("The worker is outside of its hours %s, so its drain has only %.0f s", state.outside, timeout)
    else:
        logger.info("The worker is outside of its hours %s, so it drains", state.outside)
