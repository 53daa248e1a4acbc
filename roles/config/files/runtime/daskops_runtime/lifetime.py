# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's lifetime: when it is over, the worker drains and ends, and systemd starts another.

Dask's own ``--lifetime`` gives running tasks up, which then run elsewhere from their beginning.
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

#: Seconds between two looks at a worker that is not registered with the scheduler yet.
INTERVAL = 1.0


def start(worker: Worker) -> None:
    """Count from now on, if ``DASKOPS_LIFETIME`` gives a duration; it differs by up to ``DASKOPS_LIFETIME_STAGGER``."""
    # Taken out of the environment: a worker that a task starts has no such end.
    text, more = os.environ.pop("DASKOPS_LIFETIME", ""), os.environ.pop("DASKOPS_LIFETIME_STAGGER", "")
    if not text:
        return
    stagger = parse_timedelta(more or "0 s")
    seconds = max(0.0, parse_timedelta(text) + random.uniform(-stagger, stagger))
    logger.info("Draining in %s, when this worker's lifetime is over", format_time(seconds))
    worker.loop.call_later(seconds, end, worker)


def end(worker: Worker) -> None:
    """Drain the worker, as soon as it is registered: before that it cannot drain, and would stay for ever."""
    if worker.status == Status.init:
        worker.loop.call_later(INTERVAL, end, worker)
        return
    refusal = drain.begin(worker, stop.get_timeout())
    if refusal:
        logger.warning("The worker's lifetime is over: %s", refusal)
