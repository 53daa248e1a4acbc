# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import HEADER, rows
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

DOCUMENTATION = r"""
name: ports_table
short_description: Return a table of the ports of hosts and of the hosts that connect to them
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Lists the ports that M(daskops.cluster.plan) planned on hosts, and the SSH port to which Ansible connects.
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
  - plugin: daskops.cluster.plan_table
    plugin_type: filter
    description: Lists the workers of the same plan.
"""

EXAMPLES = r"""
- name: Show the ports
  ansible.builtin.debug:
    msg: "{{ plan | daskops.cluster.ports_table(ansible_play_hosts_all) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
  sample:
    - "host       port  service         purpose  used by           firewall"
    - "scheduler  22    ssh             Ansible  the controller"
    - "scheduler  8786  dask-scheduler  Dask     workers, clients  nftables"
"""


def ports_table(plan: Mapping[str, Any], hosts: Iterable[str]) -> list[str]:
    """Return the lines of a table of the ports of hosts."""
    lines: list[tuple[str, ...]] = []
    others = []
    for host in hosts:
        about = plan["hosts"].get(host, {})
        others += about.get(
            "problems", [] if about else [f"{host}: not known, because the host could not be inspected"]
        )
        if "ports" in about and not about["problems"]:
            lines.extend(rows(host, about["ssh_port"], about["ports"], about["firewall"]))
    for host, about in plan.get("monitoring", {}).items():
        lines.extend(rows(host, 0, about["ports"], ""))
    return [*table(HEADER, lines), *others]


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ports_table": ports_table}
