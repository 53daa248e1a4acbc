#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: revert_workers
short_description: Revert the workers of a host to the previous release
version_added: "0.1.0"
description:
  - Reads the journal of the workers, unless M(daskops.cluster.services) has already reported it. Then executes
    M(daskops.cluster.services) for the release that served before the change, if there is one.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.change
options:
  change:
    description: Result of M(daskops.cluster.services) for the change that failed.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Revert the batch to the previous release
  daskops.cluster.revert_workers:
    home: /opt/dask
    plan: "{{ plan }}"
    change: "{{ change }}"
"""

RETURN = r"""
journal:
  description: The last lines of the workers' journal; empty if it was already reported or cannot be read.
  type: str
  returned: always
release:
  description: Id of the release that served before the change; empty if there is none.
  type: str
  returned: always
"""
