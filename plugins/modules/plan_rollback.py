#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_rollback
short_description: Tell which release each host ran before the latest change
version_added: "0.1.0"
description:
  - The latest change is the run that staged the newest of the hosts' current releases. The hosts that it changed go back to
    what they ran before it, the others stay.
  - Refuses if hosts would then have different environments.
  - Runs on the controller, and asks no host anything, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  hosts:
    description: What M(daskops.cluster.host_info) returned, by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Find out what the hosts ran before the latest change
  daskops.cluster.plan_rollback:
    hosts: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'host'))) }}"
  run_once: true
  register: way_back

- name: Show it
  ansible.builtin.debug:
    msg: "{{ way_back.releases[inventory_hostname].id }}"
"""

RETURN = r"""
releases:
  description: The release of each host, as M(daskops.cluster.host_info) tells it.
  type: dict
  returned: success
told:
  description: What goes back to what, in lines for people.
  type: list
  elements: str
  returned: success
  sample: ["worker1: release 5c641e8dd0b2 to 04076fd4dc85"]
msg:
  description: What speaks against going back, and what to do instead.
  type: str
  returned: failure
"""
