#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: change_scheduler
short_description: Make the scheduler run its planned release
version_added: "0.1.0"
description:
  - Executes M(daskops.cluster.services) for the scheduler, and then asks the scheduler, with
    M(daskops.cluster.cluster_health), whether it serves and has its workers again. Leaves out the workers that may have to
    change first - all of them if the scheduler's address or its version of distributed has changed, and those of its own
    host that the new release changes.
  - Puts the scheduler back to the release that served before if the answer is no, if the scheduler cannot be asked, or if
    the connection is lost. Then it fails, and says what failed and what runs now.
  - Leaves a scheduler alone that has work.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.change
options:
  before:
    description:
      - What M(daskops.cluster.cluster_health) returned before the change; empty for a scheduler that does not serve or is
        not restarted. The scheduler has work if C(idle) is false.
    type: dict
    default: {}
  summary_route:
    description: Whether the scheduler tells its release.
    type: bool
    default: true
  health_timeout:
    description: Seconds that the scheduler and its workers may take until the answer is yes.
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
  description: Whether the scheduler was restarted; see RV(daskops.cluster.services#module:restarted).
  type: list
  elements: str
  returned: unless the scheduler is pending
"""
