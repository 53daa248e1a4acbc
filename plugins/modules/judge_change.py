#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_change
short_description: Check a batch of worker hosts after a change
version_added: "0.1.0"
description:
  - Checks the results of the change. If the change failed on no host, checks the health of the cluster with
    M(daskops.cluster.cluster_health).
  - Never fails. The problems are in RV(failures), also if the health of the cluster cannot be checked.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: The health of the cluster is not checked.
  diff_mode:
    support: none
    description: The module changes nothing.
options:
  results:
    description: Result of M(daskops.cluster.services) by host, also of failed and unreachable hosts.
    type: dict
    required: true
  hosts:
    description: The hosts of the batch. A host without a result has failed. By default, the hosts of O(results).
    type: list
    elements: str
    default: []
  gate:
    description: Arguments for M(daskops.cluster.cluster_health).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check a batch of hosts after a change
  daskops.cluster.judge_change:
    results: "{{ ansible_play_batch | daskops.cluster.by_host(hostvars, 'change') }}"
    gate:
      url: https://10.0.0.1:8787
      workers: "{{ expected }}"
  delegate_to: scheduler1
  run_once: true
  register: judged
"""

RETURN = r"""
failures:
  description: A sentence for each problem.
  type: list
  elements: str
  returned: always
"""
