# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a worker register soon after its scheduler starts.

Between attempts to connect, Dask sleeps for a random time of up to the total time so far. A worker that has waited three
seconds may register only three seconds after the scheduler starts. So this module limits each sleep to a fraction of the
waiting time, until the worker is registered.
"""

from __future__ import annotations

import random
from time import monotonic
from typing import Any

from distributed.comm import core
from distributed.core import Server, Status

#: Limit of a sleep: seconds, plus a fraction of the waiting time.
SHORTEST, SHARE = 0.1, 0.1

_patience: Patience | None = None


class Patience:
    """A replacement for the module `random` in Dask's module for connections."""

    def __init__(self, server: Server):
        self.server = server
        self.begin = monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)

    def uniform(self, low: float, high: float) -> float:
        if self.server.status != Status.init:  # registered or closed
            stop()
            return random.uniform(low, high)
        return random.uniform(low, min(high, SHORTEST + SHARE * (monotonic() - self.begin)))


def start(server: Server) -> None:
    """Limit the sleeps until this worker or nanny is registered."""
    global _patience
    if _patience is None and getattr(core, "random", None) is random:  # true in all versions so far
        _patience = Patience(server)
        core.random = _patience  # type: ignore[assignment]


def stop() -> None:
    """Restore Dask's sleeps."""
    core.random = random
