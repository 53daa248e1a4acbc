#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: start_stopped
short_description: Start the Dask services of a host that are stopped
version_added: "0.1.0"
description:
  - Inspects the services of the host's current release. Starts the services of each kind in O(kinds), if none of that kind
    runs and its unit files are those of the release.
  - Changes nothing else. For all other changes, use M(daskops.cluster.services).
  - Runs a shell command on the host, which takes a tenth of the time of a module.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Inspects the services and starts none.
  diff_mode:
    support: none
    description: No file is changed.
options:
  kinds:
    description: The kinds of service to start.
    type: list
    elements: str
    choices: [scheduler, worker]
    default: []
  wait:
    description: Seconds to wait until the started services serve. The module succeeds even if they do not.
    type: int
    default: 0
  lock_timeout:
    description:
      - Seconds to wait for the lock of the cluster on this host, as with M(daskops.cluster.cluster_lock).
      - If omitted, no lock is taken. Other hosts of the task are inspected while this host waits for the lock.
    type: int
"""

EXAMPLES = r"""
- name: Start the workers of the host
  daskops.cluster.start_stopped:
    home: /opt/dask
    kinds: [worker]
"""

RETURN = r"""
states:
  description:
    - State of the services before the module started any of them, by kind of service in the release.
    - V(stopped) and V(differs) mean that none runs. With V(differs), the unit files are not those of the release.
    - V(running) in all other cases.
  type: dict
  returned: always
  sample: {scheduler: running, worker: stopped}
started:
  description: The kinds whose services were started.
  type: list
  elements: str
  returned: always
  sample: [worker]
held:
  description: Whether this run holds the lock of the cluster on this host.
  type: bool
  returned: always
"""
