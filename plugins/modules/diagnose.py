#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Judge what was found out about the hosts and their network
version_added: "0.1.0"
description:
  - Judges the results of M(daskops.cluster.host_info) and M(daskops.cluster.doctor_info) of all hosts, which the playbook
    C(doctor.yml) registers.
  - Can write them into an archive, in which secrets are masked, for someone who helps.
  - Runs on the controller, for all hosts at once (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Writes no archive in check mode.
  diff_mode:
    support: none
    description: The module changes no host.
options:
  plan:
    description: Result of M(daskops.cluster.plan) for the purpose V(show).
    type: dict
    required: true
  bundle:
    description: File on the controller for the archive; empty for none.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Judge the hosts
  daskops.cluster.diagnose:
    plan: "{{ __dask_plan }}"
  run_once: true
  register: found
"""

RETURN = r"""
findings:
  description:
    - The findings, each with C(code), C(severity), C(hosts), C(text) and C(remedy).
    - The severity is V(error), V(warning) or V(note).
  type: list
  elements: dict
  returned: success
lines:
  description: The findings as lines of text, a summary, and why the archive could not be written.
  type: list
  elements: str
  returned: success
errors:
  description: The lines of findings with the severity V(error), and why the archive could not be written.
  type: list
  elements: str
  returned: success
"""
