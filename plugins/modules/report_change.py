#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: report_change
short_description: Fail with a report about a failed batch of worker hosts
version_added: "0.1.0"
description:
  - Always fails. The message lists the problems of a batch of worker hosts, the last lines of their journals, the hosts that
    were reverted, and the state of the scheduler.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  failures:
    description: RV(daskops.cluster.judge_change#module:failures).
    type: list
    elements: str
    required: true
  plan:
    description: Result of M(daskops.cluster.plan).
    type: dict
    required: true
  reverted:
    description: Result of M(daskops.cluster.revert_workers), by host of the batch.
    type: dict
    required: true
  rollback_on_failure:
    description: Whether failed changes are reverted.
    type: bool
    required: true
  scheduler_change:
    description: Result of M(daskops.cluster.change_scheduler) in this run; empty if the scheduler did not change.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Report the failed batch
  daskops.cluster.report_change:
    failures: "{{ judged.failures }}"
    plan: "{{ plan }}"
    reverted: "{{ ansible_play_batch | daskops.cluster.by_host(hostvars, 'reverted') }}"
    rollback_on_failure: true
  run_once: true
"""

RETURN = r"""
msg:
  description: The report, with one line for each fact.
  type: str
  returned: always
"""
