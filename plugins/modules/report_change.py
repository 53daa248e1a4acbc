#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: report_change
short_description: Fail with what went wrong and what runs now
version_added: "0.1.0"
description:
  - Fails with a message about a change that M(daskops.cluster.judge_change) found wrong - why, the last lines of the
    journal, what was put back and what was not, and what runs now.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Fails in either mode.
  diff_mode:
    support: none
    description: There is no change to show.
options:
  kind:
    description: Kind of the services that were changed.
    type: str
    choices: [scheduler, worker]
    required: true
  failures:
    description: What was wrong, as M(daskops.cluster.judge_change) returned it.
    type: list
    elements: str
    required: true
  journals:
    description: Result, by host, of the task that read the journal.
    type: dict
    required: true
  ways:
    description: The release that each host goes back to, as P(daskops.cluster.way_back#filter) returned it.
    type: dict
    required: true
  results:
    description: Result, by host, of the task that put it back; skipped where there was nothing to go back to.
    type: dict
    required: true
  enabled:
    description: Whether hosts are put back at all.
    type: bool
    required: true
  scheduler:
    description:
      - What is to be said of the scheduler.
      - After a change of workers C(seen), what M(daskops.cluster.host_info) returned of its host, C(turn), the result of
        its own change, C(wanted), the release of its service, and C(back), whether this is a way back.
      - After its own change C(served) and C(expected), as M(daskops.cluster.judge_change) returned them, C(again), the
        answer of M(daskops.cluster.cluster_health) since, and the results C(stopped) and C(workers) of stopping it and of
        putting back the workers of its host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what failed and what runs now
  daskops.cluster.report_change:
    kind: worker
    failures: "{{ judged.failures }}"
    journals: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'journal'))) }}"
    ways: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'way'))) }}"
    results: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'put_back'))) }}"
    enabled: true
    scheduler: {seen: {}, turn: {}, wanted: "", back: false}
  run_once: true
"""

RETURN = r"""
msg:
  description: All of it, in lines.
  type: str
  returned: always
"""
