# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the same cluster with Dask's SSHCluster, for comparison, until standard input ends."""

import sys

from distributed import SSHCluster
from nodes import KEY, SCHEDULER, USER, WORKERS

if __name__ == "__main__":
    connect = {"username": USER, "client_keys": [str(KEY)], "known_hosts": None, "config": None}
    with SSHCluster(
        [SCHEDULER, *WORKERS],
        connect_options=connect,
        scheduler_options={"port": 8786, "dashboard_address": ":8787"},
        worker_options={"nthreads": 1},
        remote_python="/opt/dask/current/environment/bin/python",
    ):
        sys.stdin.read()
