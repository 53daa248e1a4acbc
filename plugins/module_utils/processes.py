# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the releases that the Dask processes of a host run."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Largest environment of a process that is read, in bytes. Linux allows less at the start of a process, but a process can
#: enlarge its environment later.
ENVIRONMENT = 8 * 1024**2

#: Allowed names of a service's release. A process can write any text into its own environment.
RELEASE = re.compile(r"[0-9A-Za-z_.-]{1,64}")


def running_release(pid: int | str) -> str | None:
    """Return the release from which a process was started.

    Parameters
    ----------
    pid : int or str
        Id of the process.

    Returns
    -------
    str or None
        Name of the release in the process's environment. None if there is none.
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
    """Return the services that run or that systemd keeps restarting, with their releases.

    Parameters
    ----------
    states : dict of dict
        ``ActiveState`` and ``MainPID`` of systemd, by unit.

    Returns
    -------
    dict
        Release by unit. None for a service without a process.
    """
    return {
        unit: running_release(state["MainPID"])
        for unit, state in states.items()
        if unit.endswith(".service") and state["ActiveState"] not in ("inactive", "failed")
    }
