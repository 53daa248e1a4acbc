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
  - Looks at the services of the release that a host was last told to run, and starts those of O(kinds) if none of the kind
    runs and systemd would start them as the release has it.
  - Leaves everything else to M(daskops.cluster.services).
  - Runs a shell command on the host, which takes a tenth of the time that a module takes.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Looks, and starts nothing.
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
    description: Seconds to wait until the services serve that were started. That they do not is no failure.
    type: int
    default: 0
  lock_timeout:
    description:
      - Seconds to wait for the lock of the cluster, which is taken on this host as M(daskops.cluster.cluster_lock) does.
      - No lock is taken if omitted. The other hosts of the task need not wait for it to be looked at.
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
    - What the services of each kind do that the release has, before any of them was started.
    - V(stopped) if none runs, V(differs) if none runs and systemd would start them with other settings than the release's,
      V(running) otherwise.
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
  description: Whether this host has given the lock of the cluster to this run.
  type: bool
  returned: always
"""
