#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_start
short_description: Decide which Dask services of a cluster can be started at once
version_added: "0.1.0"
description:
  - If all services are stopped, no work can be lost, so the scheduler and all workers can be started at the same time.
  - Starts nothing at once if a host lacks a service that it should have, or if the scheduler's host is not in the run.
    Starts nothing at once if this run does not hold the lock of the cluster on the scheduler's host, or if its tags exclude
    the scheduler or the workers.
  - Runs on the controller, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  hosts:
    description: Result of M(daskops.cluster.start_stopped), by host.
    type: dict
    required: true
  scheduler:
    description: The scheduler's host. Empty if another system runs the scheduler.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Decide which services can start
  daskops.cluster.plan_start:
    hosts:
      node1: {states: {scheduler: stopped}, held: true}
      node2: {states: {worker: stopped}, held: false}
    scheduler: node1
  run_once: true
"""

RETURN = r"""
held:
  description: Whether this run holds the lock of the cluster on the scheduler's host.
  type: bool
  returned: always
hosts:
  description: The kinds of service to start, by host.
  type: dict
  returned: always
  sample: {node1: [scheduler], node2: [worker]}
"""
