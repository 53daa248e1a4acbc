#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: make_certificates
short_description: Check a cluster's certificates, and make those that are missing or expire soon
version_added: "0.1.0"
description:
  - Works in a directory of the controller, C(certificates.directory) in the result of M(daskops.cluster.plan). In it,
    C(ca.pem) is the CA, and C(previous-ca.pem) is a previous CA that is still trusted. C(scheduler), C(client) and
    C(workers/HOST) each have a certificate, C(.pem), and a private key, C(.key).
  - Makes certificates that are missing, that expire within C(dask_tls_warn_days) days, or that lack a current name or
    address of their host. Replaces the collection's CA if it expires within twice as many days. The previous CA signs the
    new one, and stays trusted until it expires.
  - Uses the variable C(dask_tls_files), which is not an argument, so that callback plugins cannot show it. Its texts replace
    files of the directory. If it has the CA, hosts keep their good certificates, and the CA is never replaced.
  - Writes all files or none. Only one run at a time makes certificates in a directory. Other runs wait for up to a minute.
  - With C(dask_tls_certificates=own), checks the user's own certificates and changes nothing. They are C(scheduler),
    C(client) and, for worker hosts, C(workers/HOST) or C(worker).
  - Tests each certificate in TLS handshakes in memory, for each of its uses. Fails with the file, the reason and the remedy
    if a certificate is not usable.
  - Connects to no host, so one host of the play is enough (C(run_once)). Needs the Python package cryptography, 3.4 or
    newer, on the controller.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Checks the certificates, and reports those that would be made.
  diff_mode:
    support: full
    description: Shows the names of the new files, not their content.
options:
  plan:
    description: Result of M(daskops.cluster.plan). It contains the directory, the names and the validity of certificates.
    type: dict
    required: true
  rotation:
    description:
      - Empty to make certificates that are missing or expire soon.
      - V(certificates) makes all certificates again. V(authority) also makes a new CA, unless a rotation has already begun.
      - V(finish) ends the trust in the previous CA.
      - V(reissue) makes a new CA like V(authority) if the key of the previous one is lost. All hosts must trust the same CA.
    type: str
    choices: ["", certificates, authority, finish, reissue]
    default: ""
  installed:
    description: Whether the run has just installed the CA on all hosts.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make the certificates of a cluster
  daskops.cluster.make_certificates:
    plan: "{{ plan }}"
  run_once: true
  register: made

- name: Report the new certificates
  ansible.builtin.debug:
    msg: "{{ made.report }}"
"""

RETURN = r"""
authority:
  description: Whether a CA was made. In check mode, whether it would be.
  type: bool
  returned: success
needed:
  description: Whether files were made or removed. In check mode, whether they would be.
  type: bool
  returned: always
certificates:
  description: Names of the certificates that were made. In check mode, of those that would be.
  type: list
  elements: str
  returned: success
  sample: [client, scheduler, workers/node1]
outdated:
  description: The hosts that do not have the current certificates, or whose services have not loaded them.
  type: list
  elements: str
  returned: success
kept:
  description: Names of the certificates that stay on their hosts as they are.
  type: list
  elements: str
  returned: success
report:
  description: The new certificates, one line for each reason.
  type: str
  returned: success
  sample: "New certificates: scheduler, client (expires on 2027-03-01 12:00 UTC)."
msg:
  description: The problems and what to do, one line each.
  type: str
  returned: failure
"""
