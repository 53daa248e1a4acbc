# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read text that services and other users of a host have written."""

from __future__ import annotations

import functools
from collections.abc import Callable

#: Largest number of characters of a text that a host may report. The controller rejects longer ones.
TEXT_LIMIT = 1_000_000


def lines(text: str) -> list[str]:
    """Return the lines of a text. Only a line feed ends a line.

    Python's ``splitlines`` also ends a line at a carriage return, a form feed, U+2028 and others. Linux and systemd do not.
    So a process could put such a character into a name, and thereby start a forged line.
    """
    return text.rstrip("\n").split("\n") if text else []


def read_text(path: str, limit: int, opener: Callable[[str, int], int] | None = None) -> str:
    """Return the text of a file of at most ``limit`` bytes.

    Bytes that are not UTF-8 are replaced. Line ends are not translated, so carriage returns are kept.

    ``opener`` is that of `open`, such as `safe_paths.open_regular`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is longer than ``limit``.
    """
    content = b""
    # Read in pieces, because a read of 4 MiB from a file below /proc/sys fails.
    with open(path, "rb", opener=opener) as file:
        for piece in iter(functools.partial(file.read, 65536), b""):
            content += piece
            if len(content) > limit:
                raise ValueError(f"{path} is longer than {limit} bytes")
    return content.decode("utf-8", "replace")


def is_printable(text: str) -> bool:
    """Return whether a text has no characters that could affect a terminal. Line feeds and tabs are allowed."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def printable(text: str, limit: int = 4000) -> str:
    """Return the last ``limit`` characters of a text, with a question mark for each that is not printable."""
    return "".join(one if is_printable(one) else "?" for one in text[-limit:])
