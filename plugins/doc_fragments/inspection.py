# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to inspect on a host."""

from __future__ import annotations


class ModuleDocFragment:
    """See the documentation of Ansible about documentation fragments."""

    DOCUMENTATION = r"""
options:
  home:
    description: Directory of the collection on the host, with its environments and releases.
    type: path
  python:
    description:
      - Interpreter of the host for building environments. A path, or a name on the search path.
      - Empty if the host's interpreters do not matter, because it gets a managed Python.
    type: str
    default: python3
  environment_path:
    description: Directory of an environment that exists on the host; empty for none.
    type: str
    default: ""
  setup:
    description: The C(script) and the C(lines) of C(dask_environment_setup), which run before the interpreter there.
    type: dict
    default: {}
  user:
    description: Account that the services will run as.
    type: str
  groups:
    description: Groups, by name or number, that the services will have in addition to those of O(user).
    type: list
    elements: str
    default: []
  import_paths:
    description: Directories from which the services will import modules.
    type: list
    elements: str
    default: []
  paths:
    description:
      - Directories and devices to describe in RV(daskops.cluster.host_info#module:file_systems). They need not exist.
    type: list
    elements: str
    default: []
  files:
    description: Files whose existence to check; see RV(daskops.cluster.host_info#module:missing).
    type: list
    elements: str
    default: []
  time_zones:
    description: Names of time zones to check; see RV(daskops.cluster.host_info#module:time_zones).
    type: list
    elements: str
    default: []
  proxy_site:
    description:
      - Path of the nginx site that the collection writes. Empty if the dashboard has no proxy. Read only on a host where an
        earlier version of the collection has written it.
    type: path
    default: ""
  scheduler_host:
    description: Name or address of the scheduler's host, to resolve and to find the route to. Empty to skip this.
    type: str
    default: ""
  client_scheduler_host:
    description: Name or address with which clients connect to the scheduler on this host; empty for none.
    type: str
    default: ""
  scheduler_port:
    description: Port of a running scheduler at O(scheduler_host). The module tests a connection to it. 0 to skip this.
    type: int
    default: 0
  interface:
    description: Interface at whose address services will listen. Empty for the interface of the route to O(scheduler_host).
    type: str
    default: ""
  bind_address:
    description: Address of this host at which services will listen. Empty for the address of O(interface).
    type: str
    default: ""
  worker_interfaces:
    description: Interfaces at whose addresses workers will listen, if these differ from the scheduler's.
    type: list
    elements: str
    default: []
  firewall:
    description: Firewall that will filter the host's ports.
    type: str
    choices: [none, nftables, firewalld, ufw]
    default: none
"""
