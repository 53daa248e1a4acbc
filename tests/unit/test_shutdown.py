# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shutdown of a scheduler or worker through its HTTP server, with a token."""

import contextlib
import itertools
import signal
import socket
import time

import pytest
from conftest import STOCK_ROUTES, free_port, scheduler, wait_until, worker, workers_of
from daskops_runtime import shutdown
from http_pages import fetch, http_port

TOKEN = "a-token-of-the-tests"
SHUTDOWN = {
    "scheduler.http.routes": ["daskops_runtime.shutdown", "daskops_runtime.summary", *STOCK_ROUTES],
    "worker.http.routes": ["daskops_runtime.shutdown", "distributed.http.health"],
}


def is_open(port):
    """Return whether a process listens on the port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def names(client):
    """Return the names of the registered workers."""
    return {worker["name"] for worker in workers_of(client).values()}


@pytest.fixture
def guarded(tmp_path):
    """Return a scheduler with the token, a function that starts workers with it, and a client."""
    with contextlib.ExitStack() as stack:
        directory = tmp_path / "scheduler"
        directory.mkdir()
        ours = {"DASKOPS_SHUTDOWN_TOKEN": TOKEN, "RUNTIME_DIRECTORY": str(directory)}
        started = stack.enter_context(scheduler(directory, runtime=True, settings=SHUTDOWN, **ours))
        client = stack.enter_context(started.client())

        def start(name, **options):
            (tmp_path / name).mkdir()
            variables = {"DASKOPS_SHUTDOWN_TOKEN": TOKEN, "RUNTIME_DIRECTORY": str(tmp_path / name)}
            arguments = ["--preload-nanny", "daskops_runtime.nanny"] if options.get("nanny") else []
            process = stack.enter_context(
                worker(started, name, *arguments, runtime=True, settings=SHUTDOWN, **variables, **options)
            )
            wait_until(lambda: name in names(client), 40)
            return process

        yield started, start, client


def test_directory_that_a_task_made_is_no_mark_and_does_not_prevent_a_start(tmp_path):
    (tmp_path / shutdown.MARK).mkdir()
    shutdown.start(str(tmp_path))


def test_shutdown_without_the_token_is_rejected(guarded):
    started, start, client = guarded
    process = start("w1")
    urls = [started.url, f"http://127.0.0.1:{http_port(started, 'w1')}"]
    tokens = [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"]
    for url, token in itertools.product(urls, tokens):
        status, said = fetch(f"{url}/daskops/shutdown", "POST", token)
        assert status == 401 and "Authorization: Bearer TOKEN" in said
        assert fetch(f"{url}/daskops/shutdown")[0] == 405
    assert client.submit(sum, [1, 2]).result(20) == 3
    assert process.poll() is None and started.process.poll() is None


@pytest.mark.parametrize("nanny", [False, True])
def test_worker_drains_and_stays_down(guarded, nanny):
    started, start, client = guarded
    process = start("w1", nanny=nanny)
    url = f"http://127.0.0.1:{http_port(started, 'w1')}/daskops/shutdown"
    address = list(workers_of(client))
    start("peer")
    (data,) = client.scatter([b"kept"], workers=address, hash=False)
    running = client.submit(lambda: time.sleep(3) or "done", workers=address, allow_other_workers=True, pure=False)
    wait_until(lambda: client.processing()[address[0]])
    assert fetch(url, "POST", f"Bearer {TOKEN}") == (202, '{"status": "draining"}')
    assert fetch(url, "POST", f"Bearer {TOKEN}")[0] == 202  # a second request is accepted
    assert process.wait(30) == 75
    assert (running.result(20), data.result(20)) == ("done", b"kept")
    seen = client.run(lambda: __import__("os").environ.get("DASKOPS_SHUTDOWN_TOKEN"))
    assert list(seen.values()) == [None]  # child processes do not inherit the token


def test_rejected_shutdown_does_not_prevent_a_restart(tmp_path):
    """A worker that is not registered rejects the request, and later exits with a status that allows a restart."""
    port, pages = free_port(), free_port()
    variables = {"DASKOPS_SHUTDOWN_TOKEN": TOKEN, "RUNTIME_DIRECTORY": str(tmp_path)}
    settings = {**SHUTDOWN, "comm.timeouts.connect": "2s"}
    arguments = ["--dashboard-address", f"127.0.0.1:{pages}"]
    address = f"tcp://127.0.0.1:{port}"
    with worker(address, "w1", *arguments, runtime=True, settings=settings, **variables) as process:
        url = f"http://127.0.0.1:{pages}/daskops/shutdown"
        wait_until(lambda: is_open(pages))
        status, said = fetch(url, "POST", f"Bearer {TOKEN}")
        assert status == 409 and "not registered yet" in said
        with scheduler(tmp_path, "--port", port, runtime=True) as started, started.client() as client:
            client.wait_for_workers(1, 30)
            started.process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0


def test_scheduler_closes_and_stays_down(guarded, tmp_path):
    started, start, client = guarded
    process = start("w1")
    assert fetch(f"{started.url}/daskops/shutdown", "POST", f"Bearer {TOKEN}") == (202, '{"status": "closing"}')
    assert started.process.wait(20) == 75
    assert not (tmp_path / "scheduler/scheduler.json").exists()
    assert process.wait(30) == 0  # systemd restarts the worker, which then waits for the scheduler


# ---------------------------------------------------------------------------------------------------------------------
# Stopping the scheduler


def test_stopped_scheduler_notifies_clients_and_workers(guarded, tmp_path):
    """On SIGTERM during work, the scheduler closes at once and does not run into the unit's stop timeout."""
    started, start, client = guarded
    processes = [start("w1"), start("w2", nanny=True)]
    waiting = client.submit(time.sleep, 600)
    wait_until(lambda: any(client.processing().values()))
    begin = time.monotonic()
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(20) == 0  # systemd restarts it
    assert time.monotonic() - begin < 10
    assert not (tmp_path / "scheduler/scheduler.json").exists()
    assert not (tmp_path / "scheduler/control.sock").exists()
    wait_until(lambda: waiting.status == "cancelled", 10)
    plain, nanny = (process.wait(45) for process in processes)
    assert plain == 0
    assert nanny in (0, 1)  # 1 if its worker exited first; systemd restarts it in both cases
