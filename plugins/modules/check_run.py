#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_run
short_description: Check the groups, the limit and the tags of a run
version_added: "0.1.0"
description:
  - Fails if a run would succeed without doing anything. This happens if the groups C(dask_scheduler) and C(dask_workers)
    have no host, if C(--limit) leaves no host of the groups for O(purpose), or if no playbook of the run has a tag of
    C(--tags) or C(--skip-tags), or a task for V(never), V(tagged) or V(untagged) in C(--tags).
  - Fails if a group's name resembles the name of a group of the collection, and its hosts are in none of these groups, or
    the group with the right name has no host.
  - Reads the tags of all playbooks of the run, also of playbooks that import those of the collection. If a task of the user
    includes a role or a file at run time, the tags of that role or file are unknown. Then an unknown tag is only a warning.
  - Runs on the controller and connects to no host, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  purpose:
    description:
      - Purpose of the run; see O(daskops.cluster.plan#module:purpose). With V(connect), the run works on the accounts of
        clients.
    type: str
    default: change
"""

EXAMPLES = r"""
- name: Check the groups, the limit and the tags
  daskops.cluster.check_run:
  run_once: true
"""

RETURN = r"""
msg:
  description: The problems and what to change, one line each.
  type: str
  returned: failure
  sample: "--tags: this playbook has no tag 'heath'. Did you mean health? There are config, health, versions."
"""
