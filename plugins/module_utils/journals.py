# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the end of a service's journal, to which the service can write entries of up to 768 MiB."""

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.module_utils.user_programs import first_output

#: Seconds that journalctl may run.
TIMEOUT = 15

#: Largest number of bytes that are read.
LIMIT = 2**20


def command(unit: str, number: int) -> str:
    """Return a shell command that prints the last ``number`` lines of a unit's journal, at most `LIMIT` bytes."""
    options = f"--no-pager --output=cat --lines={number} --unit='{unit}'"
    return f"timeout {TIMEOUT} journalctl {options} 2>/dev/null | tail -c {LIMIT}"


def last_lines(unit: str, number: int) -> str:
    """Return the last ``number`` lines of a unit's journal, at most `LIMIT` bytes, as the service wrote them."""
    # The limits of the command apply first.
    return first_output(["/bin/sh", "-c", command(unit, number)], TIMEOUT + 5, LIMIT)[1].strip()
