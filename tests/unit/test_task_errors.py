# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error monitor: each failed task is reported once, and a failing report does not affect the task."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.request

import pytest
from conftest import wait_until, workers_of
from daskops_runtime.task_errors import ErrorMonitor
from distributed import Client, LocalCluster


def divide(number, by, note=None):
    return number / by


class Journal:
    """A socket in place of journald's, which parses the native protocol."""

    def __init__(self, directory):
        self.path = str(directory / "journal.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.setblocking(False)
        self.entries = []

    def read(self):
        while True:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                return self.entries
            self.entries.append(self.parse(data))

    @staticmethod
    def parse(data):
        fields = {}
        while data:
            line, _, data = data.partition(b"\n")
            name, found, value = line.partition(b"=")
            if not found:
                (length,) = struct.unpack("<Q", data[:8])
                value, data = data[8 : 8 + length], data[8 + length + 1 :]
            fields[name.decode()] = value.decode()
        return fields


@pytest.fixture
def journal(tmp_path):
    listener = Journal(tmp_path)
    yield listener
    listener.sock.close()


@pytest.fixture
def client(journal, monkeypatch):
    monkeypatch.setenv("DASKOPS_RELEASE", "3f2a91c04d5e.7b21")
    monkeypatch.delenv("DASKOPS_ERROR_VALUES", raising=False)
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        with Client(cluster) as connected:
            connected.register_plugin(ErrorMonitor(journal.path))
            yield connected


def fail(client, *arguments, **options):
    future = client.submit(divide, *arguments, pure=False, **options)
    wait_until(lambda: future.status == "error")
    assert isinstance(future.exception(), ZeroDivisionError)
    return future


def test_failed_task_is_reported_once(client, journal):
    fine = client.submit(divide, 1, 1)
    assert fine.result() == 1
    future = fail(client, fine, 0, note="a secret word")
    dependent = client.submit(divide, future, 1)
    assert isinstance(dependent.exception(), ZeroDivisionError)
    (entry,) = journal.read()
    assert entry["DASK_EVENT"] == "task-error" and entry["PRIORITY"] == "3"
    assert (entry["DASK_KEY"], entry["DASK_FUNCTION"]) == (future.key, "divide")
    assert entry["DASK_EXCEPTION"] == "ZeroDivisionError('float division by zero')"
    assert entry["MESSAGE"] == f"Task {future.key} failed: ZeroDivisionError('float division by zero')"
    assert "return number / by" in entry["DASK_TRACEBACK"]
    assert (entry["DASK_WORKER"], entry["DASK_RELEASE"]) == ("0", "3f2a91c04d5e.7b21")


class Homebody:
    """An object that no other process can unpickle."""

    def __reduce__(self):
        return unpack, (os.getpid(),)


def unpack(process):
    if os.getpid() != process:
        raise RuntimeError("not in this process")
    return Homebody()


def state_of(key, dask_worker):
    return getattr(dask_worker.state.tasks.get(key), "state", None)


def test_result_that_a_peer_cannot_unpickle_is_not_reported(journal):
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        with Client(cluster) as client:
            client.register_plugin(ErrorMonitor(journal.path))
            first, second = workers_of(client)
            held = client.submit(Homebody, workers=[first], key="held")
            needs = client.submit(type, held, workers=[second])
            wait_until(lambda: client.run(state_of, "held", workers=[second])[second] == "error")
            assert journal.read() == []
            assert held.status == "finished"
            needs.release()
            future = fail(client, 1, 0, workers=[second])
            assert [entry["DASK_KEY"] for entry in journal.read()] == [future.key]


def test_arguments_are_reported_by_type_and_size(client, journal):
    fine = client.submit(divide, 1, 1)
    fail(client, fine, 0, note="a secret word")
    (entry,) = journal.read()
    by, note = (next(a for a in json.loads(entry["DASK_ARGUMENTS"]) if a.get("name") == name) for name in ("1", "note"))
    assert by == {"name": "1", "type": "int", "bytes": sys.getsizeof(0)}
    assert note == {"name": "note", "type": "str", "bytes": sys.getsizeof("a secret word")}
    assert {"key": fine.key, "bytes": sys.getsizeof(1.0)} in json.loads(entry["DASK_ARGUMENTS"])
    assert "secret" not in "".join(entry.values())


def test_argument_values_are_reported_on_request(client, journal, monkeypatch):
    monkeypatch.setenv("DASKOPS_ERROR_VALUES", "1")
    fail(client, 1, 0, note="x" * 1000)
    (entry,) = journal.read()
    values = {argument["name"]: argument["value"] for argument in json.loads(entry["DASK_ARGUMENTS"])}
    assert values["1"] == "0" and values["note"].startswith("'xxx") and len(values["note"]) == 200


def test_failed_tasks_are_counted(client):
    def count():
        (url,) = client.run(lambda dask_worker: dask_worker.http_server and dask_worker.http_server.port).values()
        with urllib.request.urlopen(f"http://127.0.0.1:{url}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        name = 'dask_worker_task_errors_total{task_prefix_name="divide"} '
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0)

    before = count()
    for _ in range(3):
        fail(client, 1, 0)
    assert count() == before + 3


def test_every_attempt_is_reported(client, journal):
    fail(client, 1, 0, retries=2)
    assert len(journal.read()) == 3


def test_cancelled_task_is_not_reported(client, journal, tmp_path):
    """The thread of a cancelled task keeps running, so its exception comes later."""
    begun, go_on, ended = tmp_path / "begun", tmp_path / "go-on", tmp_path / "ended"

    def wait_and_fail():
        begun.touch()
        while not go_on.exists():
            time.sleep(0.01)
        ended.touch()
        return 1 / 0

    future = client.submit(wait_and_fail, pure=False)
    wait_until(begun.exists)
    (worker,) = client.cluster.workers.values()
    future.cancel()
    wait_until(lambda: worker.state.tasks[future.key].state == "cancelled")
    go_on.touch()
    wait_until(ended.exists)
    wait_until(lambda: future.key not in worker.state.tasks)
    assert journal.read() == []


def test_arguments_without_a_size_are_reported(client, journal):
    class Odd:
        def __sizeof__(self):
            raise RuntimeError("no size")

    fail(client, 1, 0, note=Odd())
    assert len(journal.read()) == 1


def test_failing_report_does_not_affect_tasks(client, journal, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("the reporter is broken")

    monkeypatch.setattr("daskops_runtime.task_errors.send_to_journal", broken)
    fail(client, 1, 0)
    assert client.submit(divide, 4, 2).result() == 2


def test_report_is_a_json_line_without_a_journal(client, journal, capfd):
    os.unlink(journal.path)
    future = fail(client, 1, 0)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "task-error" in line]
    assert json.loads(line)["DASK_KEY"] == future.key


def test_exception_that_cannot_be_pickled_is_reported(client, journal):
    def bad():
        raise ValueError(threading.Lock())

    assert client.submit(bad).exception() is not None
    (entry,) = journal.read()
    assert entry["DASK_EXCEPTION"].startswith("ValueError(<unlocked _thread.lock object")
    assert entry["DASK_FUNCTION"] == "bad"


class Sentry(http.server.BaseHTTPRequestHandler):
    """A handler that stores events sent by Sentry's library."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received.append(body.decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        """Do not log requests."""


@pytest.fixture
def sentry(monkeypatch):
    """Return the list of received events."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sentry) as server:
        server.received = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SENTRY_DSN", f"http://key@127.0.0.1:{server.server_port}/1")
        yield server.received
        server.shutdown()


def test_failed_task_is_sent_to_sentry(sentry, client, journal):
    future = fail(client, 1.0, 0, note="a secret word")
    (event,) = wait_until(
        lambda: [json.loads(line) for body in sentry for line in body.splitlines() if "exception" in line]
    )
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ZeroDivisionError", "float division by zero")
    assert "return number / by" in json.dumps(error["stacktrace"])
    assert event["tags"]["dask_function"] == "divide"
    assert event["contexts"]["dask"]["key"] == future.key
    assert "secret" not in json.dumps(event)
    assert len(journal.read()) == 1
