# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the ports of hosts."""

import re

from ansible_collections.daskops.cluster.plugins.filter.ports_table import ports_table
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe
from worker_plans import worker_ports


def test_table_of_a_cluster():
    scheduler = [
        describe(8786, "dask_scheduler_port", "dask-scheduler.service"),
        describe(8787, "dask_scheduler_dashboard_port", "dask-scheduler.service"),
    ]
    hosts = {
        "s1": {"ports": scheduler, "firewall": "nftables", "ssh_port": 22, "problems": []},
        "w1": {"ports": worker_ports(1), "firewall": "none", "ssh_port": 2222, "problems": []},
        "w2": {"problems": ["w2: no."]},
    }
    monitoring = {"m1": {"ports": [describe(9090, "dask_monitoring_port", "prometheus.service", local=True)]}}
    lines = ports_table({"hosts": hosts, "monitoring": monitoring}, ["s1", "w1", "w2", "w3"])
    assert [re.split(r" {2,}", line) for line in lines] == [
        ["host", "port", "service", "purpose", "used by", "firewall"],
        ["s1", "22", "ssh", "Ansible", "the controller"],
        ["s1", "8786", "dask-scheduler", "Dask", "workers, clients", "nftables"],
        [
            "s1",
            "8787",
            "dask-scheduler",
            "dashboard, metrics",
            "browsers, monitoring, the scheduler's host",
            "nftables",
        ],
        ["w1", "2222", "ssh", "Ansible", "the controller"],
        ["w1", "8800", "dask-worker@1", "Dask", "the scheduler, other workers", "none"],
        ["w1", "8900", "dask-worker@1", "dashboard, metrics", "browsers, monitoring", "none"],
        ["m1", "9090", "prometheus", "metrics, alerts", "the host itself"],
        ["w2: no."],
        ["w3: not known, because the host could not be inspected"],
    ]
