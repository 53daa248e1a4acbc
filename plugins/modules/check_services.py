#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_services
short_description: Report the Dask services that do not run
version_added: "0.1.0"
description:
  - Reports the services that are stopped or not installed, and the hosts that could not be reached. Fails if the scheduler
    does not run, because then the state of the cluster is unknown.
  - Runs on the controller with the results of M(daskops.cluster.host_info), so one host of the play is enough
    (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  maintenance:
    description: The hosts in maintenance, whose services are stopped on purpose.
    type: list
    elements: str
    default: []
  scheduler_info:
    description: Result of M(daskops.cluster.host_info) for the scheduler's host, if that host is not in the run.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Report the services that do not run
  daskops.cluster.check_services:
  run_once: true
"""

RETURN = r"""
stopped:
  description: A sentence for each state in which services do not run.
  type: list
  elements: str
  returned: success
  sample: ["All services are stopped on node2. Run start.yml."]
msg:
  description: The problems and what to do, one line each.
  type: str
  returned: failure
  sample: The cluster is stopped. Run start.yml.
"""
