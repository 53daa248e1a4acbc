#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_change
short_description: Say what is wrong with a change of services
version_added: "0.1.0"
description:
  - Looks at what the tasks that changed hosts have returned and, if they all went well, asks the cluster with
    M(daskops.cluster.cluster_health).
  - A cluster that cannot be asked, for whatever reason, counts as one that says no. So this never fails; look at
    RV(failures).
  - Of a restarted scheduler it asks whether it serves and has the workers again that it had before. Workers are left out
    that may have to change first - all, when the scheduler's address or its version of distributed has changed; and those of
    its own host that the new release changes.
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
  kind:
    description: Kind of the services that were changed.
    type: str
    choices: [scheduler, worker]
    required: true
  results:
    description: Result of M(daskops.cluster.services) by host. It may have failed, or the host may be unreachable.
    type: dict
    required: true
  gate:
    description:
      - Arguments for M(daskops.cluster.cluster_health). Empty if nothing was changed that it would have to be asked about.
    type: dict
    default: {}
  before:
    description: Of a scheduler, what M(daskops.cluster.cluster_health) returned before the change.
    type: dict
  seen:
    description: Of a scheduler, what M(daskops.cluster.host_info) returned before the change.
    type: dict
  release:
    description: Of a scheduler, the release of the change.
    type: dict
"""

EXAMPLES = r"""
- name: Ask the cluster about a batch of hosts
  daskops.cluster.judge_change:
    kind: worker
    results: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'turn'))) }}"
    gate:
      url: http://10.0.0.1:8787
      count: 2
      timeout: 60
  delegate_to: scheduler
  run_once: true
  register: judged

- name: Stop if something is wrong
  ansible.builtin.fail:
    msg: "{{ judged.failures | join(' ') }}"
  when: judged.failures | length > 0
"""

RETURN = r"""
failures:
  description: What is wrong, a sentence for each; empty if the change went well.
  type: list
  elements: str
  returned: always
gate:
  description: What M(daskops.cluster.cluster_health) returned; empty if it was not asked.
  type: dict
  returned: always
expected:
  description: The workers that a scheduler must have again when it goes back.
  type: list
  elements: dict
  returned: always
served:
  description: Whether any release of a scheduler has served on its host.
  type: bool
  returned: for a scheduler
"""
