# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what services and other users of a host have written."""

from __future__ import annotations

import functools


def lines(text):
    """The lines of a text, which end with a line feed alone.

    Python's ``splitlines`` also ends a line at a carriage return, a form feed, U+2028 and others. Linux and systemd do not,
    so a process could put them into a name and so begin a line of its own.
    """
    return text.rstrip("\n").split("\n") if text else []


def read_text(path, limit):
    """The text of a file, of at most ``limit`` bytes.

    Bytes that are not UTF-8 are replaced. The file is read as it is: a carriage return stays one.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is longer.
    """
    content = b""
    # In pieces: Linux refuses to fill a buffer of 4 MiB from a file below /proc/sys.
    with open(path, "rb") as file:
        for piece in iter(functools.partial(file.read, 65536), b""):
            content += piece
            if len(content) > limit:
                raise ValueError(f"{path} is longer than {limit} bytes")
    return content.decode("utf-8", "replace")


def printable(text, limit=4000):
    """A text that can be shown on a terminal: the last ``limit`` characters, without control characters."""
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text[-limit:])
