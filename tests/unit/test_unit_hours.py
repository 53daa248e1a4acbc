# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours in a file of a release, compared with the clock by a worker's unit."""

import contextlib
import json
import os
import resource

import pytest
from daskops_runtime.unit_hours import UnitHours
from unit_calendars import HoursFile

ALWAYS = (True, None, None, "")


@contextlib.contextmanager
def no_file_descriptors():
    """Use all file descriptors of this process in a ``with`` block."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, limits[1]))
    opened = [last]
    try:
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in opened:
            os.close(descriptor)


def test_worker_without_hours_always_runs(tmp_path):
    assert UnitHours("").look() == UnitHours(str(tmp_path / "missing")).look() == ALWAYS
    file = HoursFile(tmp_path)
    file.write_text("Mon..Sun")
    assert UnitHours(str(file.path)).look() == ALWAYS


def test_file_is_read_each_time(tmp_path):
    file = HoursFile(tmp_path, begin=3, end=5)
    hours = UnitHours(str(file.path))
    state = hours.look()
    assert (state.runs, state.end, state.outside) == (False, None, f"until {file.begins}")
    file.write(begin=-1, end=1)
    state = hours.look()
    assert state.runs and state.outside == "" and 7000 < state.end - state.begin < 7300
    file.path.unlink()
    assert hours.look() == ALWAYS


def test_last_part_is_as_long_as_the_stop_of_the_unit_takes(tmp_path, monkeypatch):
    file = HoursFile(tmp_path, begin=-1, end=1)
    monkeypatch.setenv("DASKOPS_DRAIN_TIMEOUT", "3300")
    assert UnitHours(str(file.path)).look().runs
    monkeypatch.setenv("DASKOPS_DRAIN_TIMEOUT", "3590")
    state = UnitHours(str(file.path)).look()
    assert not state.runs and state.end is not None and state.outside.startswith("until ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ("{}", "'hours'"),
        (json.dumps({"hours": "nights"}), "has 'nights', which is not understood"),
        (json.dumps({"hours": "Sat Europe/Nowhere"}), "/usr/share/zoneinfo/Europe/Nowhere does not exist"),
    ],
)
def test_hours_that_cannot_be_read_do_not_let_the_worker_run(tmp_path, text, why):
    path = tmp_path / "hours.json"
    path.write_text(text)
    state = UnitHours(str(path)).look()
    assert not state.runs and state.outside.startswith("for an unknown time, because ") and why in state.outside


def test_directory_in_place_of_the_file_does_not_let_the_worker_run(tmp_path):
    assert not UnitHours(str(tmp_path)).look().runs


def test_running_worker_keeps_its_hours_without_file_descriptors(tmp_path):
    assert UnitHours("").look_while_running() == ALWAYS
    file = HoursFile(tmp_path, begin=-1, end=1)
    hours, fresh = UnitHours(str(file.path)), UnitHours(str(file.path))
    without = UnitHours(str(tmp_path / "missing"))
    state = hours.look_while_running()
    assert state.runs and without.look_while_running() == ALWAYS
    with no_file_descriptors():
        kept, unread, missing = (one.look_while_running() for one in (hours, fresh, without))
        first = UnitHours(str(file.path)).look()
        no_hours = UnitHours(str(tmp_path / "missing")).look()
    assert kept == state and "Too many open files" in hours.problem
    assert unread == missing == no_hours == ALWAYS and without.problem == ""
    # When a unit starts, hours that cannot be read do not let the worker run.
    assert not first.runs and first.outside.startswith("for an unknown time, because ")
    assert hours.look_while_running() == state and hours.problem == ""


def test_running_worker_leaves_by_its_last_valid_hours(tmp_path, monkeypatch):
    file = HoursFile(tmp_path, begin=-1, end=1)
    hours = UnitHours(str(file.path))
    end = hours.look_while_running().end
    monkeypatch.setattr("time.time", lambda: end + 1)
    with no_file_descriptors():
        state = hours.look_while_running()
    assert not state.runs and state.outside.startswith("until ")


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"hours": "Sat Europe/Nowhere"})])
def test_invalid_file_does_not_change_a_running_worker(tmp_path, text):
    file = HoursFile(tmp_path, begin=-1, end=1)
    hours = UnitHours(str(file.path))
    state = hours.look_while_running()
    file.path.write_text(text)
    assert hours.look_while_running() == state and hours.problem
    assert UnitHours(str(file.path)).look_while_running() == ALWAYS
    assert not hours.look().runs
    file.write(begin=2, end=3)
    assert not hours.look_while_running().runs and hours.problem == ""
