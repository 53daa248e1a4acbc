# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End a worker after its lifetime. The worker drains and exits, and systemd starts a new one.

Dask's own ``--lifetime`` does not wait for running tasks, so they run again on other workers.
"""

from __future__ import annotations

import logging
import os
import random

from dask.utils import format_time, parse_timedelta
from distributed import Worker
from distributed.core import Status

from daskops_runtime import drain, stop

logger = logging.getLogger("distributed.daskops.lifetime")

#: Seconds between two checks of a worker that is not registered with the scheduler yet.
INTERVAL = 1.0


def start(worker: Worker) -> None:
    """Start the lifetime ``DASKOPS_LIFETIME``, if it is set, plus or minus a random part of ``DASKOPS_LIFETIME_STAGGER``."""
    # Remove the variables, because a worker that a task starts must not inherit the lifetime.
    text, more = os.environ.pop("DASKOPS_LIFETIME", ""), os.environ.pop("DASKOPS_LIFETIME_STAGGER", "")
    if not text:
        return
    stagger = parse_timedelta(more or "0 s")
    seconds = max(0.0, parse_timedelta(text) + random.uniform(-stagger, stagger))
    logger.info("The worker's lifetime ends in %s. Then the worker drains", format_time(seconds))
    worker.loop.call_later(seconds, end, worker)


def end(worker: Worker) -> None:
    """Drain the worker when it is registered. A worker that is not registered cannot drain, so check again later."""
    if worker.status == Status.init:
        worker.loop.call_later(INTERVAL, end, worker)
        return
    problem = drain.begin(worker, stop.get_timeout())
    if problem:
        logger.warning("The worker's lifetime has ended, but it cannot drain: %s", problem)
