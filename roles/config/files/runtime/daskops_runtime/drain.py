# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain a worker: it takes no new task, finishes those it runs, hands its data to its peers, then goes.

A unit's stop asks for it over the worker's socket (see `daskops_runtime.stop`). The deadline covers everything, and its last
parts are kept for the data and for closing: results that are there shall not be lost for a task that never ends.
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

#: Of a deadline, what is kept for the data: this share, but no more than so many seconds.
DATA = (1 / 3, 60.0)
#: And of that, what is kept for closing.
CLOSING = (1 / 6, 5.0)
#: Seconds that Dask may take to close after the drain, after its deadline, or once it was cut short.
LAST = 5.0
#: Why a drain ends, whether a question to the scheduler fails first or Dask notices first that the connection is lost.
UNREACHABLE = "the scheduler cannot be reached"
#: The states of a worker, as the scheduler knows it, that may take data, now or later.
TAKERS = {"init", "running", "paused"}

#: With what a process ends that does not end by itself.
exit_status = 0

_doors: dict[Worker, Door] = {}


class SchedulerGone(Exception):
    """The scheduler cannot be reached."""


class OutOfTime(Exception):
    """The scheduler did not do in time what it was asked."""


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def end_process_in(seconds: float) -> None:
    """End this process when the time is over, from a thread that no stuck event loop can hold up"""

    def end() -> None:
        logger.warning("The worker did not close in time: ending its process")
        os._exit(exit_status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class Results(WorkerPlugin):
    """Notes the results of tasks as they come

    Not the keys that there are now and then: the scheduler copies for a while longer what comes to a worker that is being
    retired, and has the worker forget it as soon as a peer has it.
    """

    def __init__(self, keys: set[Key]):
        self.keys = keys

    def transition(self, key: Key, start: str, finish: str, **kwargs: Any) -> None:
        if finish == "memory" and start in ("executing", "long-running"):
            self.keys.add(key)


class Drain:
    """One drain of one worker, from the ask to the end of the process"""

    def __init__(self, worker: Worker, seconds: float):
        self.worker = worker
        self.begin = monotonic()
        self.seconds = seconds
        closing = min(seconds * CLOSING[0], CLOSING[1])
        self.data_until = self.begin + seconds - closing
        self.tasks_until = self.begin + seconds - max(closing, min(seconds * DATA[0], DATA[1]))
        self.executed = worker.state.executed_count  # when the drain began
        self.given_back: set[Key] = set()
        self.unique: set[Key] = set()  # keys that were, at some time, on this worker only
        self.given_up: list[str] = []  # keys of the tasks that still ran when the time was over
        self.lost: dict[str, int] | None = {}  # keys and bytes that go with the worker; None if nobody can tell
        self.actors = 0
        self.reason = ""
        self.stage = "tasks"
        self.last = ""  # what was said last
        self.ended = False
        self.writers: set[asyncio.StreamWriter] = set()
        self.task = asyncio.create_task(self.run())
        end_process_in(seconds + LAST)  # whatever becomes of the task

    # Talking

    def join(self, writer: asyncio.StreamWriter) -> None:
        """Tell one more what is going on, from here on to the end"""
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
        systemd.notify(self.worker, f"STATUS={text}")  # also when it is nothing new: the watchdog's line replaces it

    async def report(self) -> None:
        while True:
            if self.stage == "tasks":
                self.say(f"{DRAINING}: {count(len(self.worker.state.all_running_tasks), 'task')} left")
            else:
                self.say(f"{DRAINING}: {count(len(self.worker.data), 'key')} left")
            await asyncio.sleep(1)

    def end(self, how: str = "drained in") -> None:
        """Say the last line, once: what was done, and what was given up"""
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
            text += f"; lost what this worker held alone of {count(len(self.worker.data), 'key')}"
        elif self.lost:
            text += f"; lost {count(len(self.lost), 'key')}, {format_bytes(sum(self.lost.values()))}"
        if self.actors:
            text += f"; lost {count(self.actors, 'actor')}, which cannot move"
        if self.reason:
            text += f" ({self.reason})"
        logger.log(logging.WARNING if self.reason or self.given_up or self.actors else logging.INFO, text)
        self.say(text)

    # Asking the scheduler

    async def ask(self, answer: Awaitable[Any], until: float) -> Any:
        # Not wait_for: before Python 3.12 it does not end with the process when the answer comes in the same moment.
        asking = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({asking}, timeout=max(0.0, until - monotonic()))
            if not asking.done():
                raise OutOfTime
            return asking.result()
        except (OSError, asyncio.TimeoutError) as e:
            raise SchedulerGone from e
        finally:
            asking.cancel()

    async def reach(self, until: float) -> None:
        """Wait until the scheduler has read all that this worker has told it so far

        The worker tells it of its status and of finished tasks on a stream that nobody answers on, while requests take
        another connection and may overtake it: then the scheduler would have a task that is done be done again, or
        would put a worker that could not retire back to work.
        """
        token = uuid.uuid4().hex
        self.worker.log_event(self.worker.address, {"action": "drain", "token": token})
        while True:
            events = await self.ask(self.worker.scheduler.events(topic=self.worker.address), until)
            if any(isinstance(event, dict) and event.get("token") == token for _, event in events):
                return
            await asyncio.sleep(0.05)

    async def retire(self, until: float, remove: bool) -> bool:
        """Have the data copied to peers; False if there is something that none can take"""
        retired = await self.ask(
            self.worker.scheduler.retire_workers(
                workers=[self.worker.address],
                close_workers=False,
                remove=remove,
                stimulus_id=f"drain-{uuid.uuid4().hex}",
            ),
            until,
        )
        return self.worker.address in retired

    async def peers(self, until: float) -> dict[str, str] | None:
        """Addresses of the other workers and their status; None if the scheduler no longer knows this one"""
        workers = (await self.ask(self.worker.scheduler.identity(n_workers=-1), until))["workers"]
        statuses = {address: worker["status"] for address, worker in workers.items()}
        return statuses if statuses.pop(self.worker.address, None) else None

    async def get_unique(self, until: float) -> dict[str, int]:
        """Keys that only this worker holds, with their sizes"""
        sizes = {key: self.worker.state.tasks[key].nbytes or 0 for key in self.worker.data if key in self.tasks}
        holders = await self.ask(self.worker.scheduler.who_has(keys=list(sizes)), until) if sizes else {}
        unique = {key: sizes[key] for key, workers in holders.items() if list(workers) == [self.worker.address]}
        self.unique.update(unique)
        return unique

    # Draining

    @property
    def tasks(self) -> dict[Key, TaskState]:
        return self.worker.state.tasks

    def running(self) -> list[str]:
        """Keys of the tasks that occupy a thread or the loop, those that have seceded included"""
        return sorted(str(ts.key) for ts in self.worker.state.all_running_tasks)

    def give_back(self) -> None:
        """Let the scheduler place the tasks that have not begun elsewhere, rather than after those that run here

        They cannot begin any more, so they are not done twice; the scheduler in turn tells this worker to forget them.
        """
        for key, ts in self.tasks.items():
            if ts.state in ("ready", "constrained", "waiting") and key not in self.given_back:
                self.given_back.add(key)
                self.worker.batched_send({"op": "reschedule", "key": key, "stimulus_id": f"drain-{uuid.uuid4().hex}"})

    async def finish_tasks(self) -> None:
        while monotonic() < self.tasks_until:
            self.give_back()  # again and again: some may still have been on their way
            if not self.worker.state.all_running_tasks:
                return
            await asyncio.sleep(0.05)
        self.given_up = self.running()

    async def copy_early(self) -> None:
        """Copy what there is while tasks still run, so that less is left to do, or to lose, when they end"""
        with contextlib.suppress(SchedulerGone, OutOfTime):
            await self.get_unique(self.tasks_until)
            await self.retire(self.tasks_until, remove=False)

    async def hand_over(self) -> None:
        """Move the data and leave the scheduler, which then gives away the tasks that are left"""
        until = self.data_until
        self.unique.update(await self.get_unique(until))
        while not await self.retire(until, remove=True):
            peers = await self.peers(until)
            if peers is None:
                return  # removed by someone else
            takers = {address: status for address, status in peers.items() if status in TAKERS}
            running = [address for address, status in takers.items() if status == "running"]
            self.lost = await self.get_unique(until)
            if self.actors and running and self.lost:
                # A worker with an actor is not retired at all.
                await self.ask(
                    self.worker.scheduler.replicate(keys=list(self.lost), workers=running, n=1, delete=False), until
                )
                self.lost = await self.get_unique(until)
            if not self.lost:
                self.reason = ""
                break
            if not takers:
                self.reason = "there is no other worker to take them"
                break
            self.reason = (
                f"{count(len(takers), 'other worker')}, of which {len(takers) - len(running)} paused, did not take them"
            )
            await asyncio.sleep(min(0.5, max(0.0, until - monotonic())))
        else:
            self.lost, self.reason = {}, ""
            return
        await self.leave(until)

    async def leave(self, until: float) -> None:
        """Leave without retiring; a worker that merely goes away casts suspicion on the tasks that it ran"""
        address = self.worker.address
        await self.ask(
            self.worker.scheduler.unregister(
                address=address, expected=True, close=False, stimulus_id=f"drain-{uuid.uuid4().hex}"
            ),
            until,
        )

    async def work(self) -> None:
        self.worker.status = Status.closing_gracefully
        self.worker.lifetime_restart = False  # else a lifetime that ends now would have the nanny start it again
        await self.worker.plugin_add(plugin=Results(self.unique), name="daskops-drain")
        await self.reach(self.tasks_until)
        early = asyncio.create_task(self.copy_early()) if self.worker.state.all_running_tasks else None
        await self.finish_tasks()
        if early:
            early.cancel()
        self.stage = "data"
        self.actors = len(self.worker.state.actors)
        await self.reach(self.data_until)
        await self.hand_over()

    async def run(self) -> None:
        logger.info("draining, for %g s at most", self.seconds)
        report = asyncio.create_task(self.report())
        try:
            await self.work()
        except OutOfTime:
            await self.count_lost()
        except SchedulerGone:
            self.reason, self.lost = UNREACHABLE, None
        except asyncio.CancelledError:
            self.interrupt()  # Dask ends with all its tasks cancelled on SIGTERM
            raise
        except Exception:
            logger.exception("The drain failed")
            self.reason, self.lost = "the drain failed", None
        finally:
            report.cancel()
        self.given_up = self.running()
        self.end()
        end_process_in(LAST)  # Dask may hang on its way out, on a peer that does not answer
        # A thread that has not come to its end by now is not waited for: its result would have nowhere to go.
        await self.worker.close(timeout=2, executor_wait=False, nanny=True, reason="daskops-drain")

    async def count_lost(self) -> None:
        """What is lost when the time was not enough"""
        self.reason = self.reason or "the time was over"
        half = (self.begin + self.seconds + monotonic()) / 2
        try:
            self.lost = await self.get_unique(half)
            await self.leave(half)
        except (SchedulerGone, OutOfTime):
            self.reason, self.lost = "the scheduler did not answer in time", None

    def interrupt(self) -> None:
        """The worker closes for another reason before the drain has come to its end"""
        if self.ended:
            return
        self.given_up = self.running()
        self.lost = None
        stream = self.worker.batched_stream
        if stream is None or stream.closed():
            self.reason = UNREACHABLE
            # Dask is about to wait 30 s for threads whose results nobody will take.
            self.worker.executors.clear()
        else:
            self.reason = "the worker was closed meanwhile"
        self.end("drain cut short after")
        end_process_in(LAST)  # on SIGTERM, Dask waits for all its tasks, of which one may not notice


class Door:
    """Where a worker is asked to drain"""

    def __init__(self, worker: Worker):
        self.worker = worker
        self.drain: Drain | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: str) -> None:
        """Drain within so many seconds, and tell how it goes; a command for `daskops_runtime.control`"""
        try:
            timeout = parse_timeout(seconds)
        except ValueError as e:
            raise control.NotUnderstood from e
        refusal = self.begin(timeout)
        if refusal:
            writer.write(f"{refusal}\n".encode())
        elif self.drain:
            self.drain.join(writer)
            await reader.read()  # until the one who asked hangs up, or this process ends

    def begin(self, seconds: float) -> str | None:
        """Begin to drain, unless that has begun; return why not"""
        if self.drain:
            return None
        if self.worker.status == Status.init:
            return f"the worker is not registered yet: {NOTHING}"
        if self.worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
            return f"the worker is closing already: {NOTHING}"
        self.drain = Drain(self.worker, seconds)
        return None


def start(worker: Worker) -> Door:
    """Be ready to drain"""
    _doors[worker] = Door(worker)
    return _doors[worker]


def begin(worker: Worker, seconds: float) -> str | None:
    """Drain a worker within so many seconds; return why not, where that cannot be"""
    return _doors[worker].begin(seconds) if worker in _doors else f"the worker is closing already: {NOTHING}"


def stop(worker: Worker) -> None:
    """A drain that has not come to its end says so"""
    door = _doors.pop(worker, None)
    if door and door.drain:
        door.drain.interrupt()
