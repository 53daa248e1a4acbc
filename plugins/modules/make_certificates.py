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
  - Works in a directory of the controller. C(ca.pem) is the CA, C(previous-ca.pem) a CA that is still trusted. C(scheduler),
    C(client) and C(workers/HOST) each have a C(.pem) and a C(.key).
  - Makes certificates that are missing, that expire within C(dask_tls_warn_days) days, or that lack a current name or
    address of their host. A CA of the collection is replaced if it expires within twice as many days. The previous CA signs
    the new one, and stays trusted until it has expired.
  - Writes all files or none. Only one run at a time makes certificates in a directory; a second one waits for a minute.
  - With C(dask_tls_certificates=own), checks your own certificates, C(scheduler), C(client) and, for worker hosts,
    C(workers/HOST) or C(worker). Changes nothing.
  - Tests the certificates in TLS handshakes in memory, for each of their uses. Rejects unusable ones with the file, the
    reason and what to do.
  - Connects to no host, so one host of the play is enough (C(run_once)). Needs the Python package cryptography, 3.4 or
    newer, on the controller.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Checks the certificates, and reports which would be made.
  diff_mode:
    support: full
    description: Shows the names of the files that are made, not their content.
options:
  plan:
    description: Result of M(daskops.cluster.plan), with the directory, the names and the validity of certificates.
    type: dict
    required: true
  rotation:
    description:
      - Empty to make what is missing or expires soon. V(authority) to make a new CA, unless a rotation has already begun.
        V(certificates) to make new certificates. V(finish) to end the trust in the previous CA.
    type: str
    choices: ["", certificates, authority, finish]
    default: ""
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
  description: Whether a CA was made, or in check mode would be.
  type: bool
  returned: success
needed:
  description: Whether files were made or removed, or in check mode would be.
  type: bool
  returned: always
certificates:
  description: Names of the certificates that were made, or in check mode would be.
  type: list
  elements: str
  returned: success
  sample: [client, scheduler, workers/node1]
outdated:
  description: The hosts that do not have these certificates, or whose services have not read them.
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
