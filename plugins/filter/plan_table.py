# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import in_url
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import ranges
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import format_size
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

DOCUMENTATION = r"""
name: plan_table
short_description: Return a table of the planned workers of hosts
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Lists what hosts have, the workers that M(daskops.cluster.plan) planned on them, the label of their release, and why
    hosts get a managed Python if C(dask_python) is V(auto).
options:
  _input:
    description: Result of M(daskops.cluster.plan) for the purpose V(show).
    type: dict
    required: true
  _hosts:
    description: Names of the hosts. For a host without a plan, the table says that it could not be inspected.
    type: list
    elements: str
    required: true
positional: _hosts
seealso:
  - plugin: daskops.cluster.ports_table
    plugin_type: filter
    description: Lists the ports of the same plan.
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ plan | daskops.cluster.plan_table(groups['dask_workers']) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
  sample:
    - "host, workers  threads  memory   CPUs  NUMA node  GPU  listens at"
    - "node1          4 cores  8.0 GiB  0-3   1 node"
    - "  node1-1      2        3.3 GiB                        10.0.0.2:8800"
    - "  node1-2      2        3.3 GiB                        10.0.0.2:8801"
    - "Label of the release: v1.4."
"""

HEADER = ("host, workers", "threads", "memory", "CPUs", "NUMA node", "GPU", "listens at")


def rows(name: str, plan: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a host: one for its hardware, and one for each of its workers."""
    machine = plan["machine"]
    nodes, gpus = len(machine["nodes"]), len(machine["gpus"])
    limit = f" ({machine['cpu_limit']} at a time)" if machine["cpu_limit"] else ""
    has = (f"{len(machine['cores'])} cores", format_size(machine["memory"]), ranges(machine["cpus"]) + limit)
    yield (name, *has, f"{nodes} node{'s' * (nodes != 1)}", str(gpus or ""), "")
    for worker in plan["workers"]:
        node = "" if worker["numa_node"] is None else str(worker["numa_node"])
        listens = f"{in_url(worker['address'])}:{worker['port']}"
        listens += f", reached at {worker['contact_host']}" if worker["contact_host"] else ""
        place = (worker["cpus"], node, worker["gpu"], listens)
        yield (f"  {worker['name']}", str(worker["threads"]), format_size(worker["memory_limit"]), *place)


def plan_table(plan: Mapping[str, Any], hosts: Iterable[str]) -> list[str]:
    """Return the lines of a table of the workers of hosts."""
    lines: list[tuple[str, ...]] = []
    others = []
    for host in hosts:
        about = plan["hosts"].get(host, {})
        if host in plan["maintenance"]:
            others.append(f"{host}: in maintenance")
            continue
        others += about.get(
            "problems", [] if about else [f"{host}: not known, because the host could not be inspected"]
        )
        if "workers" in about and not about["problems"]:
            lines.extend(rows(host, about))
    label = [f"Label of the release: {plan['label']}."] if plan["label"] else []
    python = [plan["python"]] if plan["python"] else []
    return [*table(HEADER, lines), *label, *python, *others]


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan_table": plan_table}
