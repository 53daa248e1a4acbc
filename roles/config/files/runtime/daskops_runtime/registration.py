# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a worker register soon after its scheduler is there.

Between attempts to connect, Dask sleeps for a random time that may be as long as all attempts before together. A worker that
has waited three seconds for its scheduler would come up to three seconds after it. Until the worker is registered, each
sleep is limited to a share of the time that it has waited so far.
"""

from __future__ import annotations

import random
from time import monotonic
from typing import Any

from distributed.comm import core
from distributed.core import Server, Status

#: Seconds that a sleep may take at first, and the share of the time so far that it may take later.
SHORTEST, SHARE = 0.1, 0.1

_patience: Patience | None = None


class Patience:
    """Stands for the module `random` where Dask connects"""

    def __init__(self, server: Server):
        self.server = server
        self.begin = monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)

    def uniform(self, low: float, high: float) -> float:
        if self.server.status != Status.init:  # it is registered, or ended
            stop()
            return random.uniform(low, high)
        return random.uniform(low, min(high, SHORTEST + SHARE * (monotonic() - self.begin)))


def start(server: Server) -> None:
    """Limit the sleeps from now on, until this worker or nanny is registered"""
    global _patience
    if _patience is None and getattr(core, "random", None) is random:  # as all versions have it so far
        _patience = Patience(server)
        core.random = _patience  # type: ignore[assignment]


def stop() -> None:
    """Let Dask sleep as it does by itself"""
    core.random = random
