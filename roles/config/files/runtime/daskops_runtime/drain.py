# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain a worker: it takes no new tasks, finishes the running ones, moves its data to other workers, and exits.

A stop of the unit requests a drain through the control socket (see `daskops_runtime.stop`). One deadline applies to the
whole drain. Its last parts are reserved for the data and for closing, so that a task that never ends does not cause the loss
of existing results.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Awaitable
from time import monotonic
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes
from distributed import Worker, WorkerPlugin
from distributed.core import Status

from daskops_runtime import control, systemd
from daskops_runtime.stop import DRAINING, NOTHING, parse_timeout

if TYPE_CHECKING:  # older versions of Dask do not have `Key`
    from dask.typing import Key
    from distributed.worker_state_machine import TaskState

logger = logging.getLogger("distributed.daskops.drain")

#: Part of the timeout that is reserved for the data: a fraction, and the largest number of seconds.
DATA = (1 / 3, 60.0)
#: Part of the timeout that is reserved for closing: a fraction, and the largest number of seconds.
CLOSING = (1 / 6, 5.0)
#: Seconds that Dask may take to close after the drain, after its deadline, or after an interruption.
LAST = 5.0
#: Seconds until a drain without a deadline begins again after a failure.
RETRY = 5.0
#: Seconds of a drain without a deadline.
FOREVER = 10 * 365 * 86400.0
#: Reason if a drain loses the scheduler, which is noticed by a failed request or by Dask.
UNREACHABLE = "the scheduler cannot be reached"
#: States of other workers that can take data now or later.
TAKERS = {"init", "running", "paused"}

#: Exit status of a process that does not exit by itself.
exit_status = 0

_commands: dict[Worker, Command] = {}


class SchedulerGone(Exception):
    """The scheduler cannot be reached."""


class OutOfTime(Exception):
    """The scheduler did not answer before the deadline."""


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def end_process_in(seconds: float) -> None:
    """End this process after ``seconds``, from a thread, which works even if the event loop hangs."""

    def end() -> None:
        logger.warning("The worker did not close in time, so its process is ended")
        os._exit(exit_status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class Results(WorkerPlugin):
    """A plugin that records the keys of results when they are stored.

    Listing the keys at intervals would miss some of them. While a worker retires, the scheduler copies each new result and
    makes the worker drop it immediately.
    """

    def __init__(self, keys: set[Key]):
        self.keys = keys

    def transition(self, key: Key, start: str, finish: str, **kwargs: Any) -> None:
        if finish == "memory" and start in ("executing", "long-running"):
            self.keys.add(key)


class Drain:
    """One drain of a worker, from the request to the end of the process."""

    def __init__(self, worker: Worker, seconds: float | None):
        self.worker = worker
        self.begin = monotonic()
        self.patient = False
        self.set_deadline(seconds)
        self.executed = worker.state.executed_count  # number at the start of the drain
        self.given_back: set[Key] = set()
        self.unique: set[Key] = set()  # keys that were only on this worker at any time
        self.given_up: list[str] = []  # keys of the tasks that were running at the deadline
        self.lost: dict[str, int] | None = {}  # bytes of the lost keys; None if unknown
        self.actors = 0
        self.reason = ""
        self.stage = "tasks"
        self.last = ""  # the last line sent
        self.ended = False
        self.writers: set[asyncio.StreamWriter] = set()
        self.task = asyncio.create_task(self.run())

    def set_deadline(self, seconds: float | None) -> None:
        """Set the time from now in which the drain must end. None means as long as the tasks and data need."""
        self.patient = seconds is None
        seconds = FOREVER if seconds is None else seconds
        closing = min(seconds * CLOSING[0], CLOSING[1])
        self.end_at = monotonic() + seconds
        self.data_until = self.end_at - closing
        self.tasks_until = self.end_at - max(closing, min(seconds * DATA[0], DATA[1]))
        end_process_in(seconds + LAST)  # independent of the task

    def shorten(self, seconds: float | None) -> None:
        """Bring the deadline forward, if the drain may take longer than that."""
        if seconds is not None and monotonic() + seconds < self.end_at:
            self.set_deadline(seconds)

    # Messages

    def join(self, writer: asyncio.StreamWriter) -> None:
        """Send all following lines also to this connection."""
        self.writers.add(writer)
        self.write(writer, self.last)

    def write(self, writer: asyncio.StreamWriter, text: str) -> None:
        if text and not writer.is_closing():
            writer.write(f"{text}\n".encode())

    def say(self, text: str) -> None:
        if text != self.last:
            self.last = text
            for writer in self.writers:
                self.write(writer, text)
        systemd.notify(self.worker, f"STATUS={text}")  # repeat the status, because the watchdog replaces it

    async def report(self) -> None:
        while True:
            if self.stage == "tasks":
                self.say(f"{DRAINING}: {count(len(self.worker.state.all_running_tasks), 'task')} left")
            else:
                self.say(f"{DRAINING}: {count(len(self.worker.data), 'key')} left")
            await asyncio.sleep(1)

    def end(self, how: str = "drained in") -> None:
        """Send the last line once, with the finished tasks and the tasks and data that were given up or lost."""
        if self.ended:
            return
        self.ended = True
        finished = self.worker.state.executed_count - self.executed
        moved = len(self.unique - self.lost.keys()) if self.lost is not None else 0
        text = f"{how} {monotonic() - self.begin:.1f} s: "
        text += f"{count(finished, 'task')} finished, {count(moved, 'key')} handed over"
        if self.given_up:
            text += f"; gave up {count(len(self.given_up), 'task')} still running: {', '.join(self.given_up[:10])}"
            text += f" and {len(self.given_up) - 10} more" if len(self.given_up) > 10 else ""
        if self.lost is None:
            text += f"; lost those of its {count(len(self.worker.data), 'key')} that no other worker has"
        elif self.lost:
            text += f"; lost {count(len(self.lost), 'key')}, {format_bytes(sum(self.lost.values()))}"
        if self.actors:
            text += f"; lost {count(self.actors, 'actor')}, which cannot move"
        if self.reason:
            text += f" ({self.reason})"
        logger.log(logging.WARNING if self.reason or self.given_up or self.actors else logging.INFO, text)
        self.say(text)

    # Requests to the scheduler

    @property
    def limit(self) -> float:
        """End of the time for requests in this stage. `shorten` can bring it forward during a request."""
        return self.tasks_until if self.stage == "tasks" else self.data_until

    async def ask(self, answer: Awaitable[Any]) -> Any:
        # Do not use asyncio.wait_for. Before Python 3.12, it ignores a cancellation that comes together with the answer.
        asking = asyncio.ensure_future(answer)
        try:
            while not asking.done():
                left = self.limit - monotonic()
                if left <= 0:
                    raise OutOfTime
                await asyncio.wait({asking}, timeout=min(left, 1))
            return asking.result()
        except (OSError, asyncio.TimeoutError) as e:
            raise SchedulerGone from e
        finally:
            asking.cancel()

    async def reach(self) -> None:
        """Wait until the scheduler has read all messages of this worker so far.

        The worker sends its status and its finished tasks on a stream without answers. Requests use another connection and
        can overtake the stream. The scheduler would then repeat a finished task, or set a worker that could not retire to
        running again.
        """
        token = uuid.uuid4().hex
        self.worker.log_event(self.worker.address, {"action": "drain", "token": token})
        while True:
            events = await self.ask(self.worker.scheduler.events(topic=self.worker.address))
            if any(isinstance(event, dict) and event.get("token") == token for dummy, event in events):
                return
            await asyncio.sleep(0.05)

    async def retire(self, remove: bool) -> bool:
        """Copy the data to other workers, and return whether all of it was copied."""
        retired = await self.ask(
            self.worker.scheduler.retire_workers(
                workers=[self.worker.address],
                close_workers=False,
                remove=remove,
                stimulus_id=f"drain-{uuid.uuid4().hex}",
            )
        )
        return self.worker.address in retired

    async def peers(self) -> dict[str, str] | None:
        """Return the status of the other workers by address; None if the scheduler no longer knows this worker."""
        workers = (await self.ask(self.worker.scheduler.identity(n_workers=-1)))["workers"]
        statuses = {address: worker["status"] for address, worker in workers.items()}
        return statuses if statuses.pop(self.worker.address, None) else None

    async def get_unique(self) -> dict[str, int]:
        """Return the sizes in bytes of the keys that only this worker has, by key."""
        sizes = {key: self.worker.state.tasks[key].nbytes or 0 for key in self.worker.data if key in self.tasks}
        holders = await self.ask(self.worker.scheduler.who_has(keys=list(sizes))) if sizes else {}
        unique = {key: sizes[key] for key, workers in holders.items() if list(workers) == [self.worker.address]}
        self.unique.update(unique)
        return unique

    # Draining

    @property
    def tasks(self) -> dict[Key, TaskState]:
        return self.worker.state.tasks

    @property
    def is_connected(self) -> bool:
        """Whether the stream to the scheduler is open."""
        stream = self.worker.batched_stream
        return stream is not None and not stream.closed()

    def running(self) -> list[str]:
        """Return the keys of running tasks, including those that have seceded."""
        return sorted(str(ts.key) for ts in self.worker.state.all_running_tasks)

    def give_back(self) -> None:
        """Return the tasks that have not started to the scheduler, so that other workers run them immediately.

        These tasks can no longer start on this worker, so they do not run twice. The scheduler then makes this worker
        forget them.
        """
        for key, ts in self.tasks.items():
            if ts.state in ("ready", "constrained", "waiting") and key not in self.given_back:
                self.given_back.add(key)
                self.worker.batched_send({"op": "reschedule", "key": key, "stimulus_id": f"drain-{uuid.uuid4().hex}"})

    async def finish_tasks(self) -> None:
        while monotonic() < self.tasks_until:
            self.give_back()  # in each iteration, because tasks may still arrive
            if not self.worker.state.all_running_tasks:
                return
            await asyncio.sleep(0.05)
        self.given_up = self.running()

    async def copy_early(self) -> None:
        """Copy existing data while tasks still run, so that less data has to be copied, or is lost, at the end."""
        with contextlib.suppress(SchedulerGone, OutOfTime):
            await self.get_unique()
            await self.retire(remove=False)

    async def hand_over(self) -> None:
        """Move the data and unregister from the scheduler, which then assigns the remaining tasks to other workers."""
        self.unique.update(await self.get_unique())
        while not await self.retire(remove=True):
            peers = await self.peers()
            if peers is None:
                return  # already removed
            takers = {address: status for address, status in peers.items() if status in TAKERS}
            running = [address for address, status in takers.items() if status == "running"]
            self.lost = await self.get_unique()
            if self.actors and running and self.lost:
                # Dask does not retire a worker with an actor, so replicate the keys.
                await self.ask(
                    self.worker.scheduler.replicate(keys=list(self.lost), workers=running, n=1, delete=False)
                )
                self.lost = await self.get_unique()
            if not self.lost:
                self.reason = ""
                break
            if not takers and not self.patient:
                self.reason = "no other worker can take them"
                break
            self.reason = (
                f"{count(len(takers), 'other worker')}, of which {len(takers) - len(running)} paused, did not take them"
            )
            await asyncio.sleep(min(0.5, max(0.0, self.limit - monotonic())))
        else:
            self.lost, self.reason = {}, ""
            return
        await self.leave()

    async def leave(self) -> None:
        """Unregister without retiring. If a worker only disconnects, Dask counts its running tasks as suspicious."""
        address = self.worker.address
        await self.ask(
            self.worker.scheduler.unregister(
                address=address, expected=True, close=False, stimulus_id=f"drain-{uuid.uuid4().hex}"
            )
        )

    async def work(self) -> None:
        self.worker.status = Status.closing_gracefully
        self.worker.lifetime_restart = False  # otherwise the nanny restarts it if Dask's lifetime ends now
        await self.worker.plugin_add(plugin=Results(self.unique), name="daskops-drain")
        await self.reach()
        early = asyncio.create_task(self.copy_early()) if self.worker.state.all_running_tasks else None
        try:
            await self.finish_tasks()
        finally:
            if early:
                early.cancel()
        self.stage = "data"
        self.actors = len(self.worker.state.actors)
        await self.reach()
        await self.hand_over()

    async def work_patiently(self) -> None:
        """Work, and begin again after a failure while there is no deadline, because a worker that exits loses its tasks."""
        while True:
            try:
                return await self.work()
            except OutOfTime:
                raise
            except Exception:
                if not self.patient or not self.is_connected:
                    raise
                logger.warning("The drain failed, and begins again in %g s", RETRY, exc_info=True)
            self.stage = "tasks"
            retry_at = monotonic() + RETRY
            while monotonic() < min(retry_at, self.limit):
                await asyncio.sleep(0.1)

    async def run(self) -> None:
        logger.info(
            "draining, %s", "without a deadline" if self.patient else f"for {self.end_at - self.begin:g} s at most"
        )
        report = asyncio.create_task(self.report())
        try:
            await self.work_patiently()
        except OutOfTime:
            await self.count_lost()
        except SchedulerGone:
            self.reason, self.lost = UNREACHABLE, None
        except asyncio.CancelledError:
            self.interrupt()  # on SIGTERM Dask cancels all tasks
            raise
        except Exception:
            logger.exception("The drain failed")
            self.reason, self.lost = "the drain failed", None
        finally:
            report.cancel()
        self.given_up = self.running()
        self.end()
        end_process_in(LAST)  # Dask may hang while closing if another worker does not answer
        # Do not wait for running threads, because their results cannot be sent any more.
        await self.worker.close(timeout=2, executor_wait=False, nanny=True, reason="daskops-drain")

    async def count_lost(self) -> None:
        """Record what is lost at the deadline."""
        self.reason = self.reason or "the deadline was reached"
        self.stage, self.data_until = "data", (self.end_at + monotonic()) / 2
        try:
            self.lost = await self.get_unique()
            await self.leave()
        except (SchedulerGone, OutOfTime):
            self.reason, self.lost = "the scheduler did not answer in time", None

    def interrupt(self) -> None:
        """Send the last line of a drain that is interrupted because the worker closes for another reason."""
        if self.ended:
            return
        self.given_up = self.running()
        self.lost = None
        if not self.is_connected:
            self.reason = UNREACHABLE
            # Otherwise Dask waits 30 s for threads whose results cannot be sent any more.
            self.worker.executors.clear()
        else:
            self.reason = "the worker was closed for another reason"
        self.end("drain cut short after")
        end_process_in(LAST)  # on SIGTERM Dask waits for its tasks, and one of them may ignore the cancellation


class Command:
    """The command ``drain`` of `daskops_runtime.control`."""

    def __init__(self, worker: Worker):
        self.worker = worker
        self.drain: Drain | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: str) -> None:
        """Drain within ``seconds``, and send progress lines until the end."""
        try:
            timeout = parse_timeout(seconds)
        except ValueError as e:
            raise control.NotUnderstood from e
        problem = self.begin(timeout)
        if problem:
            writer.write(f"{problem}\n".encode())
        elif self.drain:
            self.drain.join(writer)
            await reader.read()  # until the client disconnects, or this process ends

    def begin(self, seconds: float | None) -> str | None:
        """Start to drain, or shorten a running drain. Return the reason if that is not possible, else None."""
        if self.drain:
            self.drain.shorten(seconds)
            return None
        if self.worker.status == Status.init:
            return f"the worker is not registered yet: {NOTHING}"
        if self.worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
            return f"the worker is already closing: {NOTHING}"
        self.drain = Drain(self.worker, seconds)
        return None


def start(worker: Worker) -> Command:
    """Return the command ``drain`` of a worker."""
    _commands[worker] = Command(worker)
    return _commands[worker]


def begin(worker: Worker, seconds: float | None) -> str | None:
    """Start to drain a worker within ``seconds``, or without a deadline. Return why that is not possible, else None."""
    return _commands[worker].begin(seconds) if worker in _commands else f"the worker is already closing: {NOTHING}"


def get_drain(worker: Worker) -> Drain | None:
    """Return the drain of a worker; None if it does not drain."""
    return _commands[worker].drain if worker in _commands else None


def stop(worker: Worker) -> None:
    """Remove the command, and interrupt a running drain."""
    command = _commands.pop(worker, None)
    if command and command.drain:
        command.drain.interrupt()
