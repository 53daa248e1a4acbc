# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what a run changed, and how long it took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import CHANGING

#: Registered results that list the services of a host that were restarted or removed.
RESULTS = ("__dask_scheduler_change", "__dask_worker_change")


def run_report(
    plan: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], seconds: float, check_mode: bool = False
) -> list[str]:
    """Return the lines of a report about what a run changed; none for a run that changes no services.

    Parameters
    ----------
    plan : dict
        Result of the module `plan`.
    results : dict of dict
        Registered variables of each host: ``__dask_environment``, ``__dask_start``, and those in `RESULTS`.
    seconds : float
        Duration of the run until now.
    check_mode : bool
        Whether the run only predicted the changes.
    """
    if plan["purpose"] not in (*CHANGING, "stop"):
        return []
    built = [host for host, found in results.items() if found.get("__dask_environment", {}).get("changed")]
    started: Mapping[str, list[str]] = next(
        (found["__dask_start"]["hosts"] for found in results.values() if "__dask_start" in found), {}
    )
    done = [
        ("built the environment on", built),
        ("started", [f"{' and '.join(sorted(kinds))} of {host}" for host, kinds in started.items()]),
        ("started or restarted", list(_services(results, "restarted"))),
        ("stopped", list(_services(results, "removed"))),
    ]
    lines = [
        f"{'Would have ' + verb if check_mode else verb.capitalize()}: {join(names)}." for verb, names in done if names
    ]
    verb = "stopped" if plan["purpose"] == "stop" else "restarted"
    nothing = f"No service would have been {verb}." if check_mode else f"No service was {verb}."
    until = ["start.yml starts them again, and so does a reboot."] if lines and verb == "stopped" else []
    return [*(lines or [nothing]), *until, f"The run took {duration(seconds)}."]


def changing(plan: Mapping[str, Any]) -> list[str]:
    """Return the hosts in any play of a plan, or all of a plan without plays. Only these can have results."""
    if plan["purpose"] == "stop":
        return list(plan["hosts"])
    plays = [hosts for hosts in plan["plays"].values() if isinstance(hosts, list)]
    return list(dict.fromkeys(host for hosts in plays for host in hosts if host in plan["hosts"]))


def _services(results: Mapping[str, Mapping[str, Any]], key: str) -> Iterator[str]:
    """Yield the services of each host in a list of its results, such as ``dask-worker@1 and dask-worker@2 of node1``."""
    for host, found in results.items():
        units = [unit for name in RESULTS for unit in found.get(name, {}).get(key, [])]
        if units:
            yield f"{', '.join(unit.removesuffix('.service') for unit in units)} of {host}"


def duration(seconds: float) -> str:
    """Return a duration such as ``43 s`` or ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def age_of_process(pid: int) -> float:
    """Return the seconds since a process started."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        # The second field is the program's name in parentheses, which may contain spaces. The start is the 22nd field.
        start = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start / os.sysconf("SC_CLK_TCK")
