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
  - Checks that the groups C(dask_scheduler) and C(dask_workers) form a cluster, and that none of their hosts runs Windows.
    Checks that variables of the whole cluster have the same value on all hosts.
  - Fails with all problems and their remedies.
  - Runs on the controller and connects to no host, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
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
  description: The problems of the inventory and what to change, one line each.
  type: str
  returned: failure
  sample: The group dask_workers has no host. Put at least one in it.
"""
