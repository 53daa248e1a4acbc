# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send systemd's watchdog messages, and distinguish a busy worker from a hanging one.

The event loop sends the messages. A task that holds the GIL blocks the loop although it makes progress. Dask waits for such
a worker for ``distributed.scheduler.worker-ttl``. So before a worker runs or unpickles user code, it extends its watchdog
interval to that time. It restores the interval when it is idle.

While the interval is extended, a thread watches the loop. A task that holds the GIL also blocks this thread. So if the
thread runs and the loop does not, the loop hangs, unless it runs user code itself.
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

#: Length of the thread's sleeps as a fraction of the watchdog interval. Each completed sleep counts only for this length. So
#: the loop counts as hanging only after the thread has got the GIL 30 times and the loop never.
STEP = 1 / 30
#: Seconds until the process aborts itself if systemd does not abort it. systemd before 243 ignores ``WATCHDOG=trigger``.
GRACE = 5.0
#: Key of the scheduler's ``worker-ttl`` in its identity, in seconds or None.
TTL = "daskops_worker_ttl"
#: Functions of Dask that run user code on the event loop without a time limit: coroutines, unpickling (which imports
#: modules) and spilling to disk. ``client.run`` is not included, because its functions must not block the loop.
USER_CODE = {
    ("distributed/worker.py", "execute"),
    ("distributed/worker.py", "actor_execute"),
    ("distributed/worker.py", "plugin_add"),
    ("distributed/protocol/pickle.py", "loads"),
    ("distributed/spill.py", None),
}


def get_timeout() -> float:
    """Return the watchdog interval of the unit in seconds; 0 without a watchdog."""
    return int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6


def runs_user_code(frame: FrameType | None) -> bool:
    """Return whether a thread's stack contains one of the functions in `USER_CODE`."""
    while frame:
        code = frame.f_code
        for path, name in USER_CODE:
            if code.co_filename.endswith(path) and name in (None, code.co_name):
                return True
        frame = frame.f_back
    return False


class Watchdog:
    """The watchdog of a server that does not run tasks, such as the scheduler.

    Attributes
    ----------
    timeout : float
        Seconds without a message after which systemd aborts the process.
    interval : float
        Seconds between two messages.
    """

    def __init__(self, send: Callable[..., bool], timeout: float):
        self.send = send
        self.timeout = timeout
        self.interval = timeout / 3

    async def begin(self) -> None:
        """Start to watch. Called before the server serves."""

    async def serve(self) -> None:
        """Complete the start. Called when the server serves."""

    def feed(self) -> None:
        """Send a watchdog message. Called on the event loop."""
        self.send("WATCHDOG=1")

    def end(self) -> None:
        """Stop watching."""


class Work(WorkerPlugin):
    """A worker plugin that extends the watchdog interval before a task starts."""

    def __init__(self, watchdog: WorkerWatchdog):
        self.watchdog = watchdog

    def transition(self, key: Key, start: str, finish: str, **kwargs: object) -> None:
        if finish in ("executing", "flight"):
            self.watchdog.extend()


class WorkerWatchdog(Watchdog):
    """The watchdog of a worker without a nanny, which runs tasks in its own process."""

    def __init__(self, worker: Worker, send: Callable[..., bool], timeout: float):
        super().__init__(send, timeout)
        self.worker = worker
        self.extended = False
        self.ttl = parse_timedelta(dask.config.get("distributed.scheduler.worker-ttl"))
        self.silence = 0.0  # seconds in which the thread has run and the loop has not
        self.loop_thread = threading.get_ident()
        self.ended = threading.Event()
        self.dask_loads = pickle.loads
        self.thread = threading.Thread(target=self.watch, name="daskops-watchdog", daemon=True)

    @property
    def limit(self) -> float:
        """Watchdog interval of a busy worker in seconds; 0 means unlimited.

        `timeout` is added because the last message may be that old when a task takes the GIL.
        """
        return self.ttl + self.timeout if self.ttl else 0

    @property
    def busy(self) -> bool:
        """Whether user code may take the GIL: a running task, an incoming result, or an actor's method."""
        state = self.worker.state
        return bool(state.all_running_tasks or state.in_flight_tasks or state.actors)

    async def begin(self) -> None:
        await self.worker.plugin_add(plugin=Work(self), name="daskops-watchdog")
        # Dask has no hook before it unpickles user code, which can import packages for a minute.
        pickle.loads = self.loads

    async def serve(self) -> None:
        self.silence = 0.0
        self.thread.start()
        try:
            identity = await self.worker.scheduler.identity(n_workers=0)
        except Exception as e:  # for example an exception of a scheduler of another version
            logger.info("The scheduler does not report its worker-ttl, using %g s: %s", self.ttl or 0, e)
            return
        self.ttl = identity.get(TTL, self.ttl)  # may be set only for the scheduler
        if self.extended:
            self.extended = False
            self.extend()

    def loads(self, *args: Any, **options: Any) -> Any:
        """Extend the watchdog interval, then unpickle like Dask."""
        self.extend()
        return self.dask_loads(*args, **options)

    def extend(self) -> None:
        """Set the watchdog interval of a busy worker."""
        if not self.extended:  # if sending fails, the next task tries again
            self.extended = self.send(f"WATCHDOG_USEC={int(self.limit * 1e6)}")

    def feed(self) -> None:
        self.silence = 0.0
        if self.busy:
            self.extend()
        elif self.extended:
            self.reset()
        super().feed()

    def reset(self) -> None:
        """Restore the watchdog interval of the unit."""
        self.extended = not self.send(f"WATCHDOG_USEC={int(self.timeout * 1e6)}")

    def end(self) -> None:
        self.ended.set()
        pickle.loads = self.dask_loads
        if self.extended:
            self.reset()

    def watch(self) -> None:
        """Abort the process if the loop does not run although the GIL is free. Runs in the thread."""
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
        logger.critical("The event loop hangs: it has not run for %.0f s although the GIL was free", self.silence)
        self.send("WATCHDOG=trigger")  # systemd sends SIGABRT, and faulthandler writes all stacks to the journal
        time.sleep(GRACE)
        os.abort()


def make(server: Server, send: Callable[..., bool]) -> Watchdog | None:
    """Return the watchdog of a server; None if its unit has no watchdog."""
    timeout = get_timeout()
    if not timeout:
        return None
    return WorkerWatchdog(server, send, timeout) if isinstance(server, Worker) else Watchdog(send, timeout)
