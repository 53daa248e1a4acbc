# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the journals of the services of this host: what they wrote, and what systemd says about them.

The services' account cannot read the journal of its host. For each connection to the socket of
``dask-KIND-journal.socket``, systemd starts a program that can, and that writes the lines of all services of this kind, the
newest first. The reader closes the connection when it has enough.

`standby.py` uses this, too, so it does not import Dask.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import BinaryIO

#: Directory of the sockets.
SOCKETS = "/run"
#: Largest number of lines of a service, of characters of a line, and of services of a host.
LINES, LENGTH, UNITS = 1_000, 1_000, 200
#: Number of lines of a service that are kept in any case.
LEAST = 10
#: Largest number of bytes that are read from a host's journal, in which all workers of the host have their lines.
SIZE = 16 * 1024**2
#: Seconds to read a journal.
TIMEOUT = 8.0


def socket_path(kind: str) -> str:
    return os.path.join(SOCKETS, f"dask-{kind}-journal.sock")


def parse(entry: bytes) -> tuple[str, str] | None:
    """Return the unit of a line of ``journalctl --output=json``, and its text with the host's local time.

    Returns None if it is not of one of our services.
    """
    try:
        fields = json.loads(entry)
        unit = fields.get("_SYSTEMD_UNIT")
        if not is_ours(unit):
            unit = fields["UNIT"]  # a line of systemd; a service could write this field, too
        moment = datetime.fromtimestamp(int(fields["__REALTIME_TIMESTAMP"]) / 1e6)
        message = fields["MESSAGE"]
        if isinstance(message, list):  # the bytes of a text that is not UTF-8 or has control characters
            message = bytes(message).decode(errors="replace")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None  # the last entry may be cut off
    if not is_ours(unit):
        return None
    text = "(a very long line)" if message is None else str(message)
    return unit, f"{moment:%Y-%m-%d %H:%M:%S} {text}"[:LENGTH]


def is_ours(unit: object) -> bool:
    return isinstance(unit, str) and unit.startswith("dask-")


def newest(entries: Iterable[bytes], units: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the newest lines of each unit, in the order of time, from entries that begin with the newest.

    Reads no further than necessary for ``units``, if there are any.
    """
    found: dict[str, list[str]] = {}
    incomplete = set(units)
    for entry in entries:
        unit, line = parse(entry) or ("", "")
        if unit and (unit in found or len(found) < UNITS):
            lines = found.setdefault(unit, [])
            if len(lines) < LINES:
                lines.append(line)
            if len(lines) == LINES:
                incomplete.discard(unit)
        if units and not incomplete:
            break
    return {unit: lines[::-1] for unit, lines in found.items() if not units or unit in units}


def limit(journals: Mapping[str, list[str]], number: int) -> dict[str, list[str]]:
    """Return the newest lines of each unit, together about ``number``."""
    each = max(LEAST, number // max(1, len(journals)))
    return {unit: lines[-each:] for unit, lines in journals.items()}


def entries_of(file: BinaryIO, deadline: float) -> Iterable[bytes]:
    """Yield the lines of a connection until the deadline, up to `SIZE` bytes."""
    left = SIZE
    try:
        while left > 0 and time.monotonic() < deadline and (entry := file.readline(left)):
            left -= len(entry)
            yield entry
    except OSError:  # a timeout: keep what was read
        return


def read_journals(kind: str, units: Collection[str] = (), timeout: float | None = None) -> dict[str, list[str]]:
    """Return the newest lines of the units of a kind since the start of the host, up to `LINES` of each.

    Returns nothing if systemd cannot start the program.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    units : collection of str
        Only these units. By default, all of the kind.
    timeout : float, optional
        Seconds to read. By default, `TIMEOUT`.

    Raises
    ------
    OSError
        If the socket does not exist, or systemd does not listen at it.
    """
    timeout = TIMEOUT if timeout is None else timeout
    deadline = time.monotonic() + timeout
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            sock.connect(socket_path(kind))
            with sock.makefile("rb") as file:
                journals = newest(entries_of(file, deadline), units)
        # systemd closes a connection at once if there are too many.
        pause = random.uniform(0.2, 1.0)
        if journals or time.monotonic() + pause > deadline:
            return journals
        time.sleep(pause)
