# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The condition of the service that restarts workers at the begin and before the end of their hours."""

import subprocess
import sys
from datetime import datetime

import pytest
from conftest import RUNTIME, environment
from daskops_runtime import hours_timer
from unit_calendars import HoursFile
from zoneinfo import ZoneInfo

NOT_NOW = "The workers are not restarted, because their hours neither begin nor end now\n"


@pytest.mark.parametrize(
    ("text", "fold", "code"),
    [
        ("2026-10-24 22:00:00", 0, 0),  # the begin
        ("2026-10-24 22:00:59", 0, 0),
        ("2026-10-24 22:01:00", 0, 1),
        ("2026-10-25 02:54:45", 0, 1),  # systemd's timer elapses here, an hour too early
        ("2026-10-25 02:54:45", 1, 0),
        ("2026-10-31 02:54:44", 0, 1),
        ("2026-10-31 02:54:45", 0, 0),
        ("2026-10-31 04:00:00", 0, 0),  # after the end, such as after a suspension of the host
    ],
)
def test_workers_are_restarted_only_when_their_hours_begin_or_end(tmp_path, monkeypatch, capsys, text, fold, code):
    file = HoursFile(tmp_path)
    file.write_text("22:00-03:00 Europe/Berlin")
    monkeypatch.setenv("DASKOPS_HOURS", str(file.path))
    monkeypatch.setenv("DASKOPS_DRAIN_TIMEOUT", "300")
    now = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).timestamp()
    monkeypatch.setattr("time.time", lambda: now)
    assert hours_timer.main() == code
    assert capsys.readouterr().out == (NOT_NOW if code else "")


def test_program(tmp_path):
    """As the service runs it, without importing Dask."""
    file = HoursFile(tmp_path, begin=2, end=5)
    command = [sys.executable, "-s", str(RUNTIME / "daskops_runtime/launch.py"), "daskops_runtime.hours_timer"]

    def run():
        variables = environment({}, {"DASKOPS_HOURS": str(file.path)})
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        return done.returncode, done.stdout

    assert run() == (0, "")
    file.write(begin=-1, end=5)
    assert run() == (1, NOT_NOW)
    file.path.write_text("")
    code, output = run()
    assert code == 1 and output.startswith(f"The workers are not restarted, because {file.path} cannot be used: ")
    file.path.unlink()  # the release without hours is current, and its units start themselves
    assert run() == (1, NOT_NOW)
