#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_variables
short_description: Check the variables of an inventory
version_added: "0.1.0"
description:
  - Checks the variables that begin with C(dask_) of all hosts in the groups C(dask_scheduler), C(dask_workers) and
    C(dask_clients). Fails with all unknown names and invalid values, each with its hosts and its remedy.
  - Runs on the controller and connects to no host, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Check every variable
  daskops.cluster.check_variables:
  run_once: true
"""

RETURN = r"""
msg:
  description: The invalid variables and what to change, one line each.
  type: str
  returned: failure
  sample: dask_tls_days, set for all hosts, is '0'. Give a whole number, 1 to 3650.
"""
