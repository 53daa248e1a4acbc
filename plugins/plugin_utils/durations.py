# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read durations in the notation of Dask (``dask.utils.parse_timedelta``)."""

from __future__ import annotations

import re

_UNITS = {"": 1.0}
for _name, _letter, _seconds in (
    ("nanosecond", "ns", 1e-9),
    ("microsecond", "us", 1e-6),
    ("millisecond", "ms", 1e-3),
    ("second", "s", 1.0),
    ("minute", "m", 60.0),
    ("hour", "h", 3600.0),
    ("day", "d", 86400.0),
    ("week", "w", 604800.0),
):
    _UNITS.update({_name: _seconds, f"{_name}s": _seconds, _letter: _seconds})


def parse_duration(text: str | float) -> float:
    """Return the seconds in ``text``.

    Parameters
    ----------
    text : str or int or float
        ``"12 hours"``, ``"1.5h"``, ``"90"`` (seconds).

    Returns
    -------
    float
        Seconds, 0 or more.

    Raises
    ------
    ValueError
        If ``text`` is not a duration.
    """
    match = re.fullmatch(r"(\d*\.?\d*)([a-z]*)", str(text).replace(" ", "").lower())
    number, unit = match.groups() if match else ("", "")
    if unit not in _UNITS or number == "." or not (number or unit):
        raise ValueError(f"'{text}' is not a duration. Write it like 12 hours or 30 minutes")
    return float(number or 1) * _UNITS[unit]
