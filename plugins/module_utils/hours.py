# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours in which workers run (``dask_worker_hours``): read them, and compare them with a clock.

The controller and the services have the same rules: ``daskops_runtime/hours.py`` is a link to this file. So it imports only
the standard library.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Iterable, NamedTuple

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Minutes of a day and of a week.
DAY, WEEK = 1440, 7 * 1440
#: Seconds from the end of a drain until systemd ends a worker (``TimeoutStopSec``).
MARGIN = 15

#: The file of the host's own time zone, and the directory of the others. systemd reads the same files.
LOCAL_ZONE, ZONES = "/etc/localtime", "/usr/share/zoneinfo"

FORM = (
    "Write it like 'Mon..Fri 19:00-07:00', 'Sat,Sun' or '22:00-06:00', with a time zone like Europe/Berlin at the end if "
    "needed"
)
SEVERAL = "Give several ranges as a list, and several days without a space, like 'Sat,Sun'"
SIGNS = "Write days like Mon..Fri, with three letters and two dots, and times like 19:00-07:00, with a hyphen"

_DAY = rf"(?:{'|'.join(DAYS)})"
_DAYS = re.compile(rf"{_DAY}(?:\.\.{_DAY})?(?:,{_DAY}(?:\.\.{_DAY})?)*", re.IGNORECASE | re.ASCII)
_TIMES = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
#: What people write between several ranges or days.
_NEXT = re.compile(r"[;\n]|,(?!\S)")
#: A day's whole name, a hyphen between days, or a dash of another kind.
_OTHER_SIGNS = re.compile(rf"[\u2010-\u2015\u2212]|\b{_DAY}(?:[a-z]*day\b|s?-)", re.IGNORECASE | re.ASCII)


class HoursError(ValueError):
    """The hours are not valid.

    Attributes
    ----------
    wrong, remedy : str
        What is wrong with the value, and what to do, as parts of a message.
    """

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}. {remedy}.")
        self.wrong, self.remedy = wrong, remedy


class Range(NamedTuple):
    """A part of the week, by the clock on the wall: its first minute of the week, and its number of minutes."""

    begin: int
    length: int

    @property
    def end(self) -> int:
        """Return the minute at which the range ends. It is above `WEEK` for a range over midnight of Sunday."""
        return self.begin + self.length


class State(NamedTuple):
    """Whether a worker may run at a time, and when that changes.

    Times are seconds since the epoch. ``begin`` is that of the current range if the worker may run, else that of the next
    one. ``end`` is that of the current range, also in its last part, in which a worker may not run any more. It is None
    outside of the ranges. Both are None if the hours have no end.
    """

    runs: bool
    begin: float | None
    end: float | None


class Hours(NamedTuple):
    """The hours of a week, as ranges that neither overlap nor touch, and the name of their time zone (empty: local)."""

    ranges: tuple[Range, ...]
    zone: str

    @property
    def always(self) -> bool:
        """Return whether the hours have no end."""
        return self.ranges == (Range(0, WEEK),)

    def at(self, now: float, drain: float, zone: tzinfo | None = None) -> State:
        """Return the state of a worker at ``now``, in seconds since the epoch.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        drain : float
            Seconds before the end of a range from which a worker may not run any more, because it must have left by then.
        zone : tzinfo, optional
            The time zone. Without it, its file is read.

        Raises
        ------
        OSError, ValueError
            If the time zone cannot be read.
        """
        if self.always:
            return State(True, None, None)
        zone = zone or read_zone(self.zone)
        today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        monday = today - timedelta(days=today.weekday())
        later = []
        for week in (-1, 0, 1, 2):
            for one in self.ranges:
                begin, end = (instant(monday, week * WEEK + minute, zone) for minute in (one.begin, one.end))
                if begin <= now < end - drain:
                    return State(True, begin, end)
                if begin > now:
                    later.append(begin)
                    if begin < end - drain:  # else a change of the clock leaves too little of the range
                        return State(False, begin, self.current_end(now, monday, zone))
        return State(False, later[0], self.current_end(now, monday, zone))  # all ranges are shorter than the drain

    def current_end(self, now: float, monday: datetime, zone: tzinfo) -> float | None:
        """Return the end of the range in which ``now`` is; None outside of the ranges."""
        for week in (-1, 0):
            for one in self.ranges:
                begin, end = (instant(monday, week * WEEK + minute, zone) for minute in (one.begin, one.end))
                if begin <= now < end:
                    return end
        return None

    def time_of(self, seconds: float, zone: tzinfo | None = None) -> str:
        """Return a time within a week as people write it: ``Mon 19:00``, or ``Mon 19:00 Europe/Berlin``."""
        shown = datetime.fromtimestamp(seconds, zone or read_zone(self.zone))
        return f"{DAYS[shown.weekday()]} {shown:%H:%M} {self.zone}".rstrip()

    def calendar(self, drain: int) -> list[str]:
        """Return when workers start and begin to leave, as values of ``OnCalendar=``.

        ``drain`` is the number of seconds before the end of a range at which workers begin to leave.
        """
        if self.always:
            return []
        begins = (one.begin * 60 for one in self.ranges)
        return [*self._events(begins), *self._events(one.end * 60 - drain for one in self.ranges)]

    def _events(self, seconds: Iterable[int]) -> list[str]:
        """Return calendar events for seconds of the week. Days with the same time share an event."""
        by_time: dict[int, set[int]] = {}
        for second in seconds:
            day, time = divmod(second % (WEEK * 60), DAY * 60)
            by_time.setdefault(time, set()).add(day)
        return [
            f"{','.join(DAYS[day] for day in sorted(days))} *-*-* "
            f"{time // 3600:02}:{time // 60 % 60:02}:{time % 60:02} {self.zone}".rstrip()
            for time, days in sorted(by_time.items())
        ]


def instant(monday: datetime, minutes: int, zone: tzinfo) -> float:
    """Return seconds since the epoch of a minute, counted by the clock on the wall from a Monday.

    A time that the clock shows twice is the first of both. One that it skips is as late as without the change of the clock.
    """
    return (monday + timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp()


def zone_file(zone: str) -> str:
    """Return the path of the file of a time zone; of the host's own one for an empty name."""
    return os.path.join(ZONES, zone) if zone else LOCAL_ZONE


def read_zone(zone: str) -> tzinfo:
    """Return a time zone. A host without a time zone has UTC.

    Do not use the variable ``TZ``, which users can set for their tasks, and no time zones of Python packages, which can
    differ from those of systemd.

    Raises
    ------
    OSError, ValueError
        If the file of the time zone cannot be read.
    """
    from zoneinfo import ZoneInfo  # this file is also imported by Python 3.8

    try:
        with open(zone_file(zone), "rb") as file:
            return ZoneInfo.from_file(file)
    except FileNotFoundError:
        if zone:
            raise
        return timezone.utc


def parse_hours(value: Any) -> Hours:
    """Return the hours in a value of ``dask_worker_hours``.

    Raises
    ------
    HoursError
        If the value is not valid.
    """
    entries = value if isinstance(value, list) else [value]
    found = [_parse_entry(entry) for entry in entries if entry != "" or len(entries) > 1]
    zones = sorted({zone for dummy, zone in found})
    if len(zones) > 1:
        named = " and ".join(zone or "none" for zone in zones)
        raise HoursError(f"has ranges with different time zones ({named})", "Give all ranges the same one")
    minutes = bytearray(WEEK) if found else bytearray(b"\1") * WEEK
    for ranges, dummy in found:
        for one in ranges:
            for minute in range(one.begin, one.end):
                minutes[minute % WEEK] = 1
    return Hours(_ranges_of(minutes), zones[0] if zones else "")


def _ranges_of(minutes: bytearray) -> tuple[Range, ...]:
    """Return the ranges of the minutes of a week that are not zero. The last range may go on at the begin of the week."""
    if all(minutes):
        return (Range(0, WEEK),)
    begins = [minute for minute in range(WEEK) if minutes[minute] and not minutes[minute - 1]]
    twice = minutes + minutes
    return tuple(Range(begin, twice.index(0, begin) - begin) for begin in begins)


def _parse_entry(entry: Any) -> tuple[list[Range], str]:
    """Return the ranges and the time zone of one entry, such as ``Mon..Fri 19:00-07:00``."""
    if isinstance(entry, (dict, list)):
        raise HoursError(
            f"has {'a dictionary' if isinstance(entry, dict) else 'a list in a list'}", f"{SEVERAL}. {FORM}"
        )
    if not isinstance(entry, str):  # YAML reads 19:00 as a number, and off as false
        raise HoursError(f"has '{entry}', which is not text", f"Put it in quotes. {FORM}")
    words = entry.split()
    shown = f"has '{' '.join(words)}'"
    if "\n" in entry.strip():
        raise HoursError(f"{shown} in several lines", SEVERAL)
    days, begin, length = list(range(7)), 0, DAY
    rest = list(words)
    if rest and _DAYS.fullmatch(rest[0]):
        days = _parse_days(rest.pop(0))
    if rest and (times := _TIMES.fullmatch(rest[0])):
        begin, length = _parse_times(times, shown)
        rest.pop(0)
    zone = rest.pop(0) if rest and len(rest) < len(words) and _ZONE.fullmatch(rest[0]) else ""
    if rest or not words:
        part = f", in which '{rest[0]}' is not understood" if rest and len(words) > 1 else ", which is not understood"
        raise HoursError(shown + part, _remedy(entry))
    if zone[:3].capitalize() in DAYS:
        raise HoursError(f"{shown}, in which the days '{zone}' come last", _remedy(entry))
    return [Range(day * DAY + begin, length) for day in days], zone


def _remedy(entry: str) -> str:
    """Return what to do about an entry that is not understood."""
    words = entry.split()
    if _NEXT.search(entry) or any(sum(map(bool, map(one.fullmatch, words))) > 1 for one in (_DAYS, _TIMES)):
        return SEVERAL
    return SIGNS if _OTHER_SIGNS.search(entry) else FORM


def _parse_days(text: str) -> list[int]:
    """Return the numbers of the days in a text like ``Mon..Thu,Sat``. ``Fri..Mon`` goes over the week's end."""
    found = []
    for part in text.split(","):
        first, *last = (DAYS.index(name.capitalize()) for name in part.split(".."))
        found += [day % 7 for day in range(first, first + (last[0] - first) % 7 + 1)] if last else [first]
    return sorted(set(found))


def _parse_times(times: re.Match[str], shown: str) -> tuple[int, int]:
    """Return the first minute of the day, and the number of minutes, of a text like ``19:00-07:00``."""
    hour, minute, last_hour, last_minute = map(int, times.groups())
    begin, end = hour * 60 + minute, last_hour * 60 + last_minute
    if max(minute, last_minute) > 59 or begin >= DAY or end > DAY:
        raise HoursError(
            f"{shown}, in which '{times[0]}' is not a range of times", "Use 00:00 to 23:59, and 24:00 as end"
        )
    if begin == end:
        raise HoursError(f"{shown}, in which '{times[0]}' has no length", "Leave out the times for whole days")
    return begin, end - begin if end > begin else end - begin + DAY


def shortest(hours: Hours) -> int | None:
    """Return the number of seconds of the shortest range; None if the hours have no end."""
    return None if hours.always else 60 * min(one.length for one in hours.ranges)
