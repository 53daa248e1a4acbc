# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start real Dask processes on free loopback ports, and kill them when the test ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from distributed import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# Tests read results of Ansible as JSON. ansible.cfg shows them as YAML.
os.environ["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "json"

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "roles/config/files/runtime"

#: Modules beside this one that define fixtures.
pytest_plugins = ["certificate_directories", "client_accounts", "draining", "owned_directories", "scrapes", "wheels"]

STOCK_ROUTES = [
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.proxy",
    "distributed.http.statics",
]

# The Dask processes below slow the machine down, so a slow example must not fail a property test.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


def wait_until(condition, timeout=20.0, interval=0.05):
    """Return the first true value of a condition, or fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"still not true after {timeout} s: {condition}"
        time.sleep(interval)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


#: An idle worker without profiling uses 1.6 % of a core instead of 2.9 %. Many wait while other tests run.
IDLE = {"worker.profile.enabled": False}


def environment(settings, variables):
    """Return a process's environment with these variables and Dask settings such as ``{"scheduler.preload": [...]}``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DASK_", "DASKOPS_"))}
    env.pop("NOTIFY_SOCKET", None)
    env.update({"PYTHONPATH": str(RUNTIME), "DASK_CONFIG": os.devnull, **variables})
    for key, value in {**IDLE, **settings}.items():
        env["DASK_DISTRIBUTED__" + key.upper().replace(".", "__").replace("-", "_")] = repr(value)
    return env


def watched(notify, watchdog=0.3):
    """Return the variables that systemd sets for a unit with a watchdog, which times out after ``watchdog`` seconds."""
    return {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": str(int(watchdog * 1e6))}


@contextlib.contextmanager
def running(module, *args, settings=None, python=sys.executable, **variables):
    """Run ``python -m module`` and kill it at the end, even if it was stopped with SIGSTOP."""
    command = [python, "-m", module, *map(str, args)]
    process = subprocess.Popen(
        command, env=environment(settings or {}, variables), stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a nanny's worker is in the same group
        process.wait(20)


class NotifySocket:
    """A notification socket in place of systemd's, which records each message and the pid of its sender."""

    def __init__(self, directory):
        self.path = str(directory / "notify.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(self.path)
        self.sock.setblocking(False)
        self.messages = []

    def read(self):
        """Return all messages received so far as (pid, lines)."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
                pid, _, _ = struct.unpack("3i", ancillary[0][2])
                self.messages.append((pid, data.decode().splitlines()))
        return self.messages

    def having(self, line):
        return [message for message in self.read() if line in message[1]]

    def wait_for(self, line, more_than=0):
        return wait_until(lambda: len(self.having(line)) > more_than and self.having(line), interval=0.01)


@pytest.fixture
def notify():
    directory = Path(tempfile.mkdtemp())  # tmp_path is too long for a Unix socket
    listener = NotifySocket(directory)
    yield listener
    listener.sock.close()
    shutil.rmtree(directory)


class Scheduler:
    """A running scheduler."""

    def __init__(self, process, file):
        identity = json.loads(file.read_text())
        self.process = process
        self.address = identity["address"]
        self.port = identity["services"]["dashboard"]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def client(self):
        with Client(self.address, set_as_default=False, timeout=20) as client:
            yield client


@contextlib.contextmanager
def scheduler(directory, *args, runtime=False, settings=None, **variables):
    settings = dict(settings or {})
    if runtime:
        settings.setdefault("scheduler.preload", ["daskops_runtime.scheduler"])
        settings.setdefault("scheduler.http.routes", ["daskops_runtime.summary", *STOCK_ROUTES])
    file = directory / "scheduler.json"
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", file]
    command += ["--dashboard-address", "127.0.0.1:0", "--no-dashboard", *args]
    with running(*command, settings=settings, **variables) as process:
        wait_until(lambda: process.poll() is not None or (file.exists() and file.read_text()))
        assert process.poll() is None, "the scheduler did not start"
        yield Scheduler(process, file)


@contextlib.contextmanager
def worker(scheduler, name, *args, nanny=False, runtime=False, settings=None, **variables):
    settings = dict(settings or {})
    settings.setdefault("worker.memory.pause", False)  # or the memory manager resumes workers that a test paused
    if runtime:
        settings.setdefault("worker.preload", ["daskops_runtime.worker"])
    command = ["distributed.cli.dask_worker", scheduler if isinstance(scheduler, str) else scheduler.address]
    command += ["--name", name, "--nthreads", 1, "--memory-limit", "1GiB", "--host", "127.0.0.1"]
    command += ["--dashboard-address", "127.0.0.1:0", "--no-dashboard", "--nanny" if nanny else "--no-nanny", *args]
    with running(*command, settings=settings, **variables) as process:
        yield process


def workers_of(client):
    """Return the scheduler's workers by address.

    ``Client.scheduler_info`` does not serve: its cache is refreshed every two seconds, without workers.
    """
    return client.sync(client.scheduler.identity, n_workers=-1)["workers"]


class Cluster:
    """A scheduler with two workers, `w1` and `w2`, and a client."""

    def __init__(self, scheduler, workers, client):
        self.scheduler = scheduler
        self.url = scheduler.url
        self.workers = workers
        self.client = client

    def addresses(self):
        return {worker["name"]: address for address, worker in workers_of(self.client).items()}

    @contextlib.contextmanager
    def status(self, name, status):
        """Give a worker this status until the context ends."""

        def change(status, dask_worker):
            from distributed.core import Status

            dask_worker.status = Status[status]

        address = [self.addresses()[name]]
        self.client.run(change, status, workers=address)
        try:
            yield
        finally:
            self.client.run(change, "running", workers=address)

    @contextlib.contextmanager
    def stopped(self, name):
        """Stop a worker's process with SIGSTOP until the context ends."""
        self.workers[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.workers[name].send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def load(self):
        """Keep both workers busy with many short tasks."""
        futures = self.client.map(time.sleep, [0.05] * 2000, pure=False)
        wait_until(lambda: any(future.done() for future in futures))
        try:
            yield
        finally:
            self.client.cancel(futures)
            wait_until(lambda: not any(self.client.processing().values()))


@contextlib.contextmanager
def cluster(directory, **options):
    release = {"DASKOPS_RELEASE": "shared.s"} if options.get("runtime") else {}
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(directory, **options, **release))
        workers = {}
        for name in ("w1", "w2"):
            release = {"DASKOPS_RELEASE": f"shared.{name}"} if options.get("runtime") else {}
            workers[name] = stack.enter_context(worker(started, name, **options, **release))
        client = stack.enter_context(started.client())
        client.wait_for_workers(2, timeout=20)
        yield Cluster(started, workers, client)


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    """Return a cluster with this collection's runtime."""
    with cluster(tmp_path_factory.mktemp("ours"), runtime=True) as running:
        yield running


@pytest.fixture(scope="session")
def stock(tmp_path_factory):
    """Return a cluster of plain Dask, without this collection's runtime."""
    with cluster(tmp_path_factory.mktemp("stock")) as running:
        yield running


@pytest.fixture(autouse=True)
def registered(request):
    """Wait until both workers of the shared clusters are registered: the test before may have stopped one."""
    for name in {"ours", "stock"} & set(request.fixturenames):
        cluster = request.getfixturevalue(name)
        wait_until(lambda cluster=cluster: sorted(cluster.addresses()) == ["w1", "w2"])


@pytest.fixture
def hurried(monkeypatch):
    """Do not pause between requests, for answers that do not change."""
    # Schedulers import this file to read tasks of tests, and do not have the collection.
    from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import SchedulerHTTP

    monkeypatch.setattr(SchedulerHTTP, "pause", 0)
