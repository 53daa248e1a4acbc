#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_services
short_description: Tell which Dask services do not run
version_added: "0.1.0"
description:
  - Tells which services of hosts are stopped or were never installed, and which hosts could not be reached. Fails if the
    scheduler does not run, for then there is nobody to ask how the cluster is.
  - With O(before_start), fails if the run would start workers that have no scheduler to join, because O(scheduler) is not
    installed or stopped, and the run's C(--limit) or C(--tags) leave it out.
  - Runs on the controller; what M(daskops.cluster.host_info) reported is all that it knows of the hosts, so one host of the
    play is enough (C(run_once)).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  scheduler_info:
    description: What M(daskops.cluster.host_info) returned for the scheduler's host, where it is not in the run.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Tell what does not run
  daskops.cluster.check_services:
  run_once: true
"""

RETURN = r"""
down:
  description: What does not run, a sentence for each state.
  type: list
  elements: str
  returned: success
  sample: ["All services are stopped on node2. Run start.yml."]
msg:
  description: What is in the way and what to do, a line each.
  type: str
  returned: failure
  sample: The cluster is stopped. Run start.yml.
"""
