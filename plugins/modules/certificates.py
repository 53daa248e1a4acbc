#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Install the certificates of a host's Dask services
version_added: "0.1.0"
description:
  - Reads a CA and certificates on the controller, or in the variable C(dask_tls_files). Writes the ones that the host's
    services need below C(tls) in O(home). Only O(user) can read private keys.
  - Sends nothing to the host if M(daskops.cluster.host_info) has reported the same certificates.
  - Reloads running services that have loaded other certificates. A reload does not interrupt their work.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Reports which files would be written and which services would be reloaded.
  diff_mode:
    support: full
    description: Shows the name and the SHA-256 of each file, not its content.
options:
  user:
    description: Account that the services run as.
    type: str
    required: true
  directory:
    description: Directory of the certificates on the controller; see M(daskops.cluster.make_certificates).
    type: path
    required: true
  kinds:
    description: Kinds of the services on the host, V(scheduler) or V(worker).
    type: list
    elements: str
    required: true
  made:
    description:
      - Whether the collection made the certificates. If V(true), every worker host has its own certificate.
      - If V(false), a worker host can have its own certificate or share one with other hosts.
    type: bool
    required: true
  planned:
    description: Names of certificates that an earlier task would make in check mode, such as C(ca).
    type: list
    elements: str
    default: []
  kept:
    description:
      - Names of certificates that M(daskops.cluster.make_certificates) has accepted on their hosts. Their files are not
        written.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Install the certificates
  daskops.cluster.certificates:
    home: /opt/dask
    user: dask
    directory: dask-tls
    made: true
    kinds: [worker]
"""

RETURN = r"""
written:
  description: The files that were written or removed. In check mode, the files that would be.
  type: list
  elements: str
  returned: success
reloaded:
  description: The services that were reloaded. In check mode, the services that would be.
  type: list
  elements: str
  returned: success
current:
  description: Digest of the installed certificates by kind of service. A service reports it after it has loaded them.
  type: dict
  returned: success, except in check mode if a certificate would be made
  sample: {worker: 9f3c2e7a1b50}
"""
