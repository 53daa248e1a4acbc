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
  - Fails where a run would do nothing and end well - without a host in the groups C(dask_scheduler) and C(dask_workers),
    with a C(--limit) that leaves no host of O(groups), or with C(--tags) or C(--skip-tags) that no playbook of the run has.
  - Fails for a group whose name is nearly that of a group of the collection, and whose hosts are in none of these.
  - Knows the tags of all playbooks of the run, also of those that import the collection's. If a user's own task includes a
    role or a file while it runs, the tags in it are unknown, and an unknown tag is a warning.
  - Runs on the controller and asks no host anything, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  groups:
    description: The groups that the playbook works on, or V(localhost).
    type: list
    elements: str
    default: [dask_scheduler, dask_workers]
"""

EXAMPLES = r"""
- name: Check the groups, the limit and the tags
  daskops.cluster.check_run:
  run_once: true
"""

RETURN = r"""
msg:
  description: What is wrong and what to change, a line each.
  type: str
  returned: failure
  sample: "--tags: this playbook has no tag 'heath'. Did you mean health? There are config, health, versions."
"""
