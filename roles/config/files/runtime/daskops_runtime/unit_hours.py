# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hours of this unit's worker, from the file ``DASKOPS_HOURS`` of the host's current release.

A change of the hours restarts no worker, so the file is read again for each comparison with the clock.
"""

from __future__ import annotations

import json
import os
import time
from datetime import tzinfo
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
    """The hours in a file. Without the file, a worker may always run.

    Attributes
    ----------
    problem : str
        Why the hours could not be read the last time; empty if they could.
    """

    def __init__(self, path: str):
        self.path = path
        self.problem = ""
        self.valid: tuple[hours.Hours, tzinfo | None] | None = None  # the last valid hours, with their time zone

    def look(self) -> State:
        """Compare the hours with the clock, for a worker that does not run.

        If the hours cannot be read, the worker may not run, because its host may be in use by people.
        """
        self.read()
        return (
            State(False, None, None, f"for an unknown time, because {self.problem}") if self.problem else self.compare()
        )

    def look_while_running(self) -> State:
        """Compare the hours with the clock, for a worker that runs.

        If the hours cannot be read, the last valid ones apply. A task can open all file descriptors of its worker, which
        must not drain the worker.
        """
        self.read()
        return self.compare()

    def read(self) -> None:
        """Read the file and its time zone, and set `problem`."""
        if not self.path:
            return
        try:
            os.stat(self.path)  # needs no file descriptor, so a missing file is found also without one
            found = hours.parse_hours(json.loads(Path(self.path).read_text(encoding="utf-8"))["hours"])
            self.valid = found, None if found.always else hours.read_zone(found.zone)
            self.problem = ""
        except FileNotFoundError as e:
            if e.filename == self.path:
                self.valid, self.problem = None, ""
            else:
                self.problem = f"{e.filename} does not exist"
        except (OSError, ValueError, LookupError, TypeError, ImportError) as e:
            self.problem = f"{self.path} cannot be used: {e}"

    def compare(self) -> State:
        """Compare the last valid hours with the clock. Without such hours, a worker may run."""
        if self.valid is None:
            return State(True, None, None, "")
        found, zone = self.valid
        state = found.at(time.time(), stop.get_timeout() + hours.MARGIN, zone)
        outside = "" if state.runs or state.begin is None else f"until {found.time_of(state.begin, zone)}"
        return State(*state, outside)
