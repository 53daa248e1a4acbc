#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: report_change
short_description: Fail with what was put back
version_added: "0.1.0"
description:
  - Fails, always, with what was wrong with a batch of worker hosts, the last lines of their journals, what was put back, and
    what runs now.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  failures:
    description: What was wrong, as M(daskops.cluster.judge_change) returned it.
    type: list
    elements: str
    required: true
  plan:
    description: What M(daskops.cluster.plan) returned.
    type: dict
    required: true
  reverted:
    description: Result of M(daskops.cluster.revert_workers), by host of the batch.
    type: dict
    required: true
  rollback_on_failure:
    description: Whether hosts are put back at all.
    type: bool
    required: true
  scheduler_change:
    description: What M(daskops.cluster.change_scheduler) returned in this run; empty if it did not change.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what failed and what runs now
  daskops.cluster.report_change:
    failures: "{{ judged.failures }}"
    plan: "{{ plan }}"
    reverted: "{{ ansible_play_batch | daskops.cluster.by_host(hostvars, 'reverted') }}"
    rollback_on_failure: true
  run_once: true
"""

RETURN = r"""
msg:
  description: All of it, in lines.
  type: str
  returned: always
"""
