#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_certificates
short_description: Tell which certificates of a cluster are to be made
version_added: "0.1.0"
description:
  - Looks at a directory of the controller. C(ca.pem) is the authority, C(previous-ca.pem) one that is still trusted;
    C(scheduler), C(worker) and C(client) each have a C(.pem) and a C(.key).
  - Refuses what cannot be used, with the file and the reason.
  - Runs on the controller, and asks no host anything, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors
attributes:
  check_mode:
    support: full
    description: Reports a change if something is to be made, since what makes it does not run in check mode.
  diff_mode:
    support: full
    description: In check mode, shows the files that are to be made.
options:
  directory:
    description: Where the certificates are.
    type: path
    required: true
  made:
    description: Whether they are made. If not they are somebody's own, and all must be there.
    type: bool
    required: true
  scheduler_hosts:
    description: Names and addresses that the scheduler's certificate must be for.
    type: list
    elements: str
    required: true
  authorities:
    description: By host the fingerprints of the authorities that it trusts, as M(daskops.cluster.host_info) returned them.
    type: dict
    default: {}
  joins:
    description: Whether the scheduler is one that somebody else runs, who then has the authority.
    type: bool
    default: false
  rotation:
    description:
      - Empty for what is missing. V(authority) for a new authority, unless a rotation with one was begun.
        V(certificates) for new certificates. V(finish) to trust the previous authority no more.
    type: str
    choices: ["", certificates, authority, finish]
    default: ""
"""

EXAMPLES = r"""
- name: Look at the certificates
  daskops.cluster.plan_certificates:
    directory: dask-tls
    made: true
    scheduler_hosts: [10.0.0.1, scheduler.example.org]
  run_once: true
  register: plan

- name: Show what is missing
  ansible.builtin.debug:
    var: plan.certificates
"""

RETURN = r"""
authority:
  description: Whether an authority is to be made.
  type: bool
  returned: always
previous:
  description: Whether there is an authority so far.
  type: bool
  returned: always
certificates:
  description: Names of the certificates to be made.
  type: list
  elements: str
  returned: always
  sample: [client, scheduler, worker]
msg:
  description: What cannot be used, and what to do instead, one problem a line.
  type: str
  returned: failure
"""
