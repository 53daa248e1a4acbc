# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To which cluster the monitoring on a host belongs, and what a run for another cluster must leave alone."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable

from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import NotRegular, open_regular
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Configuration of a Prometheus that the collection installs, in the directory of the files.
CONFIGURATION = "dask-prometheus.yml"

#: The drop-in by which the collection recognizes its Prometheus.
DROP_IN = "/etc/systemd/system/prometheus.service.d/daskops.conf"

#: Largest file that is read, in bytes. A scrape configuration has less than 2 KiB.
LIMIT = 1024**2

#: The line that `owner_line` returns.
OWNER = re.compile(r"^# Cluster: ([\w-]{1,40}), scheduler: ([\w!-~]{1,300})$", re.MULTILINE)

SAME = "If this cluster had that scheduler before, remove the line '# Cluster: ...' from the file."


@dataclasses.dataclass
class Inspected:
    """What a run must not write (the problems), may remove from the directory, and whether it may remove Prometheus."""

    problems: list[str]
    absent: list[str]
    remove_prometheus: bool


def owner_line(cluster: str, scheduler: str) -> str:
    """Return the comment by which later runs recognize a file of this cluster.

    Parameters
    ----------
    cluster : str
        Name of the cluster, which is not unique.
    scheduler : str
        Address of its scheduler, without a protocol: turning TLS on does not make another cluster.
    """
    return f"# Cluster: {cluster}, scheduler: {scheduler}\n"


def other_owner(path: str, scheduler: str) -> str:
    """Return the other cluster to which a file belongs; "" if it is of this cluster or of none, or does not exist."""
    try:
        found = OWNER.search(read_text(path, LIMIT, open_regular))
    except (FileNotFoundError, NotADirectoryError, NotRegular, ValueError):
        return ""
    return f"the cluster '{found[1]}' with the scheduler {found[2]}" if found and found[2] != scheduler else ""


def inspect(directory: str, cluster: str, scheduler: str, state: str, names: Iterable[str], drop_in: str) -> Inspected:
    """Compare the files of a directory, and the drop-in, with a cluster.

    Parameters
    ----------
    directory, cluster, scheduler : str
        Directory of the files, and the cluster; see `owner_line`.
    state : str
        Value of ``dask_monitoring``.
    names : iterable of str
        Paths in the directory of all files that a run may write or remove.
    drop_in : str
        Path of the drop-in; empty where Prometheus is not installed.
    """
    scrape, configuration = (os.path.join(directory, name) for name in (f"dask-{cluster}-scrape.yml", CONFIGURATION))
    owner, configured, served = (other_owner(path, scheduler) for path in (scrape, configuration, drop_in))
    problems = []
    if owner and state != "absent":
        problems.append(
            f"{scrape} belongs to {owner}. Set dask_monitoring_cluster to another name, or dask_monitoring_directory to "
            f"another directory. {SAME}"
        )
    if state == "prometheus" and (served or configured):
        problems.append(
            f"dask_monitoring is prometheus, but {drop_in if served else configuration} belongs to {served or configured}. "
            "One installed Prometheus reads one cluster. Set dask_monitoring to files and dask_monitoring_directory to "
            f"another directory, or put another host into the group dask_monitoring. {SAME}"
        )
    names_there = os.listdir(directory) if os.path.isdir(directory) else []
    scrapes = [name for name in names_there if name.startswith("dask-") and name.endswith("-scrape.yml")]
    shared = bool(owner) or any(name != os.path.basename(scrape) for name in scrapes)

    def is_kept(name: str) -> bool:
        if name.startswith(f"dask-{cluster}-"):
            return bool(owner)
        return bool(configured) if name == CONFIGURATION else shared

    return Inspected(
        problems,
        [name for name in names if not is_kept(name)],
        state != "prometheus" and not served and os.path.exists(drop_in),
    )
