# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the journals of the services of this host: what they wrote, and what systemd says about them.

The services' account cannot read the journal of its host. For each connection to the socket of
``dask-KIND-journal.socket``, systemd starts programs that can, and that write the newest lines of each service of this kind.

`standby.py` uses this, too, so it does not import Dask.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO, NamedTuple

#: Directory of the sockets.
SOCKETS = "/run"
#: Largest number of lines of a service, of characters of a line, and of services of a host.
LINES, LENGTH, UNITS = 1_000, 1_000, 200
#: Number of lines of a service that are kept in any case.
LEAST = 10
#: Largest number of bytes that are read.
SIZE = 16 * 1024**2
#: Seconds to read.
TIMEOUT = 8.0
#: A text that is another one after each start of the host. Containers of one host have the same.
BOOT = "/proc/sys/kernel/random/boot_id"


class Place(NamedTuple):
    """Where a service runs: its unit, and the name and the boot of its host, which together are different for each host."""

    unit: str
    host: str
    boot: str


def unit_of(directory: str | None) -> str | None:
    """Return the name of the unit with a runtime directory; None for others, such as the services of a trial."""
    name = os.path.basename(directory or "")
    if name == "dask-scheduler":
        return "dask-scheduler.service"
    instance = name.removeprefix("dask-worker-")
    return f"dask-worker@{instance}.service" if instance != name else None


def find_place(directory: str | None) -> Place | None:
    """Return the place of the service with a runtime directory; None if it is not one of our units."""
    unit = unit_of(directory)
    if not unit:
        return None
    try:
        with open(BOOT, encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = "unknown"
    return Place(unit, socket.gethostname() or "unknown", boot)


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


def newest(entries: Iterable[bytes]) -> dict[str, list[str]]:
    """Return the newest lines of each unit, in the order of time, from entries that begin with the newest of the unit."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        unit, line = parse(entry) or ("", "")
        if unit and (unit in found or len(found) < UNITS):
            lines = found.setdefault(unit, [])
            if len(lines) < LINES:
                lines.append(line)
    return {unit: lines[::-1] for unit, lines in found.items()}


def limit(journals: Mapping[str, list[str]], number: int) -> dict[str, list[str]]:
    """Return the newest lines of each unit, together about ``number``."""
    each = max(LEAST, number // max(1, len(journals)))
    return {unit: lines[-each:] for unit, lines in journals.items()}


def read_journals(kind: str, timeout: float | None = None) -> dict[str, list[str]]:
    """Return the newest lines of the units of a kind since the start of the host, up to `LINES` of each.

    Returns nothing if systemd cannot start the program.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    timeout : float, optional
        Seconds to read. By default, `TIMEOUT`.

    Raises
    ------
    OSError
        If the socket does not exist, or systemd does not listen at it.
    """
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    while True:
        entries = Entries(kind, deadline)
        journals = newest(entries)
        # systemd closes a connection at once if there are too many.
        pause = random.uniform(0.2, 1.0)
        if entries.size or time.monotonic() + pause > deadline:
            return journals
        time.sleep(pause)


class Entries:
    """The entries that a connection to the socket of a kind yields until the deadline, up to `SIZE` bytes.

    Attributes
    ----------
    size : int
        How many bytes were read.
    """

    def __init__(self, kind: str, deadline: float):
        self.path = socket_path(kind)
        self.deadline = deadline
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(self.left)
            sock.connect(self.path)
            with sock.makefile("rb") as file:
                try:
                    while self.size < SIZE and (entry := self.read(sock, file)):
                        yield entry
                except OSError:  # such as the timeout
                    return  # keep what was read

    @property
    def left(self) -> float:
        """The seconds until the deadline."""
        return max(0.01, self.deadline - time.monotonic())

    def read(self, sock: socket.socket, file: BinaryIO) -> bytes:
        if time.monotonic() >= self.deadline:
            return b""
        sock.settimeout(self.left)
        entry = file.readline(SIZE - self.size)
        self.size += len(entry)
        return entry
