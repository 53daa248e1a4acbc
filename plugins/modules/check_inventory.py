#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_inventory
short_description: Check an inventory as a whole
version_added: "0.1.0"
description:
  - Checks that the groups C(dask_scheduler) and C(dask_workers) make a cluster, that none of their hosts runs Windows, and
    that hosts agree on what holds for the whole cluster. Fails with all that is wrong, each with its remedy.
  - Runs on the controller and asks no host anything, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options: {}
"""

EXAMPLES = r"""
- name: Check the inventory as a whole
  daskops.cluster.check_inventory:
  run_once: true
"""

RETURN = r"""
msg:
  description: What is wrong with the inventory and what to change, a line each.
  type: str
  returned: failure
  sample: The group dask_workers has no host. Put at least one in it.
"""
