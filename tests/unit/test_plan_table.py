# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the workers of hosts."""

from ansible_collections.daskops.cluster.plugins.filter.plan_table import plan_table
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import (
    plan_workers,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB

RESERVES = {"cores_reserve": 0, "memory_reserve": "auto", "scheduler_memory": ""}
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


def test_plan_table_shows_hosts_and_workers():
    on = machine(4, 8 * GIB, nodes=2, gpus=(1,))
    pools = plan_pools(on, a={"count": 1, "threads": 2, "memory": "1GiB"}, g={"profile": "gpu", "memory": "2GiB"})
    workers = [*pools["a"], *pools["g"]]
    contacts, addresses = {"node1-g-1": "gate"}, {"node1-g-1": "fd00::1"}
    planned = [
        {
            **worker,
            "address": addresses.get(worker["name"], "10.0.0.1"),
            "contact_host": contacts.get(worker["name"], ""),
        }
        for worker in workers
    ]
    hosts = {
        "node1": {"machine": on, "workers": planned, "problems": []},
        "node3": {"machine": on, "workers": [], "problems": ["node3: no."]},
        "node4": {"machine": {**on, "cores": [[0, 2], [1, 3]], "cpu_limit": 3}, "workers": [], "problems": []},
    }
    plan = {"hosts": hosts, "label": "", "maintenance": ["node5"]}
    assert [line.split() for line in plan_table(plan, ["node1", "node2", "node3", "node4", "node5"])][1:] == [
        ["node1", "4", "cores", "8.0", "GiB", "0-3", "2", "nodes", "1"],
        ["node1-a-1", "2", "1.0", "GiB", "10.0.0.1:8800"],
        ["node1-g-1", "1", "2.0", "GiB", "1,3", "1", "0", "[fd00::1]:8801,", "reached", "at", "gate"],
        ["node4", "2", "cores", "8.0", "GiB", "0-3", "(3", "at", "a", "time)", "2", "nodes", "1"],
        ["node2:", "not", "known,", "for", "the", "host", "could", "not", "be", "looked", "at"],
        ["node3:", "no."],
        ["node5:", "in", "maintenance"],
    ]


def test_plan_table_names_the_label():
    hosts = {"node1": {"machine": machine(), "workers": [], "problems": []}}
    assert (
        plan_table({"hosts": hosts, "label": "v1.4", "maintenance": []}, ["node1"])[-1] == "Label of the release: v1.4."
    )
