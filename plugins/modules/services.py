#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Change a host's Dask services to a release
version_added: "0.1.0"
description:
  - Compares the releases of the host's running services with the planned release, and restarts the services that differ.
  - Also updates the unit files, the host's C(current) link and the units that start at boot. Stops and removes units that
    are no longer planned.
  - Writes all files before it stops a service. If a file cannot be written, no service is stopped. If the switch fails, the
    services that ran before are started again.
  - Succeeds only when every service has reported readiness to systemd. Otherwise fails with the last lines of the journal.
  - Finally removes the releases and environments that the host no longer needs, except those that a process uses.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
  - daskops.cluster.services
options:
  plan:
    description:
      - Result of M(daskops.cluster.plan), with the id of the host's release. Required for V(started) and V(restarted).
      - The module reads the services and unit files of the release on the host, where M(daskops.cluster.release) has staged
        it. In check mode, the release may not be staged, so the controller renders them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Run the release
  daskops.cluster.services:
    home: /opt/dask
    plan: "{{ plan }}"
    kind: scheduler

- name: Drain and stop the workers
  daskops.cluster.services:
    home: /opt/dask
    state: stopped
    kind: worker
"""

RETURN = r"""
restarted:
  description:
    - The services that did not run the planned release and were restarted or started.
    - In check mode, the services that would be.
  type: list
  elements: str
  returned: always
removed:
  description:
    - The running services that are no longer planned and were stopped.
    - In check mode, the services that would be.
  type: list
  elements: str
  returned: always
pruned:
  description: Paths of the releases, environments and managed Pythons that were removed.
  type: list
  elements: str
  returned: changed, unless in check mode or to stop services
"""
