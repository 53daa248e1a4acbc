# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``Cluster.get_logs()`` with real processes. The scenario ``pools`` reads the journals of real hosts."""

import asyncio
import contextlib
import signal
import socket
import threading

import pytest
from conftest import RUNTIME, scheduler, wait_until, worker
from daskops import Cluster
from daskops_runtime import journal, logs, standby
from draining import by_value
from journal_sockets import JournalSocket, entry

#: The unit of `w1` and `w2` in tests with units, and one that does not run.
FIRST, SECOND, FAILED = "dask-worker@1.service", "dask-worker@2.service", "dask-worker@3.service"
HOST = socket.gethostname()
#: Python runs this at its start.
OF_A_HOST = """
import os
if "TEST_HOST" in os.environ:
    from daskops_runtime import journal
    journal.SOCKETS = os.environ["TEST_HOST"]
    journal.BOOT = os.environ["TEST_HOST"] + "/boot"
"""
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
def units(directory, *hosts):
    """Start a scheduler, and a worker for each of the named hosts with units 1, 2 and so on. Yield it with a `Cluster`.

    Each host has a socket in a directory of its name. Processes of one machine have one host name and one boot, so the
    workers read the boot in a file.
    """
    (directory / "sitecustomize.py").write_text(OF_A_HOST)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(scheduler(directory, runtime=True))
        running.processes = {}
        for number, host in enumerate(hosts, start=1):
            path = directory / f"dask-worker-{number}"
            path.mkdir()
            (directory / host).mkdir(exist_ok=True)
            (directory / host / "boot").write_text(host)
            variables = {
                "RUNTIME_DIRECTORY": str(path),
                "TEST_HOST": str(directory / host),
                "PYTHONPATH": f"{directory}:{RUNTIME}",
            }
            name = f"w{number}"
            running.processes[name] = stack.enter_context(worker(running, name, runtime=True, **variables))
        cluster = stack.enter_context(Cluster(running.address))
        cluster.wait_for_workers(len(hosts), timeout=40)
        yield running, cluster


def addresses(cluster):
    return {about["name"]: address for address, about in cluster.scheduler_info["workers"].items()}


def read(cluster, **options):
    """Return the logs of all services but the scheduler by the names of the workers, and by unit and host."""
    names = {address: name for name, address in addresses(cluster).items()}
    found = cluster.get_logs(cluster=False, scheduler=False, **options)
    return {names.get(key, key): lines for key, lines in found.items()}


def read_texts(cluster, **options):
    return {key: texts(lines) for key, lines in read(cluster, **options).items()}


@contextlib.contextmanager
def stopped(running, *names):
    for name in names:
        running.processes[name].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            running.processes[name].send_signal(signal.SIGCONT)


@contextlib.contextmanager
def limits(running, **values):
    """Change values of the module in the scheduler."""
    with running.client() as client:
        client.run_on_scheduler(change, "logs", **values)
        yield
        client.run_on_scheduler(change, "logs", **{name: getattr(logs, name) for name in values})


def test_one_worker_reads_the_lines_of_all_services_of_its_host(tmp_path):
    """So the logs have also those of a service that does not start, and of a worker that hangs."""
    with units(tmp_path, "a", "a") as (running, cluster), JournalSocket(tmp_path / "a") as sock:
        everything = {"w1": ["of w1"], "w2": ["of w2"], f"{FAILED} on {HOST}": ["Failed to start"]}
        sock.answer(*ENTRIES)
        assert read_texts(cluster) == everything
        assert sock.connections == 1

        sock.answer(*ENTRIES)
        assert read_texts(cluster, workers=[addresses(cluster)["w2"]]) == {"w2": ["of w2"]}

        # The worker with the latest heartbeat is asked, so one that hangs is asked first only within a second.
        for name in ("w1", "w2"):
            with stopped(running, name), limits(running, ANSWER_TIMEOUT=3):
                sock.answer(*ENTRIES)
                assert read_texts(cluster) == everything


def test_hosts_with_the_same_name_and_address_have_journals_of_their_own(tmp_path):
    """For example behind address translation."""
    with units(tmp_path, "a", "b") as (running, cluster):
        with JournalSocket(tmp_path / "a") as first, JournalSocket(tmp_path / "b") as second:
            first.answer(entry("of w1", FIRST))
            second.answer(entry("of w2", SECOND), entry("of w9", FIRST))
            found = read_texts(cluster)
            assert found.pop("w1") == ["of w1"] and found.pop("w2") == ["of w2"]
            assert list(found.values()) == [["of w9"]] and next(iter(found)).startswith(f"{FIRST} on {HOST}")


def test_hanging_worker_does_not_hold_up_the_others(tmp_path):
    def print_lines():
        import logging

        for number in range(30):
            logging.getLogger("distributed.worker").warning("line %d", number)

    # Nothing serves the sockets, so the lines are those that Dask keeps.
    with units(tmp_path, "a", "b") as (running, cluster):
        with stopped(running, "w1"), limits(running, ANSWER_TIMEOUT=3):
            found = read(cluster)
        assert found["w1"] == logs.NO_ANSWER and "Registered to" in found["w2"]
        with stopped(running, "w1"), limits(running, TIMEOUT=3):
            found = read(cluster)
        assert found["w1"] == logs.NO_ANSWER and "Registered to" in found["w2"]
        # All services share the lines of an answer.
        with running.client() as client:
            client.run(print_lines)
        with limits(running, ALL_LINES=40):
            assert [len(lines.splitlines()) for lines in read(cluster).values()] == [20, 20]


def test_worker_whose_command_fails_does_not_fail_the_others(tmp_path):
    @by_value
    def fail(dask_worker):
        async def serve(number):
            raise RuntimeError("can't start new thread")

        dask_worker.handlers["daskops_journals"] = serve

    with units(tmp_path, "a", "b") as (running, cluster), running.client() as client:
        client.run(fail, workers=[addresses(cluster)["w1"]])
        with JournalSocket(tmp_path / "b") as sock:
            sock.answer(entry("of w2", SECOND))
            found = read(cluster)
        assert texts(found["w2"]) == ["of w2"] and found["w1"] == logs.NO_ANSWER


def test_users_who_ask_at_the_same_time_get_the_same_answer(tmp_path):
    @by_value
    def count_calls(dask_scheduler):
        serve, dask_scheduler.calls = dask_scheduler.handlers["daskops_journals"], 0

        async def counted(**options):
            dask_scheduler.calls += 1
            return await serve(**options)

        dask_scheduler.handlers["daskops_journals"] = counted

    @by_value
    def calls(dask_scheduler):
        return dask_scheduler.calls

    async def ask():
        return await asyncio.gather(*(client.scheduler.daskops_journals(scheduler=False) for dummy in range(5)))

    with units(tmp_path, "a") as (running, cluster), JournalSocket(tmp_path / "a") as sock, running.client() as client:
        client.run_on_scheduler(count_calls)
        asked = asyncio.run_coroutine_threadsafe(ask(), client.loop.asyncio_loop)
        wait_until(lambda: client.run_on_scheduler(calls) == 5)
        sock.answer(entry("of w1", FIRST))
        answers = asked.result(30)
        assert len(answers) == 5 and all(answer == answers[0] for answer in answers)
        assert sock.connections == 1 and texts("\n".join(*answers[0].values())) == ["of w1"]


def test_addresses_are_checked(tmp_path):
    with units(tmp_path, "a") as (running, cluster):
        (address,) = addresses(cluster).values()
        for workers in (address, (address,), {address}):
            assert list(read(cluster, workers=workers)) == ["w1"]
        for workers in ([], False, None):
            assert read(cluster, workers=workers) == {}
        with pytest.raises(
            ValueError, match="There is no worker with the address w1. Give addresses of registered workers"
        ):
            read(cluster, workers=["w1"])


@contextlib.contextmanager
def waiting_unit(address, name, monkeypatch, directory):
    """Ask a scheduler like a unit that waits outside of its hours, until the context ends. Yield its answers."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{directory}/dask-worker-1")
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
        wait_until(lambda: answers)
        yield answers
    finally:
        ended.set()
        thread.join()
        unit.close()


def test_host_without_a_registered_worker_answers_through_a_unit_that_waits(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(journal, "SOCKETS", str(tmp_path))
    with scheduler(tmp_path, runtime=True) as running, Cluster(running.address) as cluster:
        with waiting_unit(running.address, "w9", monkeypatch, tmp_path) as answers:
            # Without a socket.
            assert read(cluster) == {f"{FIRST} on {HOST}": logs.NO_ANSWER}
            assert "The journals of this host cannot be read: " in capfd.readouterr().err
            # A worker without a unit cannot read them either.
            with worker(running, "stock"), JournalSocket(tmp_path) as sock:
                cluster.wait_for_workers(1, timeout=40)
                sock.answer(*ENTRIES)
                found = read(cluster)
                assert "Registered to" in found.pop("stock")
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


def test_only_the_unit_that_was_asked_can_send_its_journals(tmp_path, monkeypatch):
    """Other programs can connect to the scheduler, too."""
    with scheduler(tmp_path, runtime=True) as running, running.client() as client, Cluster(running.address) as cluster:

        def forge(name):
            client.sync(client.scheduler.daskops_waiting_journals, name=name, journals={FIRST: ["forged"]})

        for name in ("w9", None, ["w9"]):
            forge(name)
        assert read(cluster) == {}
        monkeypatch.setattr(standby.Standby, "send_journals", lambda *dummy: forge("w9"))
        with waiting_unit(running.address, "w9", monkeypatch, tmp_path), limits(running, ANSWER_TIMEOUT=2):
            assert read(cluster) == {f"{FIRST} on {HOST}": logs.NO_ANSWER}
