# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of the runtime, in scrapes of real services."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

import pytest
from conftest import scheduler, wait_until
from daskops_runtime import metrics
from scrapes import host, point, scrape, variables, worker_of


@pytest.fixture
def home():
    """Return the directory of a host; see `scrapes.host`."""
    with host() as directory:
        yield directory


@contextlib.contextmanager
def running_worker(started, home):
    with worker_of(started, home) as (port, _), started.client() as client:
        client.wait_for_workers(1, timeout=30)
        yield port, client


def drift(found):
    return {link: found["daskops_release_drift", ("link", link)] for link in metrics.LINKS}


def test_metrics_of_services(home, tmp_path):
    with scheduler(tmp_path, runtime=True, **variables(home, "dask-scheduler", "one.s")) as started:
        with running_worker(started, home) as (port, client):
            found = scrape(started.port)
            assert found["daskops_restarts_total", ("result", "success")] == 2
            assert found["daskops_restarts_total", ("result", "failure")] == 1
            assert found["daskops_release_info", ("label", ""), ("release", "one.s")] == 1
            assert found["daskops_scheduler_workers", ("label", "v1"), ("release", "one")] == 1
            assert 0 <= found["daskops_scheduler_heartbeat_age_maximum_seconds",] < 30
            assert found["daskops_drifted_settings",] == 0
            assert drift(found) == {"current": 0, "staged": 0}
            point(home, "staged", "two")  # as a run does while the scheduler has work
            assert drift(scrape(started.port)) == {"current": 0, "staged": 1}

            of_worker = scrape(port)
            assert of_worker["daskops_release_info", ("label", "v1"), ("release", "one.w")] == 1
            assert of_worker["daskops_worker_memory_limit_bytes",] == 1024**3
            free = of_worker["daskops_worker_scratch_free_bytes",]
            assert 0 < free < of_worker["daskops_worker_scratch_size_bytes",]
            states = {state: of_worker["daskops_worker_drain_state", ("state", state)] for state in ("none", "tasks")}
            assert states == {"none": 1, "tasks": 0}
            assert of_worker["daskops_worker_drain_duration_seconds",] == 0
            point(home, "current", "two")
            assert drift(scrape(port)) == {"current": 1, "staged": 1}
            point(home, "current", "without")
            assert drift(scrape(port))["current"] == 1
            point(home, "current", "one")
            assert drift(scrape(port))["current"] == 0

            gate = tmp_path / "gate"
            future = client.submit(lambda path: wait_for_file(path), str(gate))
            wait_until((tmp_path / "gate.waits").exists)  # a task that has not started would be given back
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(home / "dask-worker-fast-1/control.sock"))
                sock.sendall(b"drain 60\n")
                wait_until(lambda: scrape(port).get(("daskops_worker_drain_state", ("state", "tasks"))))
                assert 0 < scrape(port)["daskops_worker_drain_duration_seconds",] < 60
                gate.touch()
            assert future.result(timeout=30)


def wait_for_file(path):
    open(f"{path}.waits", "w").close()
    while not os.path.exists(path):
        time.sleep(0.02)
    return True


wait_for_file.__module__ = "__main__"  # send it by value, because workers cannot import this module


def test_services_without_a_release_have_no_drift(tmp_path):
    with scheduler(tmp_path, runtime=True) as started:
        names = {name for name, *_ in scrape(started.port)}
    assert "daskops_scheduler_heartbeat_age_maximum_seconds" in names
    assert not names & {"daskops_release_info", "daskops_release_drift"}


def test_releases_that_workers_send_are_limited():
    sent = [
        ("a" * 12 + ".x", "v1"),
        ("a" * 12 + ".y", "v1"),
        (None, None),
        (["list"], 1),
        ("b\n", "c\n"),
        ("c" * 99, ""),
    ]
    assert metrics.count_releases(iter(sent)) == {("a" * 12, "v1"): 2, ("other", ""): 4}
    found = metrics.count_releases((f"r{number}", "") for number in range(1000))
    assert len(found) == metrics.NAMES + 1 and found["other", ""] == 1000 - metrics.NAMES


def test_file_system_that_hangs_does_not_block_a_scrape(tmp_path, monkeypatch):
    read, answers = os.statvfs, threading.Event()
    file_system = metrics.FileSystem()
    known = file_system.read(str(tmp_path))
    monkeypatch.setattr(os, "statvfs", lambda path: answers.wait(60) and read(path))
    assert file_system.read(str(tmp_path)) is known
    hanging = file_system.thread
    assert file_system.read(str(tmp_path)) is known and file_system.thread is hanging and hanging.is_alive()
    with pytest.raises(OSError, match="cannot be read"):
        metrics.FileSystem().read(str(tmp_path))
    answers.set()
    hanging.join(30)
    assert file_system.read(str(tmp_path)) is not known


def test_failing_part_does_not_affect_other_metrics(tmp_path, caplog):
    class Server:
        """A worker whose scratch directory has been removed."""

        local_directory = str(tmp_path / "missing")
        memory_manager = type("", (), {"memory_limit": 1})

    found = metrics.Collector(Server(), None)
    for _ in range(2):
        names = [family.name for family in found.collect()]
    assert "daskops_worker_drain_state" in names and "daskops_worker_memory_limit_bytes" in names
    assert "daskops_worker_scratch_size_bytes" not in names
    assert caplog.text.count("Some metrics are not available") == 1
