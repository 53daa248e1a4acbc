"""A worker's lifetime: when it is over, the worker drains and ends, and systemd starts another.

Dask's own ``--lifetime`` gives running tasks up, which then run elsewhere from their beginning.
"""

from __future__ import annotations

import logging
import os
import random

from dask.utils import format_time, parse_timedelta
from distributed import Worker

from daskops_runtime import drain, stop

logger = logging.getLogger("distributed.daskops.lifetime")


def start(worker: Worker) -> None:
    """Begin to count, if ``DASKOPS_LIFETIME`` gives a duration; it differs by up to ``DASKOPS_LIFETIME_STAGGER``"""
    # Taken out of the environment: a worker that a task starts has no such end.
    text, more = os.environ.pop("DASKOPS_LIFETIME", ""), os.environ.pop("DASKOPS_LIFETIME_STAGGER", "")
    if not text:
        return
    stagger = parse_timedelta(more or "0 s")
    seconds = max(0.0, parse_timedelta(text) + random.uniform(-stagger, stagger))
    logger.info("Draining in %s, when this worker's lifetime is over", format_time(seconds))
    worker.loop.call_later(seconds, end, worker)


def end(worker: Worker) -> None:
    refusal = drain.begin(worker, stop.get_timeout())
    if refusal:  # it ends already, or is not registered yet, and its lifetime has little sense
        logger.warning("The worker's lifetime is over: %s", refusal)
