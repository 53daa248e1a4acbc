# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours of this unit's worker, from the file ``DASKOPS_HOURS`` of the host's current release.

A change of the hours restarts no worker, so the file is read again for each comparison with the clock.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from daskops_runtime import hours, stop


class State(NamedTuple):
    """See `hours.State`. ``outside`` tells until when a worker may not run; it is empty if the worker may run."""

    runs: bool
    begin: float | None
    end: float | None
    outside: str


class UnitHours:
    """The hours in a file. Without the file, a worker may always run."""

    def __init__(self, path: str):
        self.path = path

    def look(self) -> State:
        """Compare the hours with the clock.

        If the hours cannot be read, a worker may not run, because its host may be in use by people.
        """
        if not self.path:
            return State(True, None, None, "")
        try:
            found = hours.parse_hours(json.loads(Path(self.path).read_text(encoding="utf-8"))["hours"])
            state = found.at(time.time(), stop.get_timeout() + hours.MARGIN)
            outside = "" if state.runs or state.begin is None else f"until {found.time_of(state.begin)}"
            return State(*state, outside)
        except FileNotFoundError as e:
            if e.filename == self.path:
                return State(True, None, None, "")
            return State(False, None, None, f"for an unknown time, because {e.filename} does not exist")
        except (OSError, ValueError, LookupError, TypeError) as e:
            return State(False, None, None, f"for an unknown time, because {self.path} cannot be used: {e}")
