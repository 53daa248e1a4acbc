# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with the hours of a unit's worker, for now and for other times."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path


class HoursFile:
    """The file with the hours of a pool, which a test changes as a run does.

    ``begins`` is the text of the time at which the hours begin.
    """

    def __init__(self, directory: Path, **hours: int):
        self.path = directory / "hours-default.json"
        if hours:
            self.write(**hours)

    def write(self, begin: int, end: int) -> None:
        """Let the hours begin and end this number of hours from now."""
        now = datetime.now(timezone.utc)
        first, last = (now + timedelta(hours=shift) for shift in (begin, end))
        self.begins = f"{first:%a %H:%M} UTC"
        self.write_text(f"{first:%a} {first:%H:%M}-{last:%H:%M} UTC")

    def write_text(self, hours: object) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"hours": hours}))
        new.replace(self.path)
