# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``Cluster.get_logs()`` with real processes. The scenario ``pools`` reads the journals of real hosts."""

import contextlib
import signal
import threading

import pytest
from conftest import scheduler, wait_until, worker
from daskops import Cluster
from daskops_runtime import journal, logs, standby
from draining import by_value
from journal_sockets import JournalSocket, entry

#: The unit of `w1` and `w2` in tests with units, and one that does not run.
FIRST, SECOND, FAILED = "dask-worker@1.service", "dask-worker@2.service", "dask-worker@3.service"
HOST = "127.0.0.1"
ENTRIES = [entry("Failed to start", FAILED, field="UNIT"), entry("of w2", SECOND), entry("of w1", FIRST)]


@by_value
def change(module, **values):
    """Set values of a module in the process of a scheduler or a worker."""
    import importlib

    vars(importlib.import_module(f"daskops_runtime.{module}")).update(values)


def texts(lines):
    return [line.split(" ", 2)[2] for line in lines.splitlines()]


@pytest.mark.parametrize("answer", [None, "text", ["a"], 5, {1: ["a"]}, {"a": "text"}, {"a\n": ["b"]}])
def test_answer_in_another_form_has_no_lines(answer):
    assert logs.checked(answer, 10) == {}


def test_answer_is_limited():
    assert logs.checked({"u": ["a" * 5000, 1, None, "b"]}, 10) == {"u": ["a" * journal.LENGTH, "b"]}
    many = {f"u{n}": [str(line) for line in range(5000)] for n in range(1000)}
    assert len(logs.checked(many, 10**6)) == journal.UNITS
    assert len(logs.checked(many, 10**6)["u0"]) == journal.LINES
    assert logs.checked(many, 1)["u0"] == [str(line) for line in range(4990, 5000)]


def test_services_without_a_socket_return_what_dask_keeps(tmp_path):
    """So does a worker of an earlier release, or without the collection's modules."""
    with scheduler(tmp_path, runtime=True) as running, running.client() as client:
        with worker(running, "ours", runtime=True), worker(running, "stock"):
            client.wait_for_workers(2, timeout=40)
            client.run(lambda: __import__("logging").getLogger("distributed.worker").warning("from a task"))
            with Cluster(running.address) as cluster:
                addresses = {about["name"]: address for address, about in cluster.scheduler_info["workers"].items()}
                found = cluster.get_logs()
                assert set(found) == {"Cluster", "Scheduler", *addresses.values()}
                assert "from a task" in found[addresses["ours"]] and "from a task" in found[addresses["stock"]]
                first = found["Scheduler"].index("Scheduler at:")
                assert first < found["Scheduler"].index("Register worker")  # in the order of time
                only = cluster.get_logs(cluster=False, scheduler=False, workers=[addresses["ours"]])
                assert list(only) == [addresses["ours"]]


@contextlib.contextmanager
def two_workers(directory):
    """Start a scheduler and two workers of one host with units. Yield a client, a `Cluster` and the first worker."""

    def variables(number):
        path = directory / f"dask-worker-{number}"
        path.mkdir()
        return {"RUNTIME_DIRECTORY": str(path)}

    with scheduler(directory, runtime=True) as running, running.client() as client:
        with worker(running, "w1", runtime=True, **variables(1)) as first:
            client.wait_for_workers(1, timeout=40)
            with worker(running, "w2", runtime=True, **variables(2)):
                client.wait_for_workers(2, timeout=40)
                client.run(change, "journal", SOCKETS=str(directory))
                client.run_on_scheduler(change, "logs", ANSWER_TIMEOUT=1)
                with Cluster(running.address) as cluster:
                    yield client, cluster, first


def read(cluster, **options):
    """Return the logs of all services but the scheduler by the names of the workers, and by unit and host."""
    names = {address: about["name"] for address, about in cluster.scheduler_info["workers"].items()}
    found = cluster.get_logs(cluster=False, scheduler=False, **options)
    return {names.get(key, key): lines for key, lines in found.items()}


def test_one_worker_reads_the_lines_of_all_services_of_its_host(tmp_path):
    """So the logs have also those of a service that does not start, and of a worker that hangs."""
    with two_workers(tmp_path) as (client, cluster, first), JournalSocket(tmp_path) as sock:
        everything = {"w1": ["of w1"], "w2": ["of w2"], f"{FAILED} on {HOST}": ["Failed to start"]}
        sock.answer(*ENTRIES)
        assert {key: texts(lines) for key, lines in read(cluster).items()} == everything
        assert sock.connections == 1

        second = next(address for address, about in cluster.scheduler_info["workers"].items() if about["name"] == "w2")
        sock.answer(*ENTRIES)
        assert {key: texts(lines) for key, lines in read(cluster, workers=[second]).items()} == {"w2": ["of w2"]}

        first.send_signal(signal.SIGSTOP)
        try:
            sock.answer(*ENTRIES)
            assert {key: texts(lines) for key, lines in read(cluster).items()} == everything
        finally:
            first.send_signal(signal.SIGCONT)


def test_hanging_worker_does_not_hold_up_the_others(tmp_path):
    def print_lines():
        import logging

        for number in range(30):
            logging.getLogger("distributed.worker").warning("line %d", number)

    # Nothing serves the socket, so the workers have no journal.
    with two_workers(tmp_path) as (client, cluster, first):
        first.send_signal(signal.SIGSTOP)
        try:
            found = read(cluster)
        finally:
            first.send_signal(signal.SIGCONT)
        assert found["w1"] == logs.NO_ANSWER and "Registered to" in found["w2"]
        # All services share the lines of an answer.
        client.run(print_lines)
        client.run_on_scheduler(change, "logs", ALL_LINES=40)
        assert [len(lines.splitlines()) for lines in read(cluster).values()] == [20, 20]


@contextlib.contextmanager
def waiting_unit(address, name):
    """Ask a scheduler like a unit that waits outside of its hours, until the context ends."""
    unit = standby.Standby(address, name, "")
    unit.outside = "until Mon 19:00"
    ended = threading.Event()
    answers = []

    def run():
        while not ended.wait(0.1):
            answers.append(unit.is_wanted())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
        unit.close()


def test_host_without_a_registered_worker_answers_through_a_unit_that_waits(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(journal, "SOCKETS", str(tmp_path))
    with scheduler(tmp_path, runtime=True) as running, Cluster(running.address) as cluster:
        with waiting_unit(running.address, "w9") as answers:
            wait_until(lambda: answers)
            # Without a socket.
            assert read(cluster) == {f"w9 on {HOST}": logs.NO_ANSWER}
            assert "The journals of this host cannot be read: " in capfd.readouterr().err
            with JournalSocket(tmp_path) as sock:
                sock.answer(*ENTRIES)
                found = read(cluster)
                assert {key: texts(lines) for key, lines in found.items()} == {
                    f"{FIRST} on {HOST}": ["of w1"],
                    f"{SECOND} on {HOST}": ["of w2"],
                    f"{FAILED} on {HOST}": ["Failed to start"],
                }
                assert sock.connections == 1
            # It still waits, and is not asked again.
            number = len(answers)
            wait_until(lambda: len(answers) > number + 3)
            assert set(answers) == {False} and sock.connections == 1


def test_unasked_journals_are_not_taken(tmp_path):
    with scheduler(tmp_path, runtime=True) as running, running.client() as client:
        for name in ("w1", None, ["w1"]):
            answer = client.sync(client.scheduler.daskops_waiting_journals, name=name, journals={"u": ["x"]})
            assert answer is None
        with Cluster(running.address) as cluster:
            assert read(cluster) == {}
