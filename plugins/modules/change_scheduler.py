#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: change_scheduler
short_description: Change the scheduler to the planned release
version_added: "0.1.0"
description:
  - Executes M(daskops.cluster.services) for the scheduler. Then waits, with M(daskops.cluster.cluster_health), until the
    scheduler serves and its workers are registered again.
  - Does not wait for workers that may have to change first. If the scheduler's address or its version of distributed has
    changed, these are all workers. Otherwise, these are the workers on the scheduler's host that the new release changes.
  - If the health check fails or the connection is lost, reverts the scheduler to the release that served before, and fails
    with a report.
  - Does not change a scheduler that has work.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.change
options:
  before:
    description:
      - Result of M(daskops.cluster.cluster_health) before the change. The scheduler has work if C(idle) is false.
      - Empty if the scheduler does not serve or is not restarted.
    type: dict
    default: {}
  restart:
    description:
      - When to restart a scheduler that has work.
      - V(idle) does not change the scheduler in this run. V(now) restarts it, and its work is lost.
    type: str
    choices: [idle, now]
    default: idle
  summary_route:
    description: Whether the scheduler reports its release, which then must be the planned one.
    type: bool
    default: true
  health_timeout:
    description: Seconds to wait until the scheduler and its workers are healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Change the scheduler
  daskops.cluster.change_scheduler:
    home: /opt/dask
    plan: "{{ plan }}"
    before: "{{ health }}"
"""

RETURN = r"""
pending:
  description: Whether the scheduler keeps its release because it has work.
  type: bool
  returned: success
older:
  description: Whether the scheduler runs an older release than the workers.
  type: bool
  returned: success
restarted:
  description: The units that were restarted; see RV(daskops.cluster.services#module:restarted).
  type: list
  elements: str
  returned: unless the scheduler is pending
"""
