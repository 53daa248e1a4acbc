# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether the timer of the hours must restart the workers now: ``ExecCondition=`` of ``dask-worker-hours@.service``.

In autumn, the clock shows some times twice. systemd's timer elapses at the first one. If the hours end at 3:00, the drain
begins at the second 2:54:45, so a restart at the first one would drain workers that may run for another hour.

With exit status 1, systemd does not restart the workers, also if the hours cannot be read. Each worker and each waiting unit
looks at the clock itself, and running workers keep their last valid hours.
"""

from __future__ import annotations

import os
import sys
import time

from daskops_runtime import unit_hours

#: Seconds after the begin of the hours in which the timer starts workers.
BEGINS = 60.0


def main() -> int:
    hours = unit_hours.UnitHours(os.environ.get("DASKOPS_HOURS", ""))
    state = hours.look()
    if hours.problem:
        print(f"The workers are not restarted, because {hours.problem}")
        return 1
    if state.runs and not (state.begin is not None and time.time() - state.begin < BEGINS):
        print("The workers are not restarted, because their hours neither begin nor end now")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
