#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_firewall
short_description: Find out who may connect to a cluster's ports
version_added: "0.1.0"
description:
  - Gathers the addresses that hosts of a cluster connect from, which are those where they listen and those that they have
    on the way to the scheduler. Fails with all that is in the way, each with its remedy.
  - Runs on the controller, so one host of the play is enough (C(run_once)). It cannot see a gateway that translates
    addresses (NAT) between hosts; what connections come from then is said with O(peers).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  hosts:
    description: What M(daskops.cluster.host_info) returned, by host, for the hosts of the run.
    type: dict
    required: true
  others:
    description:
      - Worker hosts that are not in the run. A host of the run that has a firewall keeps letting in whom it lets in; for one
        that has none yet, the controller looks up their addresses (C(ansible_host) or the name).
    type: list
    elements: str
    required: true
  closed:
    description: Those hosts that are not in the run and have a firewall, which lets in only whom it knows.
    type: list
    elements: str
    required: true
  peers:
    description: Value of C(dask_firewall_peers).
    type: list
    elements: str
    required: true
  clients:
    description: Value of C(dask_firewall_clients).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look at the host
  daskops.cluster.host_info:
    home: /opt/dask
    user: dask
    scheduler_host: 10.0.0.1
    firewall: nftables
  register: host

- name: Find out who may connect
  daskops.cluster.plan_firewall:
    hosts: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'host'))) }}"
    others: []
    closed: []
    peers: []
    clients: [10.1.0.0/16]
  run_once: true
  register: who
"""

RETURN = r"""
cluster:
  description: Networks of the hosts of the cluster, by host of the run and by family, C(ipv4) and C(ipv6).
  type: dict
  returned: always
  sample: {worker1: {ipv4: [10.0.0.1/32, 10.0.0.10/31], ipv6: []}}
clients:
  description: Networks of O(clients), by family.
  type: dict
  returned: always
  sample: {ipv4: [10.1.0.0/16], ipv6: []}
msg:
  description: What is in the way and what to change, a line each.
  type: str
  returned: failure
"""
