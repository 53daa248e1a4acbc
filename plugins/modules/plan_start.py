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
  - Services that are stopped have nothing to lose, so the scheduler and all workers can be started at the same time.
  - Nothing is started at once if a service is not installed where it should be, if the scheduler's host is not among the
    hosts of the run, if that host has not given the lock of the cluster to this run, or if the run's tags leave out
    the scheduler or the workers.
  - Runs on the controller, so one host of the play is enough (C(run_once)).
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  hosts:
    description: What M(daskops.cluster.start_stopped) returned, by host.
    type: dict
    required: true
  scheduler:
    description: The scheduler's host; empty for a scheduler that another system runs.
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
  description: Whether the scheduler's host has given the lock of the cluster to this run.
  type: bool
  returned: always
hosts:
  description: The kinds of service to start, by host.
  type: dict
  returned: always
  sample: {node1: [scheduler], node2: [worker]}
"""
