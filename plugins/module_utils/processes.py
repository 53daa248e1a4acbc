# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's Dask processes run."""

from __future__ import annotations

import contextlib


def running_release(pid):
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
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
            for variable in file.read().split("\0"):
                if variable.startswith("DASKOPS_RELEASE="):
                    return variable.split("=", 1)[1]
    return None


def running_services(states):
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
