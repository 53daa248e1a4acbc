#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: compare_environments
short_description: Make sure that all hosts have the same packages
version_added: "0.1.0"
description:
  - Compares the packages of each host with those that most hosts have. Fails with the hosts and packages that differ.
  - Runs on the controller and connects to no host, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode. An environment that is not built yet is not compared.
  diff_mode:
    support: none
    description: There is no change to show.
options:
  plan:
    description: Result of M(daskops.cluster.plan).
    type: dict
    required: true
  built:
    description: RV(daskops.cluster.environment#module:environment) of this run, by host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Compare the packages of all hosts
  daskops.cluster.compare_environments:
    plan: "{{ plan }}"
    built:
      node1: "{{ hostvars.node1.built.environment }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: The hosts that have other packages, with the versions that differ, one line each.
  type: str
  returned: failure
"""
