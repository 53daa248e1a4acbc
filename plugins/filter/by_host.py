# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: by_host
short_description: Return a variable of several hosts
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Collects the values that a variable has on hosts, such as a registered result. Evaluates no other variable.
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  _hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  _name:
    description: Name of the variable.
    type: str
    required: true
positional: _hostvars, _name
"""

EXAMPLES = r"""
- name: Show the versions on the hosts
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | daskops.cluster.by_host(hostvars, 'host_info') | daskops.cluster.versions }}"
"""

RETURN = r"""
_value:
  description: Value by host. Hosts without the variable are left out.
  type: dict
  sample:
    node1: {changed: false, services: {}, silent: {}}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def by_host(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the value of a variable for each of ``hosts`` that has it, by host."""
    variables = {host: hostvars[host] for host in hosts}
    return {host: known[name] for host, known in variables.items() if name in known}


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"by_host": by_host}
