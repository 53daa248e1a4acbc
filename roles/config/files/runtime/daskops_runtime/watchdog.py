# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Feed systemd's watchdog, and tell a worker that works from one that hangs.

The event loop feeds the watchdog. A task that holds Python's lock (GIL) stops the loop as well, though it does honest work:
Dask waits for such a worker as long as ``distributed.scheduler.worker-ttl``. So a worker tells systemd that it may be silent
for that long before it runs or unpickles what a user has sent, and takes this back when it is idle.

A thread of its own watches the loop meanwhile. The thread cannot run either while a task holds the lock. So a loop that is
silent while the thread runs has hung, unless it runs a user's code itself.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import dask
from dask.utils import parse_timedelta
from distributed import Worker, WorkerPlugin
from distributed.core import Server
from distributed.protocol import pickle

if TYPE_CHECKING:
    from dask.typing import Key

logger = logging.getLogger("distributed.daskops.watchdog")

#: Share of the watchdog's time that the thread sleeps. Only sleeps that it wakes from count, each for no more than this, so
#: that it has to get Python's lock many times, and the loop never, before the loop counts as hung.
STEP = 1 / 30
#: Seconds that systemd gets to end the process before the process ends itself: ``WATCHDOG=trigger`` came with systemd 243.
GRACE = 5.0
#: Key in the scheduler's identity by which it tells workers its ``worker-ttl``, in seconds or None.
TTL = "daskops_worker_ttl"
#: What Dask does on the event loop for a task or a plugin, however long it takes: run coroutines, unpickle, which imports
#: modules, and read and write results on disk. Functions of ``client.run`` are not among it: they must not block the loop.
USER_CODE = {
    ("distributed/worker.py", "execute"),
    ("distributed/worker.py", "actor_execute"),
    ("distributed/worker.py", "plugin_add"),
    ("distributed/protocol/pickle.py", "loads"),
    ("distributed/spill.py", None),
}


def get_timeout() -> float:
    """Return the seconds of silence after which systemd ends this process; 0 where there is no watchdog."""
    return int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6


def runs_user_code(frame: FrameType | None) -> bool:
    """Return whether a thread's stack shows something for which Dask lets a user take as long as it takes."""
    while frame:
        code = frame.f_code
        for path, name in USER_CODE:
            if code.co_filename.endswith(path) and name in (None, code.co_name):
                return True
        frame = frame.f_back
    return False


class Watchdog:
    """The watchdog of a server whose event loop is all that has to be watched, such as the scheduler

    Attributes
    ----------
    timeout : float
        Seconds of silence after which systemd ends the process.
    interval : float
        Seconds between two signs of life.
    """

    def __init__(self, send: Callable[..., bool], timeout: float):
        self.send = send
        self.timeout = timeout
        self.interval = timeout / 3

    async def begin(self) -> None:
        """Watch from here on; called before the server serves."""

    async def serve(self) -> None:
        """Learn what only a server that serves can know."""

    def feed(self) -> None:
        """Send a sign of life; called on the event loop."""
        self.send("WATCHDOG=1")

    def end(self) -> None:
        """Stop watching."""


class Work(WorkerPlugin):
    """Tells the watchdog of a task before the task's thread starts."""

    def __init__(self, watchdog: WorkerWatchdog):
        self.watchdog = watchdog

    def transition(self, key: Key, start: str, finish: str, **kwargs: object) -> None:
        if finish in ("executing", "flight"):
            self.watchdog.extend()


class WorkerWatchdog(Watchdog):
    """The watchdog of a worker without a nanny, which runs tasks in its own process"""

    def __init__(self, worker: Worker, send: Callable[..., bool], timeout: float):
        super().__init__(send, timeout)
        self.worker = worker
        self.extended = False
        self.ttl = parse_timedelta(dask.config.get("distributed.scheduler.worker-ttl"))
        self.silence = 0.0  # seconds for which the thread has run, and the loop has not
        self.loop_thread = threading.get_ident()
        self.ended = threading.Event()
        self.dask_loads = pickle.loads
        self.thread = threading.Thread(target=self.watch, name="daskops-watchdog", daemon=True)

    @property
    def limit(self) -> float:
        """Seconds that a busy worker may be silent; 0 for ever

        The last sign of life may be almost `timeout` old when a task takes Python's lock.
        """
        return self.ttl + self.timeout if self.ttl else 0

    @property
    def busy(self) -> bool:
        """Whether something may take Python's lock: a running task, a result on its way, or an actor's method"""
        state = self.worker.state
        return bool(state.all_running_tasks or state.in_flight_tasks or state.actors)

    async def begin(self) -> None:
        await self.worker.plugin_add(plugin=Work(self), name="daskops-watchdog")
        # There is no hook before Dask unpickles what a user has sent, and that may import a package for a minute.
        pickle.loads = self.loads

    async def serve(self) -> None:
        self.silence = 0.0
        self.thread.start()
        try:
            identity = await self.worker.scheduler.identity(n_workers=0)
        except Exception as e:  # a scheduler of another version; what it raises comes here
            logger.info("The scheduler does not tell its worker-ttl, taking %g s: %s", self.ttl or 0, e)
            return
        self.ttl = identity.get(TTL, self.ttl)  # it may be set for the scheduler alone
        if self.extended:
            self.extended = False
            self.extend()

    def loads(self, *args: Any, **options: Any) -> Any:
        """Unpickle as Dask does, and let systemd know before."""
        self.extend()
        return self.dask_loads(*args, **options)

    def extend(self) -> None:
        """Let systemd wait for as long as a task may take."""
        if not self.extended:  # or it is said again with the next task
            self.extended = self.send(f"WATCHDOG_USEC={int(self.limit * 1e6)}")

    def feed(self) -> None:
        self.silence = 0.0
        if self.busy:
            self.extend()
        elif self.extended:
            self.reset()
        super().feed()

    def reset(self) -> None:
        """Have systemd wait for no longer than it is configured to."""
        self.extended = not self.send(f"WATCHDOG_USEC={int(self.timeout * 1e6)}")

    def end(self) -> None:
        self.ended.set()
        pickle.loads = self.dask_loads
        if self.extended:
            self.reset()

    def watch(self) -> None:
        """Abort the process when the loop does not run although it could; runs in the thread."""
        step = self.timeout * STEP
        while not self.ended.wait(step):
            self.silence += step
            if self.silence < self.timeout:
                continue
            if runs_user_code(sys._current_frames().get(self.loop_thread)) and not 0 < self.limit <= self.silence:
                continue
            if not self.ended.is_set():
                self.abort()

    def abort(self) -> None:
        logger.critical("The event loop has not run for %.0f s, while Python's lock was free: it hangs", self.silence)
        self.send("WATCHDOG=trigger")  # systemd aborts, and faulthandler writes all stacks to the journal
        time.sleep(GRACE)
        os.abort()


def make(server: Server, send: Callable[..., bool]) -> Watchdog | None:
    """Return the watchdog of a server; None where systemd does not watch it."""
    timeout = get_timeout()
    if not timeout:
        return None
    return WorkerWatchdog(server, send, timeout) if isinstance(server, Worker) else Watchdog(send, timeout)
