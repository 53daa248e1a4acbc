#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_change
short_description: Find out whether a batch of worker hosts was changed well
version_added: "0.1.0"
description:
  - Looks at the results of the change and, if none failed, asks the cluster with M(daskops.cluster.cluster_health).
  - A cluster that cannot be asked, for whatever reason, counts as one that is not healthy. So this never fails; look at
    RV(failures).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: The cluster is not asked.
  diff_mode:
    support: none
    description: There is no change to show.
options:
  results:
    description: Result of M(daskops.cluster.services) by host. It may have failed, or the host may be unreachable.
    type: dict
    required: true
  gate:
    description: Arguments for M(daskops.cluster.cluster_health).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask the cluster about a batch of hosts
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
  description: What is wrong, a sentence each; empty if nothing is.
  type: list
  elements: str
  returned: always
"""
