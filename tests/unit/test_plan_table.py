# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the workers of hosts."""

from ansible_collections.daskops.cluster.plugins.filter.plan_table import plan_table
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB
from worker_plans import machine, plan_pools


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
    plan = {"hosts": hosts, "label": "", "python": "", "maintenance": ["node5"]}
    assert [line.split() for line in plan_table(plan, ["node1", "node2", "node3", "node4", "node5"])][1:] == [
        ["node1", "4", "cores", "8.0", "GiB", "0-3", "2", "nodes", "1"],
        ["node1-a-1", "2", "1.0", "GiB", "10.0.0.1:8800"],
        ["node1-g-1", "1", "2.0", "GiB", "1,3", "1", "0", "[fd00::1]:8801,", "reached", "at", "gate"],
        ["node4", "2", "cores", "8.0", "GiB", "0-3", "(3", "at", "a", "time)", "2", "nodes", "1"],
        ["node2:", "not", "known,", "because", "the", "host", "could", "not", "be", "inspected"],
        ["node3:", "no."],
        ["node5:", "in", "maintenance"],
    ]


def test_plan_table_names_the_label_and_the_reason_for_a_managed_python():
    hosts = {"node1": {"machine": machine(), "workers": [], "problems": []}}
    plan = {"hosts": hosts, "label": "v1.4", "python": "Hosts get a managed Python.", "maintenance": []}
    assert plan_table(plan, ["node1"])[-2:] == ["Label of the release: v1.4.", "Hosts get a managed Python."]
