#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_files
short_description: Write the files with which an account connects, with the cluster's client certificate
version_added: "0.1.0"
description:
  - Reads the client certificate and its key on the controller, in the variable C(dask_tls_files) or in the directory of the
    certificates, and runs M(daskops.cluster.client_bundle).
  - If the key of the CA is in C(dask_tls_files) and the controller has no client certificate, or one that expires soon,
    makes one in the directory of the certificates. Certificates of different controllers are valid at the same time.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports what would change.
  diff_mode:
    support: full
    description: Shows the configuration file and the names of the other files.
options:
  connection:
    description: C(connection) in the result of M(daskops.cluster.plan).
    type: dict
    required: true
  directory:
    description: See M(daskops.cluster.client_bundle).
    type: path
    default: ~/.config/dask
  state:
    description: See M(daskops.cluster.client_bundle).
    type: str
    choices: [present, absent]
    default: present
  preload:
    description: See M(daskops.cluster.client_bundle).
    type: str
"""

EXAMPLES = r"""
- name: Let ada connect
  daskops.cluster.client_files:
    connection: "{{ __dask_plan.connection }}"
    preload: "{{ lookup('ansible.builtin.file', 'daskops_client.py') }}"
"""

RETURN = r"""
directory:
  description: Directory of the files, as an absolute path.
  type: str
  returned: success
files:
  description: Names of the files that were written or removed.
  type: list
  elements: str
  returned: success
other:
  description: Address of the other cluster to which the files belong, so that they were not removed.
  type: str
  returned: with O(state=absent), if the files belong to another cluster
"""
