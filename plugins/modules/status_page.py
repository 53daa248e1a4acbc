#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: status_page
short_description: Write the status of a cluster into files on the controller
version_added: "0.1.0"
description:
  - Writes the status of the cluster as an HTML page and as JSON. Replaces the files atomically. New files have the mode
    0644, and existing files keep their mode.
  - Runs on the controller with the results of M(daskops.cluster.host_info), so one host of the play is enough
    (C(run_once)).
  - Escapes all values in the page, because most of them come from hosts, workers and clients.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Writes nothing in check mode.
  diff_mode:
    support: full
    description: Shows the changes of both files.
options:
  page:
    description: File for the HTML page; empty for none.
    type: path
    default: ""
  json:
    description: File for the JSON; empty for none.
    type: path
    default: ""
  plan:
    description: Result of M(daskops.cluster.plan), of a run that changes nothing.
    type: dict
    required: true
  changes:
    description:
      - Result of M(daskops.cluster.plan) for the purpose V(change), which may be failed. By default, the module plans it.
    type: dict
  health:
    description: Result of M(daskops.cluster.cluster_health), or of M(daskops.cluster.check_services) if it failed.
    type: dict
    default: {}
  scheduler_info:
    description: Result of M(daskops.cluster.host_info) for the scheduler's host, if that host is not in the run.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Write the status page
  daskops.cluster.status_page:
    page: /var/www/html/dask.html
    plan: "{{ __dask_plan }}"
    health: "{{ health }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: Why a file could not be written.
  type: str
  returned: failure
"""
