# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import HEADER, rows
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

DOCUMENTATION = r"""
name: ports_table
short_description: A table of ports and who connects to them
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Lists the ports of hosts, as M(daskops.cluster.plan_host) planned them, and the one that Ansible itself uses.
options:
  _input:
    description:
      - Variables of the hosts, with what was planned as C(__dask_plan). A host without a plan gets a line that says so.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the ports
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | map('extract', hostvars) | daskops.cluster.ports_table }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""


def ports_table(hosts):
    """The lines of a table of the ports of ``hosts``, variables of hosts."""
    lines, unknown = [], []
    for host in hosts:
        name, plan = host["inventory_hostname"], host.get("__dask_plan", {})
        if "ports" in plan:
            lines.extend(rows(name, host.get("ansible_port", 22), plan["ports"], plan["firewall"]))
        else:
            unknown.append(f"{name}: not known, for the host could not be looked at")
    return table(HEADER, lines) + unknown


class FilterModule:
    """Filters about ports."""

    def filters(self):
        return {"ports_table": ports_table}
