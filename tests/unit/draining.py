# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are stopped as their units stop them, and tasks that log each execution. Defines fixtures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import environment, scheduler, wait_until, worker, workers_of
from distributed import Client


def by_value(function):
    """Make pickle send a function by value, because workers cannot import this module."""
    function.__module__ = "__main__"
    return function


@by_value
def mark(log, name, seconds=0.0, *_):
    """Log the start, sleep for ``seconds`` or wait for a file of that path, and log the end."""

    def write(line):
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    write(f"{name}\n")
    if isinstance(seconds, str):
        while not os.path.exists(seconds):
            time.sleep(0.02)
    else:
        time.sleep(seconds)
    write(f"end {name}\n")
    return name


@by_value
def mark_seceded(log, name, seconds):
    from distributed import secede

    secede()
    return mark(log, name, seconds)


@by_value
def mark_and_fail(log, name, seconds):
    mark(log, name, seconds)
    raise ValueError(name)


@by_value
async def mark_async(log, name, seconds):

    mark(log, name)
    await asyncio.sleep(seconds)
    return name


class Log:
    """The log that tasks write to."""

    def __init__(self, directory):
        self.path = str(directory / "executions.log")
        Path(self.path).touch()
        self.gate = str(directory / "gate")

    def open_gate(self):
        Path(self.gate).touch()

    def runs(self):
        return Counter(line for line in Path(self.path).read_text().splitlines() if not line.startswith("end "))

    def ended(self):
        return {line[4:] for line in Path(self.path).read_text().splitlines() if line.startswith("end ")}

    def wait_for(self, *names):
        wait_until(lambda: set(names) <= set(self.runs()))


class Unit:
    """A worker with a runtime directory that is stopped with ``daskops_runtime.stop`` first, as its unit does."""

    def __init__(self, name, process, directory, log):
        self.name = name
        self.process = process
        self.log = log
        self.socket = directory / "control.sock"
        self.variables = {"RUNTIME_DIRECTORY": str(directory), "MAINPID": str(process.pid)}

    def ask(self, timeout=20):
        variables = {**self.variables, "DASKOPS_DRAIN_TIMEOUT": str(timeout)}
        command = [sys.executable, "-m", "daskops_runtime.stop"]
        return subprocess.Popen(command, env=environment({}, variables), stdout=subprocess.PIPE, text=True)

    def stop(self, timeout=20):
        """Stop the worker as systemd does, and return the output. The worker must exit by itself with status 0."""
        asked = self.ask(timeout)
        output, _ = asked.communicate(timeout=timeout + 20)
        assert asked.returncode == 0
        assert self.process.wait(10) == 0
        return output

    def errors(self):
        return self.log.read_text()


@contextlib.contextmanager
def unit(scheduler, name, *args, settings=None, **options):
    directory = Path(tempfile.mkdtemp())  # tmp_path is too long for a Unix socket
    log = directory / "log"
    handler = {"class": "logging.FileHandler", "filename": str(log)}
    settings = {
        # The nanny and its worker log to the same file.
        "logging": {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"file": handler},
            "loggers": {"distributed": {"level": "INFO", "handlers": ["file"]}},
        },
        **(settings or {}),
    }
    options = {"RUNTIME_DIRECTORY": str(directory), **options}
    try:
        with worker(scheduler, name, *args, runtime=True, settings=settings, **options) as process:
            yield Unit(name, process, directory, log)
    finally:
        shutil.rmtree(directory)


class Cluster:
    """A scheduler, a client, and the units that a test starts."""

    def __init__(self, directory, stack, **settings):
        self.stack = stack
        self.settings = settings
        self.scheduler = stack.enter_context(scheduler(directory, runtime=True, settings=settings))
        self.client = stack.enter_context(Client(self.scheduler.address, set_as_default=False, timeout=20))

    def start(self, *names, args=(), **options):
        """Start units and return them when they are registered. Remaining ones are killed with the cluster."""
        settings = {**self.settings, **options.pop("settings", {})}
        units = [
            self.stack.enter_context(unit(self.scheduler, name, *args, settings=settings, **options)) for name in names
        ]
        wait_until(lambda: set(names) <= set(self.names()), timeout=40)
        return units

    def workers(self):
        return workers_of(self.client)

    def names(self):
        return [worker["name"] for worker in self.workers().values()]

    def address(self, name):
        (address,) = (address for address, worker in self.workers().items() if worker["name"] == name)
        return address

    def on(self, name, function, *args):
        """Submit a task that may run on this worker only."""
        return self.client.submit(function, *args, workers=[self.address(name)], pure=False)

    def near(self, name, function, *args):
        """Submit a task that prefers this worker and may run on others."""
        address = [self.address(name)]
        return self.client.submit(function, *args, workers=address, allow_other_workers=True, pure=False)

    def scatter(self, name, value):
        """Put data on this worker only. The key is unique, or another test's copy could be on a second worker."""
        return self.client.scatter([value], workers=[self.address(name)], hash=False)

    def set_status(self, name, status):
        def change(status, dask_worker):
            from distributed.core import Status

            dask_worker.status = Status[status]

        self.client.run(change, status, workers=[self.address(name)])

    def suspicious(self, future):
        def count(key, dask_scheduler):
            return dask_scheduler.tasks[key].suspicious

        return self.client.run_on_scheduler(count, future.key)


@contextlib.contextmanager
def cluster(directory, **settings):
    with contextlib.ExitStack() as stack:
        yield Cluster(directory, stack, **settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Return a cluster with one worker, `peer`. Tests add the workers that they drain."""
    with cluster(tmp_path_factory.mktemp("shared")) as running:
        running.start("peer")
        yield running


@pytest.fixture
def log(tmp_path):
    """Return a new log of tasks."""
    return Log(tmp_path)
