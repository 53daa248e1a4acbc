# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of the services. The scenario ``pools`` reads those of real hosts."""

import json
import signal
import socket
import threading

import pytest
from conftest import scheduler, worker
from daskops import Cluster
from daskops_runtime import journal

UNIT, OTHER = "dask-worker@gpu-1.service", "dask-worker@gpu-2.service"


def entry(message, unit=UNIT, field="_SYSTEMD_UNIT", time="1700000000123456"):
    """Return a line of ``journalctl --output=json`` with the fields that the service asks for."""
    return (
        json.dumps({"MESSAGE": message, field: unit, "__REALTIME_TIMESTAMP": time, "__CURSOR": "s=1"}).encode() + b"\n"
    )


def texts(*entries, number=journal.LINES):
    """Return the parsed lines of entries in the order of time, without date and time."""
    return [line.split(" ", 2)[2] for line in journal.newest(reversed(entries), UNIT, number)]


def test_lines_of_the_service_and_of_systemd_about_it():
    lines = [
        entry("computing"),
        entry("not this one", unit=OTHER),
        entry("Main process exited, code=killed, status=9/KILL", unit=UNIT, field="UNIT"),
        entry("Started another", unit=OTHER, field="UNIT"),
    ]
    assert texts(*lines) == ["computing", "Main process exited, code=killed, status=9/KILL"]
    assert journal.parse(lines[1], OTHER).endswith(" not this one")
    assert journal.parse(lines[0], UNIT).startswith("2023-11-1")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (list(b"caf\xe9 \x1b[1mbold"), "caf\ufffd \x1b[1mbold"),  # not UTF-8, and a control character
        (None, "(a very long line)"),  # journalctl leaves out more than 4096 bytes
        ("x" * 5000, "x" * (journal.LENGTH - len("2023-11-14 22:13:20 "))),
        ("", ""),
    ],
    ids=["bytes", "left out", "long", "empty"],
)
def test_messages_that_are_no_plain_text(message, text):
    assert texts(entry(message)) == [text]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\n",
        b"no JSON\n",
        b"[1]\n",
        b'"text"\n',
        entry("cut off")[:40],
        entry([300]),
        entry(["text"]),
        entry("x", time="soon"),
        entry("x", time="9" * 30),
        entry("x", time=None),
        json.dumps({"_SYSTEMD_UNIT": UNIT}).encode(),
    ],
)
def test_entries_that_cannot_be_read_are_left_out(wrong):
    assert texts(entry("before"), wrong, entry("after")) == ["before", "after"]


def test_newest_lines_are_kept():
    assert texts(*(entry(str(n)) for n in range(10)), number=3) == ["7", "8", "9"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Answer each connection to the socket of the workers like the service of systemd, with the given entries."""
    monkeypatch.setattr(journal, "SOCKETS", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "dask-worker-journal.sock"))
        listening.listen()

        def answer(*entries, close=True):
            def serve():
                connection, dummy = listening.accept()
                with connection:
                    connection.sendall(b"".join(entries))
                    if not close:
                        connection.recv(1)  # until the reader gives up

            threading.Thread(target=serve, daemon=True).start()

        yield answer


def test_journal_is_read_from_the_socket(host, monkeypatch):
    host(entry("two"), entry("of another", unit=OTHER), entry("one"))
    assert [line.split()[-1] for line in journal.read_journal(UNIT)] == ["one", "two"]
    # The oldest lines are left out.
    monkeypatch.setattr(journal, "SIZE", len(entry("two")) + 5)
    host(entry("two"), entry("one"))
    assert [line.split()[-1] for line in journal.read_journal(UNIT)] == ["two"]


def test_refused_connection_is_tried_again(host):
    host()
    host(entry("one"))
    assert [line.split()[-1] for line in journal.read_journal(UNIT)] == ["one"]


def test_program_that_cannot_start_has_no_lines(host, monkeypatch):
    monkeypatch.setattr(journal, "READ_TIMEOUT", 0.1)
    host()
    assert journal.read_journal(UNIT) == []


def test_hanging_program_is_not_waited_for(host, monkeypatch):
    monkeypatch.setattr(journal, "READ_TIMEOUT", 0.2)
    host(entry("one"), close=False)
    assert [line.split()[-1] for line in journal.read_journal(UNIT)] == ["one"]


def test_each_kind_has_a_socket(host):
    with pytest.raises(FileNotFoundError):
        journal.read_journal("dask-scheduler.service")


@pytest.mark.parametrize("answer", [None, "text", {"a": 1}, 5])
def test_worker_that_answers_something_else_has_no_lines(answer):
    assert journal.checked(answer, 10) == [journal.NO_ANSWER]


def test_answer_of_a_worker_is_limited():
    assert journal.checked(["a" * 5000, 1, None, "b"], 10) == ["a" * journal.LENGTH, "b"]
    assert journal.checked(["old", "a", "b"], 2) == ["a", "b"]


def test_services_without_a_socket_return_what_dask_keeps(tmp_path):
    """So does a worker of an earlier release, or without the collection's modules."""
    with scheduler(tmp_path, runtime=True) as running, running.client() as client:
        with worker(running, "ours", runtime=True), worker(running, "stock"):
            client.wait_for_workers(2, timeout=40)
            client.run(lambda: __import__("logging").getLogger("distributed.worker").warning("from a task"))
            with Cluster(running.address) as cluster:
                addresses = {about["name"]: address for address, about in cluster.scheduler_info["workers"].items()}
                logs = cluster.get_logs()
                assert list(logs)[1] == "Scheduler" and set(addresses.values()) < set(logs)
                assert "from a task" in logs[addresses["ours"]] and "from a task" in logs[addresses["stock"]]
                first = logs["Scheduler"].index("Scheduler at:")
                assert first < logs["Scheduler"].index("Register worker")  # in the order of time
                assert list(cluster.get_logs(cluster=False, scheduler=False, workers=[addresses["ours"]])) == [
                    addresses["ours"]
                ]


def test_hanging_worker_does_not_hold_up_the_others(tmp_path):
    def set_limits(**limits):
        from daskops_runtime import journal

        for name, value in limits.items():
            setattr(journal, name, value)

    def print_lines():
        import logging

        for number in range(30):
            logging.getLogger("distributed.worker").warning("line %d", number)

    with scheduler(tmp_path, runtime=True) as running, running.client() as client:
        with worker(running, "w1", runtime=True) as hanging, worker(running, "w2", runtime=True):
            client.wait_for_workers(2, timeout=40)
            client.run_on_scheduler(set_limits, ANSWER_TIMEOUT=1, ALL_LINES=40)
            with Cluster(running.address) as cluster:
                addresses = {about["name"]: address for address, about in cluster.scheduler_info["workers"].items()}
                hanging.send_signal(signal.SIGSTOP)
                try:
                    logs = cluster.get_logs(cluster=False, scheduler=False)
                finally:
                    hanging.send_signal(signal.SIGCONT)
                assert logs[addresses["w1"]] == journal.NO_ANSWER and "Registered to" in logs[addresses["w2"]]
                # Many workers share the lines of an answer.
                client.run(print_lines, workers=[addresses["w2"]])
                assert len(cluster.get_logs(cluster=False, scheduler=False)[addresses["w2"]].splitlines()) == 20
