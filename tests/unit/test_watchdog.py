# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog in real workers, with a stand-in for systemd that aborts processes as systemd does."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from conftest import RUNTIME, scheduler, wait_until, worker

WATCHDOG = 3.0
TTL = 8.0
LONG = 1.5 * WATCHDOG
IMPORTS = {"PYTHONPATH": f"{RUNTIME}:{Path(__file__).parent}"}  # workers import this file for its tasks


class Systemd:
    """A notification socket that aborts the sender when its watchdog interval has passed without a message."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp())  # tmp_path is too long for a Unix socket
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(str(self.directory / "notify.sock"))
        self.limits = [WATCHDOG]
        self.lines = []
        self.ended_by = None
        self.closing = False
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    @property
    def variables(self):
        path = str(self.directory / "notify.sock")
        return {**IMPORTS, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(WATCHDOG * 1e6)), "PYTHONFAULTHANDLER": "1"}

    def listen(self):
        pid, fed = None, time.monotonic()
        while not self.closing:
            if select.select([self.sock], [], [], 0.05)[0]:
                data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
                lines = data.decode().splitlines()
                if "READY=1" in lines:
                    pid, fed = struct.unpack("3i", ancillary[0][2])[0], time.monotonic()
                for line in lines:
                    if line.startswith("WATCHDOG_USEC="):
                        self.limits.append(int(line.partition("=")[2]) / 1e6)
                    if line.startswith("WATCHDOG"):
                        fed = time.monotonic()
                self.lines += lines
            elif pid and self.limits[-1] and time.monotonic() - fed > self.limits[-1]:
                self.abort(pid, "silence")
            if pid and "WATCHDOG=trigger" in self.lines:
                self.abort(pid, "trigger")

    def abort(self, pid, why):
        self.ended_by = why
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)
            os.kill(pid, signal.SIGCONT)
        self.closing = True

    def close(self):
        self.closing = True
        self.thread.join()
        self.sock.close()
        shutil.rmtree(self.directory)


class Watched:
    """A worker with a watchdog, and a client."""

    def __init__(self, systemd, process, client, name):
        self.systemd = systemd
        self.process = process
        self.client = client
        self.name = name

    def submit(self, function, *args):
        """Start a task and return its future when the task is running or done."""
        self.is_idle()
        future = self.client.submit(function, *args, workers=[self.name], pure=False)
        wait_until(lambda: self.systemd.limits[-1] != WATCHDOG or future.done())
        return future

    def is_idle(self):
        """Wait until the watchdog has the interval of an idle worker."""
        wait_until(lambda: self.systemd.limits[-1] == WATCHDOG)


@contextlib.contextmanager
def watched(started, name, settings=None, **variables):
    """Run a worker with its own stand-in for systemd."""
    systemd = Systemd()
    variables.update(systemd.variables)
    variables["DASKOPS_RELEASE"] = "r.1"
    try:
        with worker(started, name, runtime=True, settings=settings, **variables) as process, started.client() as client:
            wait_until(lambda: "WATCHDOG=1" in systemd.lines)
            yield Watched(systemd, process, client, name)
    finally:
        systemd.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """Return a worker for tests that must not end it."""
    settings = {"scheduler.worker-ttl": "60s"}
    with contextlib.ExitStack() as stack:
        directory = tmp_path_factory.mktemp("lasting")
        started = stack.enter_context(scheduler(directory, runtime=True, settings=settings, **IMPORTS))
        running = stack.enter_context(watched(started, "w1"))
        running.scheduler = started
        yield running
        assert not running.systemd.ended_by
        assert running.process.poll() is None


def hold(seconds):
    """Keep the GIL in native code."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return os.getpid()


def hold_again_and_again(seconds):
    for dummy in range(12):
        hold(seconds / 12)
    return os.getpid()


async def block_the_loop(seconds):
    """Block the event loop, on which a coroutine runs as a task."""
    time.sleep(seconds)
    return os.getpid()


class Holder:
    def hold(self, seconds):
        return hold(seconds)


@pytest.mark.parametrize("task", [hold, hold_again_and_again, block_the_loop])
def test_task_may_hold_the_gil(lasting, task):
    assert lasting.submit(task, LONG).result(60) == lasting.process.pid
    lasting.is_idle()


def test_task_may_import_slowly(lasting, tmp_path):
    """Dask imports a task's module on the event loop before it runs the task."""
    directory = tmp_path / "modules"
    directory.mkdir()
    (directory / "slow_module.py").write_text(
        f"import os, time\nif 'DASKOPS_RELEASE' in os.environ:\n    time.sleep({LONG})\ndef task(): return os.getpid()\n"
    )
    extend_path = "import sys; sys.path.append(directory)"
    lasting.client.run(exec, extend_path, {"directory": str(directory)})
    lasting.client.run_on_scheduler(exec, extend_path, {"directory": str(directory)})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        assert lasting.submit(importlib.import_module("slow_module").task).result(60) == lasting.process.pid
    lasting.is_idle()


def test_actor_may_hold_the_gil(lasting):
    with lasting.client.as_current():
        actor = lasting.client.submit(Holder, actor=True).result(20)
        time.sleep(WATCHDOG)
        assert actor.hold(LONG).result(60) == lasting.process.pid
    del actor
    gc.collect()  # the client's reference to an actor is in a cycle
    lasting.is_idle()


def test_short_tasks_cause_few_messages(lasting):
    lasting.is_idle()
    before = len(lasting.systemd.lines)
    lasting.client.gather(lasting.client.map(str, range(2000), pure=False))
    assert len(lasting.systemd.lines) - before < 100


def test_worker_ttl_comes_from_the_scheduler(lasting):
    """The worker's own configuration has the default of 5 minutes."""
    assert lasting.submit(hold, 0).result(20)
    lasting.is_idle()
    assert set(lasting.systemd.limits[2:]) == {60 + WATCHDOG, WATCHDOG}


def test_worker_ttl_comes_from_the_worker_with_a_stock_scheduler(stock):
    with watched(stock.scheduler, "w3", {"scheduler.worker-ttl": "40s"}) as running:
        assert running.submit(str, 0).result(20)
        assert running.systemd.limits[1] == 40 + WATCHDOG


def test_watchdog_is_off_during_tasks_without_worker_ttl(tmp_path):
    settings = {"scheduler.worker-ttl": None}
    with scheduler(tmp_path, runtime=True, settings=settings, **IMPORTS) as started, watched(started, "w1") as running:
        assert running.submit(hold, LONG).result(20) == running.process.pid
        assert 0 in running.systemd.limits  # 0 disables the watchdog
        running.is_idle()


def deadlock(dask_worker):
    lock = threading.Lock()
    dask_worker.loop.call_later(0.1, lambda: lock.acquire() and lock.acquire())


def stop(watched):
    watched.process.send_signal(signal.SIGSTOP)


def hang(watched):
    watched.client.run(deadlock, workers=[address_of(watched)])


def block(watched):
    """Block the event loop with ``Client.run``."""
    with contextlib.suppress(TimeoutError):
        watched.client.sync(watched.client._run, time.sleep, 60, workers=[address_of(watched)], callback_timeout=0.1)


def address_of(watched):
    workers = watched.client.sync(watched.client.scheduler.identity, n_workers=-1)["workers"]
    return next(address for address, told in workers.items() if told["name"] == watched.name)


#: By case: the task, the action on the worker, the minimum and maximum seconds until it is aborted, and the reason.
HANGING = {
    "stopped while idle": (None, stop, 0, WATCHDOG, "silence"),
    "stopped while a task runs": (time.sleep, stop, TTL - WATCHDOG, TTL + WATCHDOG, "silence"),
    "holds the GIL for longer than worker-ttl": (hold, None, TTL, TTL + WATCHDOG, "silence"),
    "hangs while idle": (None, hang, 0, WATCHDOG, None),
    "hangs while a task runs": (time.sleep, hang, 0, WATCHDOG, "trigger"),
    "blocked by a client": (None, block, 0, WATCHDOG, None),
}


@pytest.fixture(scope="module")
def hanging(tmp_path_factory):
    """Run all cases at once; return the start and end time and the reason of each."""
    times = {}
    with contextlib.ExitStack() as stack:
        settings = {"scheduler.worker-ttl": f"{TTL}s"}
        started = stack.enter_context(
            scheduler(tmp_path_factory.mktemp("hanging"), runtime=True, settings=settings, **IMPORTS)
        )
        workers = {name: stack.enter_context(watched(started, name)) for name in HANGING}
        for name, (task, harm, *_) in HANGING.items():
            running = workers[name]
            if task:
                running.task = running.submit(task, 60)
            else:
                running.is_idle()
            times[name] = [time.monotonic()]
            if harm:
                harm(running)
        deadline = time.monotonic() + TTL + 5 * WATCHDOG
        while time.monotonic() < deadline and any(len(two) == 1 for two in times.values()):
            for name, running in workers.items():
                if len(times[name]) == 1 and running.process.poll() is not None:
                    times[name].append(time.monotonic())
            time.sleep(0.05)
        yield {name: (times[name], running.systemd.ended_by) for name, running in workers.items()}


@pytest.mark.parametrize("name", HANGING)
def test_hanging_worker_is_aborted(hanging, name):
    _, _, least, most, why = HANGING[name]
    times, ended_by = hanging[name]
    begun, ended = times
    assert least < ended - begun < most + WATCHDOG  # leaves time for a slow machine
    assert ended_by == why or (why is None and ended_by)


def test_hanging_worker_aborts_itself_with_an_old_systemd(lasting, monkeypatch):
    monkeypatch.setattr(Systemd, "abort", lambda self, pid, why: None)
    with watched(lasting.scheduler, "w2") as running:
        running.submit(time.sleep, 60)
        hang(running)
        assert running.process.wait(2 * WATCHDOG + 8) == -signal.SIGABRT


def test_drain_waits_for_a_task_that_holds_the_gil(lasting):
    directory = Path(tempfile.mkdtemp())  # tmp_path is too long for a Unix socket
    try:
        with watched(lasting.scheduler, "w2", RUNTIME_DIRECTORY=str(directory)) as running:
            future = running.submit(hold, LONG)
            environment = {**os.environ, "RUNTIME_DIRECTORY": str(directory), "MAINPID": str(running.process.pid)}
            environment.update({"PYTHONPATH": str(RUNTIME), "DASKOPS_DRAIN_TIMEOUT": "60"})
            command = [sys.executable, "-m", "daskops_runtime.stop"]
            stopped = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert "1 key handed over" in stopped.stdout + stopped.stderr
            assert running.process.wait(20) == 0
            assert not running.systemd.ended_by
            assert future.result(20) == running.process.pid
    finally:
        shutil.rmtree(directory)
