# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read sizes in the notation of Dask (``dask.utils.parse_bytes``), and shares of the memory."""

from __future__ import annotations

import math
import re

_UNITS = {"": 1}
for _power, _prefix in enumerate("kmgtp", start=1):
    _UNITS[_prefix] = 1000**_power
    _UNITS[f"{_prefix}i"] = 1024**_power

MIB = 1024**2
GIB = 1024**3


def parse_size(text: str | int, zero: bool = False) -> int:
    """Return the number of bytes in ``text``.

    Parameters
    ----------
    text : str or int
        ``"4GiB"``, ``"4 GB"``, ``"500M"``, ``4000000000``. As in Dask, ``G`` means 10^9 and ``Gi`` means 2^30.
    zero : bool
        Whether 0 is a size.

    Returns
    -------
    int
        Number of bytes, larger than 1 or, with ``zero``, 0.

    Raises
    ------
    ValueError
        If ``text`` is not a size, is too large for a float, or is another number of 1 or less, which Dask reads as a
        fraction of the memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]i?|)b?\s*", str(text), re.IGNORECASE)
    size = float(match.group(1)) * _UNITS[match.group(2).lower()] if match else -1.0
    if not (2 <= size < math.inf or (zero and size == 0)):
        raise ValueError(f"'{text}' is not a size. Write it like 4GiB or 500MB{', or 0' if zero else ''}")
    return int(size)


def parse_share(value: str | float) -> float:
    """Return the share in ``value``, such as 0.75 for ``"75%"`` and ``0.75``; 0 if it is something else, such as a size.

    Raises
    ------
    ValueError
        If ``value`` is a percentage that is not above 0 and at most 100.
    """
    text = str(value).strip()
    if percent := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        share = float(percent.group(1)) / 100
        if not 0 < share <= 1:
            raise ValueError(f"'{value}' is not a share. Write it like 75%, at most 100%")
        return share
    # 1 is not a share, because a user may mean 1 GiB.
    return float(text) if re.fullmatch(r"0?\.\d+", text) else 0.0


def format_size(size: float) -> str:
    """Return ``size`` bytes as text in binary units: ``"3.5 GiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
