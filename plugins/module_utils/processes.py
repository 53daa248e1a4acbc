# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's Dask processes run."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Bytes of a process's environment that are read. Linux allows more than one can have by its start, not by its own doing.
ENVIRONMENT = 8 * 1024**2

#: What a release of a service can be called. The process could write anything into its own environment.
RELEASE = re.compile(r"[0-9A-Za-z_.-]{1,64}")


def running_release(pid: int | str) -> str | None:
    """The release that a process was started from.

    Parameters
    ----------
    pid : int or str
        Number of the process.

    Returns
    -------
    str or None
        As the unit's environment gave it to the process; None if it runs none.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            content = file.read(ENVIRONMENT)
    except OSError:  # the process has ended
        return None
    for variable in content.split(b"\0"):
        if variable.startswith(b"DASKOPS_RELEASE="):
            release = variable.partition(b"=")[2].decode("utf-8", "replace")
            return release if RELEASE.fullmatch(release) else None
    return None


def running_services(states: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    """The services that run, or that fail and are started again and again.

    Parameters
    ----------
    states : dict of dict
        ``ActiveState`` and ``MainPID``, as systemd tells them, by unit.

    Returns
    -------
    dict
        Release by service, None where there is no process at the moment.
    """
    return {
        unit: running_release(state["MainPID"])
        for unit, state in states.items()
        if unit.endswith(".service") and state["ActiveState"] not in ("inactive", "failed")
    }
