#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Print lines as text
version_added: "0.1.0"
description:
  - Prints each line as it is. C(ansible.builtin.debug) prints a list in JSON, in which tables are hard to read.
  - With O(plan), also prints the services that the run started, restarted or stopped, and how long the run took.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  lines:
    description: Lines of text.
    type: list
    elements: str
    required: true
  problems:
    description: The problems among O(lines). If there are any, the module fails.
    type: list
    elements: str
    default: []
  plan:
    description: Result of M(daskops.cluster.plan), of a run that changes or stops services.
    type: dict
"""

EXAMPLES = r"""
- name: Show the plan
  daskops.cluster.report:
    lines: "{{ plan | daskops.cluster.plan_table(ansible_play_hosts_all) }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines.
  type: list
  elements: str
  returned: if there are no problems, which would be shown a second time
"""
