# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of the workers and ports of a host."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import plan_workers
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB

POOL = {
    "profile": "numeric",
    "count": "auto",
    "threads": "auto",
    "hyperthreads": False,
    "memory": "auto",
    "cpus": "",
    "numa_node": "",
    "gpus": "auto",
    "command": "dask worker",
    "port": 8800,
    "dashboard_port": 8900,
    "nanny_port": 9000,
    "nanny": False,
}
RESERVES = {"cores_reserve": 0, "memory_reserve": "auto", "scheduler_memory": ""}


def machine(cores=8, memory=16 * GIB, nodes=1, gpus=()):
    """Return the facts of a host whose cores are spread evenly over its NUMA nodes."""
    cpus = list(range(cores))
    return {
        "cpus": cpus,
        "cores": [[cpu] for cpu in cpus],
        "cpu_limit": 0,
        "memory": memory,
        "nodes": [{"id": node, "cpus": cpus[node::nodes]} for node in range(nodes)],
        "gpus": [{"index": index, "uuid": f"GPU-{index}", "node": node} for index, node in enumerate(gpus)],
    }


def plan_pools(on=None, reserves=None, **pools):
    """Return the planned workers of a host by pool."""
    settings = {**RESERVES, **(reserves or {}), "pools": {name: {**POOL, **about} for name, about in pools.items()}}
    workers = plan_workers("node1", on or machine(), settings)
    return {name: [worker for worker in workers if worker["pool"] == name] for name in pools}


def worker_ports(count, nanny=False):
    """Return the ports of a host with workers of one thread, as `plan_host` describes them."""
    about = {"count": count, "threads": 1, "memory": "1GiB", "nanny": nanny}
    (workers,) = plan_pools(machine(64, 512 * GIB), **{"": about}).values()
    kinds = ["port", "dashboard_port", *(["nanny_port"] if nanny else [])]
    return [describe(worker[kind], f"dask_worker_{kind}", worker["unit"]) for worker in workers for kind in kinds]
