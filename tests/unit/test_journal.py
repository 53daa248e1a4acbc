# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journals of a host. The scenario ``pools`` reads those of real hosts."""

import json
import socket
import time

import journal_sockets
import pytest
from daskops_runtime import journal
from journal_sockets import JournalSocket

UNIT, OTHER = "dask-worker@gpu-1.service", "dask-worker@gpu-2.service"


def entry(message, unit=UNIT, **fields):
    return journal_sockets.entry(message, unit, **fields)


def texts(lines):
    """Return lines without date and time."""
    return [line.split(" ", 2)[2] for line in lines]


def parsed(*entries):
    """Return the texts of entries in the order of time, by unit."""
    return {unit: texts(lines) for unit, lines in journal.newest(reversed(entries)).items()}


def read(*timeout):
    return {unit: texts(lines) for unit, lines in journal.read_journals("worker", *timeout).items()}


@pytest.mark.parametrize(
    "directory, unit",
    [
        ("/run/dask-scheduler", "dask-scheduler.service"),
        ("/run/dask-worker-1", "dask-worker@1.service"),
        ("/run/dask-worker-fast-2", "dask-worker@fast-2.service"),
        ("/run/daskops-trial-1-worker1", None),
        (None, None),
    ],
)
def test_unit_of_a_runtime_directory(directory, unit):
    assert journal.unit_of(directory) == unit


def test_place_of_a_service(monkeypatch):
    place = journal.find_place("/run/dask-worker-1")
    assert place[:2] == ("dask-worker@1.service", socket.gethostname()) and len(place.boot) == 36
    assert journal.find_place(None) is None
    monkeypatch.setattr(journal, "BOOT", "/nowhere")
    assert journal.find_place("/run/dask-worker-1").boot == "unknown"


def test_lines_of_services_and_of_systemd_about_them():
    lines = [
        entry("computing"),
        entry("not this one", unit=OTHER),
        entry("Main process exited, code=killed, status=9/KILL", field="UNIT"),
        entry("Started another", unit=OTHER, field="UNIT"),
        entry("of another program", unit="cron.service"),
        entry("about another program", unit="cron.service", field="UNIT"),
    ]
    assert parsed(*lines) == {
        UNIT: ["computing", "Main process exited, code=killed, status=9/KILL"],
        OTHER: ["not this one", "Started another"],
    }
    assert journal.parse(lines[0])[1].startswith("2023-11-1")


def test_service_cannot_write_lines_of_another_one():
    fields = json.loads(entry("I am the other one"))
    assert parsed(json.dumps({**fields, "UNIT": OTHER}).encode()) == {UNIT: ["I am the other one"]}


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
    assert parsed(entry(message)) == {UNIT: [text]}


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
        entry("x", unit=[UNIT]),
        entry("x", unit=None, field="UNIT"),
        json.dumps({"_SYSTEMD_UNIT": UNIT}).encode(),
    ],
)
def test_entries_that_cannot_be_read_are_left_out(wrong):
    assert parsed(entry("before"), wrong, entry("after")) == {UNIT: ["before", "after"]}


def test_newest_lines_of_each_service_are_kept(monkeypatch):
    monkeypatch.setattr(journal, "LINES", 3)
    monkeypatch.setattr(journal, "UNITS", 2)
    lines = [
        entry("quiet", unit=OTHER),
        *(entry(str(n)) for n in range(10)),
        entry("a third", unit="dask-worker@gpu-3.service"),
    ]
    assert parsed(*lines) == {"dask-worker@gpu-3.service": ["a third"], UNIT: ["7", "8", "9"]}
    monkeypatch.setattr(journal, "UNITS", 3)
    assert parsed(*lines)[OTHER] == ["quiet"]


def test_lines_are_divided_among_the_services():
    journals = {"a": [str(n) for n in range(100)], "b": ["x"], "c": []}
    assert journal.limit(journals, 60) == {"a": [str(n) for n in range(80, 100)], "b": ["x"], "c": []}
    assert len(journal.limit(journals, 1)["a"]) == journal.LEAST
    assert journal.limit({}, 5) == {}


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SOCKETS", str(tmp_path))
    with JournalSocket(tmp_path) as sock:
        yield sock


def test_journal_is_read_from_the_socket(host, monkeypatch):
    host.answer(entry("two"), entry("of another", unit=OTHER), entry("one"))
    assert read() == {UNIT: ["one", "two"], OTHER: ["of another"]}
    # The oldest lines are left out.
    monkeypatch.setattr(journal, "SIZE", len(entry("two")) + 5)
    host.answer(entry("two"), entry("one"))
    assert read() == {UNIT: ["two"]}


def test_refused_connection_is_tried_again(host):
    host.answer()
    host.answer(entry("one"))
    assert read() == {UNIT: ["one"]}
    assert host.connections == 2


def test_journal_without_lines_of_our_services_is_read_once(host):
    host.answer(entry("of another program", unit="cron.service"))
    assert read() == {}
    assert host.connections == 1


def test_program_that_cannot_start_has_no_lines(host):
    host.answer()
    assert read(0.1) == {}


def test_hanging_program_is_not_waited_for(host):
    host.answer(entry("one"), close=False)
    start = time.monotonic()
    assert read(1) == {UNIT: ["one"]}
    assert time.monotonic() - start < 4


def test_each_kind_has_a_socket(host):
    with pytest.raises(FileNotFoundError):
        journal.read_journals("scheduler")
