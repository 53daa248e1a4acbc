# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import ranges
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import format_size
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

DOCUMENTATION = r"""
name: plan_table
short_description: A table of the workers that hosts are to run
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Lists what hosts have, and the workers that M(daskops.cluster.plan_host) planned on them.
options:
  _input:
    description:
      - Variables of the hosts, with what was seen as C(__dask_host) and what was planned as C(__dask_plan). A host without a
        plan gets a line that says so.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ groups['dask_workers'] | map('extract', hostvars) | daskops.cluster.plan_table }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

HEADER = ("host, workers", "threads", "memory", "CPUs", "NUMA node", "GPU", "listens at")


def rows(name, info, plan):
    """The rows of a host: what it has, and each of its workers."""
    nodes, gpus = len(info["nodes"]), len(info["gpus"])
    has = (f"{len(info['cpus'])} cores", format_size(info["memory"]), ranges(info["cpus"]))
    yield (name, *has, f"{nodes} node{'s' * (nodes != 1)}", str(gpus or ""), "")
    for worker in plan["workers"]:
        node = "" if worker["numa_node"] is None else str(worker["numa_node"])
        place = (worker["cpus"], node, worker["gpu"], f"{worker['address']}:{worker['port']}")
        yield (f"  {worker['name']}", str(worker["threads"]), format_size(worker["memory_limit"]), *place)


def plan_table(hosts):
    """The lines of a table of the workers of ``hosts``, variables of hosts."""
    lines, unknown = [], []
    for host in hosts:
        name, plan = host["inventory_hostname"], host.get("__dask_plan", {})
        if "workers" in plan:
            lines.extend(rows(name, host["__dask_host"], plan))
        else:
            unknown.append(f"{name}: not known, for the host could not be looked at")
    return table(HEADER, lines) + unknown


class FilterModule:
    """Filters about plans."""

    def filters(self):
        return {"plan_table": plan_table}
