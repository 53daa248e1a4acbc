# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours of workers: what is read, what is rejected, and what they mean at a time, also when clocks change."""

import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import hours as module
from ansible_collections.daskops.cluster.plugins.module_utils.hours import (
    DAYS,
    WEEK,
    HoursError,
    Range,
    parse_hours,
    shortest,
)
from conftest import RUNTIME
from hypothesis import given, settings
from hypothesis import strategies as st
from zoneinfo import ZoneInfo

BERLIN = "Europe/Berlin"


def at(text, zone=BERLIN, fold=0):
    """Return seconds since the epoch of a time like ``2026-03-29 01:30`` in a time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    "value", ["", [], "Mon..Sun", ["Mon..Thu", "Fri..Sun"], "00:00-24:00", ["22:00-06:00", "06:00-22:00"]]
)
def test_hours_without_an_end(value):
    hours = parse_hours(value)
    assert hours.always and hours.at(0, 300) == (True, None, None)
    assert hours.calendar(300) == [] and shortest(hours) is None


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        ("Mon 19:00-24:00", [(0, 19, 5)]),
        ("mon 9:00-10:00", [(0, 9, 1)]),
        ("Sat,Sun", [(5, 0, 48)]),
        ("Fri..Mon 00:00-24:00", [(4, 0, 96)]),
        ("Sat..Sun 22:00-06:00", [(5, 22, 8), (6, 22, 8)]),
        ("Mon..Fri 19:00-07:00", [(day, 19, 12) for day in range(5)]),
        (["Mon..Fri 19:00-07:00", "Sat,Sun"], [(0, 19, 12), (1, 19, 12), (2, 19, 12), (3, 19, 12), (4, 19, 53)]),
        (["Mon 00:00-24:00", "Tue 00:00-24:00"], [(0, 0, 48)]),
        (["Mon 08:00-12:00", "Mon 10:00-13:00", "Mon 13:00-14:00"], [(0, 8, 6)]),
        (["Sun 20:00-24:00", "Mon 00:00-04:00"], [(6, 20, 8)]),
    ],
)
def test_ranges(value, ranges):
    found = parse_hours(value).ranges
    assert sorted(found) == sorted(Range((day * 24 + hour) * 60, length * 60) for day, hour, length in ranges)


FORM = (
    "Write it like 'Mon..Fri 19:00-07:00', 'Sat,Sun' or '22:00-06:00', with a time zone like Europe/Berlin at the end if "
    "needed."
)
SEVERAL = "Give several ranges as a list, and several days without a space, like 'Sat,Sun'."
SIGNS = "Write days like Mon..Fri, with three letters and two dots, and times like 19:00-07:00, with a hyphen."


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Mon-Fri 19:00-07:00", f"has 'Mon-Fri 19:00-07:00', in which 'Mon-Fri' is not understood. {SIGNS}"),
        ("Mon\u2013Fri", f"has 'Mon\u2013Fri', which is not understood. {SIGNS}"),
        ("Sat 8:00\u20139:00", f"has 'Sat 8:00\u20139:00', in which '8:00\u20139:00' is not understood. {SIGNS}"),
        ("Monday..Friday", f"has 'Monday..Friday', which is not understood. {SIGNS}"),
        ("saturday", f"has 'saturday', which is not understood. {SIGNS}"),
        ("Mon..Fri 19-7", f"has 'Mon..Fri 19-7', in which '19-7' is not understood. {FORM}"),
        ("Mon..Fri Sat", f"has 'Mon..Fri Sat', in which the days 'Sat' come last. {SEVERAL}"),
        ("22:00-06:00 Sat", f"has '22:00-06:00 Sat', in which the days 'Sat' come last. {FORM}"),
        (
            "Mon..Fri 19:00-07:00, Sat,Sun or 22:00-06:00",
            "has 'Mon..Fri 19:00-07:00, Sat,Sun or 22:00-06:00', in which '19:00-07:00,' is not understood. " + SEVERAL,
        ),
        ("Sat, Sun", f"has 'Sat, Sun', in which 'Sat,' is not understood. {SEVERAL}"),
        ("Sat;Sun", f"has 'Sat;Sun', which is not understood. {SEVERAL}"),
        ("8:00-9:00 10:00-11:00", f"has '8:00-9:00 10:00-11:00', in which '10:00-11:00' is not understood. {SEVERAL}"),
        ("Sat 8:00-9:00 Sun", f"has 'Sat 8:00-9:00 Sun', in which the days 'Sun' come last. {SEVERAL}"),
        ("Sat\n22:00-06:00\n", f"has 'Sat 22:00-06:00' in several lines. {SEVERAL}"),
        ("Fr\u0130", f"has 'Fr\u0130', which is not understood. {FORM}"),
        ("\u017fat", f"has '\u017fat', which is not understood. {FORM}"),
        ("\u0668:00-\u0669:00", f"has '\u0668:00-\u0669:00', which is not understood. {FORM}"),
        ("22:00-06:00 Mon..Fri", f"has '22:00-06:00 Mon..Fri', in which 'Mon..Fri' is not understood. {FORM}"),
        (
            "22:00-06:00 ../etc/passwd",
            f"has '22:00-06:00 ../etc/passwd', in which '../etc/passwd' is not understood. {FORM}",
        ),
        ("Sat Europe/Berlin now", f"has 'Sat Europe/Berlin now', in which 'now' is not understood. {FORM}"),
        ("Europe/Berlin", f"has 'Europe/Berlin', which is not understood. {FORM}"),
        ("nights", f"has 'nights', which is not understood. {FORM}"),
        (["Sat", ""], f"has '', which is not understood. {FORM}"),
        (None, f"has 'None', which is not text. Put it in quotes. {FORM}"),
        (1140, f"has '1140', which is not text. Put it in quotes. {FORM}"),
        (False, f"has 'False', which is not text. Put it in quotes. {FORM}"),
        ({"Mon": "19:00-07:00"}, f"has a dictionary. {SEVERAL} {FORM}"),
        ([["Sat"]], f"has a list in a list. {SEVERAL} {FORM}"),
        (
            "Mon 19:00-19:00",
            "has 'Mon 19:00-19:00', in which '19:00-19:00' has no length. Leave out the times for whole days.",
        ),
        (
            "19:60-20:00",
            "has '19:60-20:00', in which '19:60-20:00' is not a range of times. Use 00:00 to 23:59, and 24:00 as end.",
        ),
        (
            "24:00-25:00",
            "has '24:00-25:00', in which '24:00-25:00' is not a range of times. Use 00:00 to 23:59, and 24:00 as end.",
        ),
        (
            ["Mon..Fri 19:00-07:00 Europe/Berlin", "Sat,Sun"],
            "has ranges with different time zones (none and Europe/Berlin). Give all ranges the same one.",
        ),
    ],
)
def test_rejected(value, message):
    with pytest.raises(HoursError) as raised:
        parse_hours(value)
    assert str(raised.value) == message == f"{raised.value.wrong}. {raised.value.remedy}."


def test_state_before_in_and_at_the_end_of_a_range():
    hours = parse_hours(f"Mon..Fri 19:00-07:00 {BERLIN}")
    begin, end = at("2026-11-30 19:00"), at("2026-12-01 07:00")  # Monday and Tuesday
    assert hours.at(begin - 1, 315) == (False, begin, None)
    assert hours.at(begin, 315) == (True, begin, end)
    assert hours.at(end - 316, 315) == (True, begin, end)
    # In the last part, a worker that starts waits for the next range.
    following = at("2026-12-01 19:00")
    assert hours.at(end - 315, 315) == (False, following, end) == hours.at(end - 1, 315)
    assert hours.at(end, 315) == (False, following, None)
    # Friday's range ends on Saturday, and the next one begins on Monday.
    assert hours.at(at("2026-12-05 06:00"), 315) == (True, at("2026-12-04 19:00"), at("2026-12-05 07:00"))
    assert hours.time_of(hours.at(at("2026-12-05 07:00"), 315).begin) == f"Mon 19:00 {BERLIN}"


def test_clocks_that_change():
    # On 2026-03-29, 02:00 to 03:00 do not exist in Berlin. On 2026-10-25, they exist twice.
    night = parse_hours(f"22:00-06:00 {BERLIN}")
    for date, length in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-01", 8)):
        begin = at(f"{date} 22:00")
        state = night.at(begin, 60)
        assert state.begin == begin and state.end - begin == length * 3600
    skipped = parse_hours(f"Sun 01:00-02:30 {BERLIN}").at(at("2026-03-29 01:30"), 60)
    assert skipped.runs and skipped.end == at("2026-03-29 03:30")
    twice = parse_hours(f"Sun 01:00-02:30 {BERLIN}")
    assert twice.at(at("2026-10-25 02:15"), 60).runs and not twice.at(at("2026-10-25 02:15", fold=1), 60).runs
    # Of 02:59 to 04:01, only two minutes are left in spring, so workers return a week later.
    short = parse_hours(f"Sun 02:59-04:01 {BERLIN}")
    following = at("2026-04-05 02:59")
    for now in ("2026-03-29 01:00", "2026-03-29 03:58"):
        assert short.at(at(now), 315) == (False, following, None)
    assert short.at(at("2026-03-29 03:59"), 315) == (False, following, at("2026-03-29 04:01"))
    assert short.at(at("2026-03-29 03:58"), 60) == (False, at("2026-03-29 03:59"), None)
    later = parse_hours(f"Sun 02:30-05:00 {BERLIN}").at(at("2026-10-25 02:15", fold=1), 60)
    assert later.runs and later.end - later.begin == 3.5 * 3600


def test_local_time_is_that_of_the_host_and_not_of_the_variable(monkeypatch, tmp_path):
    local = tmp_path / "localtime"
    monkeypatch.setattr(module, "LOCAL_ZONE", str(local))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    hours = parse_hours("Mon 19:00-20:00")
    assert hours.at(at("2026-11-30 19:30", "UTC"), 60).runs
    local.write_bytes(Path(module.ZONES, "America/New_York").read_bytes())
    assert not hours.at(at("2026-11-30 19:30", "UTC"), 60).runs
    state = hours.at(at("2026-11-30 19:30", "America/New_York"), 60)
    assert state.runs and hours.time_of(state.begin) == "Mon 19:00"
    with pytest.raises(FileNotFoundError):
        parse_hours("Mon 19:00-20:00 Europe/Nowhere").at(0, 60)
    local.write_text("nonsense")
    with pytest.raises(ValueError, match="magic"):
        hours.at(0, 60)


times = st.integers(0, 23 * 60 + 59).flatmap(
    lambda begin: st.integers(1, 1440).filter(lambda end: end != begin).map(lambda end: (begin, end))
)
entries = st.tuples(st.sets(st.integers(0, 6), min_size=1), times)
zones = st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])


def text_of(entry, zone):
    days, (begin, end) = entry
    clock = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    return f"{','.join(DAYS[day] for day in sorted(days))} {clock} {zone}"


def covers(entry, local):
    """Return whether an entry covers a time, by the definition of `dask_worker_hours`."""
    days, (begin, end) = entry
    minute = local.hour * 60 + local.minute
    if begin < end:
        return local.weekday() in days and begin <= minute < end
    return (local.weekday() in days and minute >= begin) or ((local.weekday() - 1) % 7 in days and minute < end)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(entries, min_size=1, max_size=3), zones, st.integers(1_700_000_000, 1_900_000_000), st.integers(1, 5000)
)
def test_any_hours_at_any_time(wanted, zone, now, drain):
    hours = parse_hours([text_of(entry, zone) for entry in wanted])
    state = hours.at(now, 0)
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    offsets = {(local + timedelta(hours=shift)).utcoffset() for shift in range(-30, 31)}
    if len(offsets) == 1:  # no change of the clock is near
        assert state.runs == any(covers(entry, local) for entry in wanted)
    if hours.always:
        return
    last = hours.at(now, drain)
    if state.runs:
        assert state.begin <= now < state.end
        assert last.runs == (now < state.end - drain) and last.end == state.end
        assert not hours.at(state.end, 0).runs  # ranges do not touch
    else:
        week = {(local + timedelta(days=day)).utcoffset() for day in range(9)}
        days = 8 if len(week) == 1 else 15  # a change of the clock can skip a whole range
        assert now < state.begin <= now + days * 86400 and state.end is None and not last.runs and last.end is None
        if drain < 60 * min(one.length for one in hours.ranges) - 7200:  # no change of the clock is longer than that
            assert last == state
        assert hours.at(state.begin, 0).runs and not hours.at(state.begin - 1, 0).runs
    assert last.runs or last.begin > now


@settings(max_examples=50, deadline=None)
@given(st.lists(entries, min_size=1, max_size=3), st.integers(1, 5000))
def test_timers_are_at_each_begin_and_before_each_end(wanted, drain):
    hours = parse_hours([text_of(entry, "UTC") for entry in wanted])
    found = set()
    for event in hours.calendar(drain):
        days, date, clock, zone = event.split()
        assert (date, zone) == ("*-*-*", "UTC")
        hour, minute, second = map(int, clock.split(":"))
        found |= {DAYS.index(day) * 86400 + hour * 3600 + minute * 60 + second for day in days.split(",")}
    moments = [moment for one in hours.ranges for moment in (one.begin * 60, one.end * 60 - drain)]
    assert found == (set() if hours.always else {moment % (WEEK * 60) for moment in moments})


def test_hours_that_are_all_shorter_than_the_drain():
    begin = at("2026-11-30 19:00")
    assert parse_hours(f"Mon 19:00-19:10 {BERLIN}").at(begin - 1, 900) == (False, begin, None)


NIGHTS = parse_hours([f"Mon..Fri 19:00-07:00 {BERLIN}", f"Sat,Sun {BERLIN}"]).calendar(315)


def test_days_with_the_same_time_share_an_event():
    assert NIGHTS == [
        f"Mon,Tue,Wed,Thu,Fri *-*-* 19:00:00 {BERLIN}",
        f"Tue,Wed,Thu,Fri *-*-* 06:54:45 {BERLIN}",
        f"Sun *-*-* 23:54:45 {BERLIN}",
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("event", [*NIGHTS, *parse_hours("22:00-06:00").calendar(15)])
def test_systemd_reads_the_calendar_events(event):
    said = subprocess.run(["systemd-analyze", "calendar", event], capture_output=True, text=True)
    assert said.returncode == 0 and "Next elapse" in said.stdout, said.stderr


def test_runtime_has_the_same_file():
    link = RUNTIME / "daskops_runtime/hours.py"
    assert link.is_symlink() and link.samefile(module.__file__)
