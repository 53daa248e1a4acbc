#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: application
short_description: Install the user's own code beside the environments
version_added: "0.1.0"
description:
  - Installs the wheels of the user's application in a directory whose name is derived from its content. Services of a
    release with this application import from there.
  - The directory appears only when the application is complete, and is never changed afterwards. An interrupted
    installation leaves no directory of that name.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports whether the application would be installed.
  diff_mode:
    support: full
    description: Shows the wheels that are added, removed or changed.
options:
  home:
    description: Directory of the collection on the host; the application becomes C(applications/ID) below it.
    type: path
    required: true
  plan:
    description: What M(daskops.cluster.plan) returned, with the id of the application and its archive.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Install the application
  daskops.cluster.application:
    home: /opt/dask
    plan: "{{ plan }}"
"""

RETURN = r"""
application:
  description: The application; empty in check mode if it would be installed.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
    packages:
      description: Version by distribution.
      type: dict
  sample:
    id: 7b1d0f3c5e9a
    packages: {analysis: "1.4"}
"""
