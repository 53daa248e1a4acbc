#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_info
short_description: Report properties of a host that can disturb a Dask cluster
version_added: "0.1.0"
description:
  - Reports what M(daskops.cluster.host_info) does not need - limits, memory and disks, other installations, name resolution,
    and whether this host reaches the ports of other hosts - in one execution. Works on blank hosts, too. Changes nothing.
  - Reads what to try and to examine from the plan and from the variables of the collection.
  - The controller validates the type and the format of each returned value, and replaces invalid ones by empty ones.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  plan:
    description: Result of M(daskops.cluster.plan) for the purpose V(show).
    type: dict
    required: true
  journal:
    description: Lines of the journal of the collection's units to return; 0 for none.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Examine the host
  daskops.cluster.doctor_info:
    plan: "{{ __dask_plan }}"
  register: __dask_result
"""

RETURN = r"""
msg:
  description: Why the host could not be examined.
  type: str
  returned: failure
invalid:
  description: The names of invalid values, which are empty here.
  type: list
  elements: str
  returned: success
connections:
  description:
    - The results of connections to other hosts. This and the other keys are those of M(daskops.cluster.examine_host).
  type: list
  elements: str
  returned: success
"""
