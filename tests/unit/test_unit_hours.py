# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours in a file of a release, compared with the clock by a worker's unit."""

import json

import pytest
from daskops_runtime.unit_hours import UnitHours
from unit_calendars import HoursFile

ALWAYS = (True, None, None, "")


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
