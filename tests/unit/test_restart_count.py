# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The count of restarts, with processes that get the file like from systemd. The scenario ``chaos`` reads it on hosts."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
from conftest import RUNTIME, environment, free_port, scheduler, wait_until
from daskops_runtime import restart_count
from scrapes import scrape

PROGRAM = """
import os, sys, time
from daskops_runtime import restart_count
restart_count.start()
print(os.environ.get(restart_count.VARIABLE), *[name for name in os.environ if name.startswith("LISTEN")], flush=True)
{then}
"""
#: Gives a process the file as its descriptor 3, like systemd.
PASS = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name} exec "$@" 3<&{fd}'


class Systemd:
    """A notification socket that keeps the file, and starts processes with it."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(20)
        self.fd = None
        self.messages = []

    def start(self, then="", command=None, name=restart_count.NAME, **variables):
        command = command or [sys.executable, "-c", PROGRAM.format(then=then)]
        shell = PASS.format(name=name, fd=self.fd) if self.fd is not None else 'exec "$@"'
        return subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            env={**os.environ, "PYTHONPATH": str(RUNTIME), "NOTIFY_SOCKET": self.path, **variables},
            pass_fds=[] if self.fd is None else [self.fd],
            stdout=subprocess.PIPE,
            text=True,
        )

    def receive(self):
        """Receive messages until one has a file."""
        fds = []
        while not fds:
            data, fds, _, _ = socket.recv_fds(self.sock, 4096, 1)
            self.messages.append(data.decode())
        assert self.messages[-1] == f"FDSTORE=1\nFDNAME={restart_count.NAME}"
        (self.fd,) = fds

    def run(self, then="", **options):
        process = self.start(then, **options)
        with process:
            return process.stdout.readline().strip()


@pytest.fixture
def systemd(tmp_path):
    one = Systemd(tmp_path)
    yield one
    one.sock.close()
    if one.fd is not None:
        os.close(one.fd)


def test_restarts_are_counted_by_the_end_of_the_process_before(systemd):
    assert systemd.run() == "0 0"
    systemd.receive()
    # The child process of a task ends, and the process itself dies.
    died = "if os.fork() == 0: sys.exit()\nos.wait()\nos.kill(os.getpid(), 9)"
    assert systemd.run(died) == "1 0"
    assert systemd.run("os.abort()") == "1 1"
    assert systemd.run("sys.exit(1)") == "1 2"
    assert systemd.run() == "2 2"


@pytest.mark.parametrize("content", [b"", b"x" * 10**6, b"1 2", b"-1 2 0", b"\xff 1 1", b"1 2 3 4"])
def test_unreadable_file_begins_again(systemd, content):
    systemd.run()
    systemd.receive()
    os.ftruncate(systemd.fd, 0)
    os.pwrite(systemd.fd, content, 0)
    assert systemd.run() == "1 0"


def test_file_of_a_task_is_not_used(systemd, tmp_path):
    """A read from a FIFO would prevent each later start."""
    os.mkfifo(tmp_path / "fifo")
    systemd.fd = os.open(tmp_path / "fifo", os.O_RDWR)
    assert systemd.run() == "0 0"
    os.close(systemd.fd)
    systemd.receive()
    assert systemd.run(name="another") == "0 0"


def test_nothing_is_counted_without_systemd(systemd, tmp_path):
    for path in ("", str(tmp_path / "nobody")):
        assert systemd.run(NOTIFY_SOCKET=path) == "None"  # the variable with the numbers does not exist
    assert systemd.run(LISTEN_PID="1", LISTEN_FDS="x") == "0 0"


@pytest.mark.parametrize("text", ["", "1", "a b", "1 2 3", "-1 0"])
def test_other_texts_are_no_numbers(monkeypatch, text):
    monkeypatch.setenv(restart_count.VARIABLE, text)
    assert restart_count.take_numbers() is None and restart_count.VARIABLE not in os.environ


def test_metric_of_a_worker(systemd, tmp_path):
    """A worker is killed, and the next one is stopped and started."""
    settings = {"worker.preload": ["daskops_runtime.worker"]}

    @contextlib.contextmanager
    def worker(address, nanny):
        port = free_port()
        command = [sys.executable, RUNTIME / "daskops_runtime/launch.py", "distributed.cli.dask_worker", address]
        command += ["--host", "127.0.0.1", "--dashboard-address", f"127.0.0.1:{port}", "--no-dashboard"]
        command += ["--nanny" if nanny else "--no-nanny"]
        variables = environment(settings, {"PYTHONPATH": str(RUNTIME), "NOTIFY_SOCKET": systemd.path})
        process = systemd.start(command=command, **variables)
        try:
            if systemd.fd is None:
                systemd.receive()
            wait_until(lambda: client.scheduler_info(n_workers=-1)["workers"], 40)
            yield process, scrape(port)
        finally:
            process.kill()
            process.communicate()

    def numbers(found):
        return [found["daskops_restarts_total", ("result", result)] for result in ("success", "failure")]

    with scheduler(tmp_path, runtime=True) as running, running.client() as client:
        with worker(running.address, False) as (process, found):
            assert numbers(found) == [0, 0]
            process.kill()
            process.wait(20)
            wait_until(lambda: not client.scheduler_info(n_workers=-1)["workers"], 40)
        with worker(running.address, True) as (process, found):
            assert numbers(found) == [0, 1]
            process.send_signal(signal.SIGTERM)
            process.wait(40)
            wait_until(lambda: not client.scheduler_info(n_workers=-1)["workers"], 40)
        with worker(running.address, False) as (process, found):
            assert numbers(found) == [1, 1]
