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
  - Makes what is missing, what expires within O(warn_days) days, and what does not name a host's present names and
    addresses. A CA of the collection is replaced when it expires within twice as many days; the previous one signs it, and
    stays trusted until it has expired.
  - Writes all files or none. Only one run at a time makes certificates in a directory; a second one waits for a minute.
  - With O(made=false), checks certificates of your own, C(scheduler), C(client) and, for worker hosts, C(workers/HOST) or
    C(worker). Changes nothing.
  - Tries the certificates in handshakes in memory, in every role that they have. Rejects what cannot be used, with the
    file, the reason and what to do.
  - Asks no host anything, so one host of the play is enough (C(run_once)). Needs the Python package cryptography, 3.4 or
    newer, on the controller.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Checks, and tells what would be made.
  diff_mode:
    support: full
    description: Names the files that are made. No content is shown.
options:
  plan:
    description: What M(daskops.cluster.plan) returned, with the directory and the names that certificates must be for.
    type: dict
    required: true
  made:
    description: Whether they are made. If not they are your own, and all must be there.
    type: bool
    required: true
  joins:
    description: Whether the scheduler is one that somebody else runs, who then has the CA.
    type: bool
    default: false
  rotation:
    description:
      - Empty for what is missing or expires soon. V(authority) for a new CA, unless a rotation with one was begun.
        V(certificates) for new certificates. V(finish) to trust the previous CA no more.
    type: str
    choices: ["", certificates, authority, finish]
    default: ""
  days:
    description: Days that new certificates are valid. They are valid from a day before they are made.
    type: int
    default: 365
  warn_days:
    description: Days before its end from which on a certificate is renewed, or, if it is your own, warned of.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Make the certificates of a cluster
  daskops.cluster.make_certificates:
    plan: "{{ plan }}"
    made: true
  run_once: true
  register: made

- name: Say what was made
  ansible.builtin.debug:
    msg: "{{ made.report }}"
"""

RETURN = r"""
authority:
  description: Whether a CA was (in check mode - would be) made.
  type: bool
  returned: success
needed:
  description: Whether something was (in check mode - would be) made or removed.
  type: bool
  returned: always
certificates:
  description: Names of the certificates that were (in check mode - would be) made.
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
  description: What was made and why, a line each reason.
  type: str
  returned: success
  sample: "New certificates: scheduler, client (expires on 2027-03-01 12:00 UTC)."
msg:
  description: What cannot be used, and what to do instead, one problem a line.
  type: str
  returned: failure
"""
