# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: expected_workers
short_description: The workers that a cluster should have
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Lists the workers planned for hosts, each with the release it should run, as M(daskops.cluster.cluster_health) wants
    them.
options:
  _input:
    description: Variables of the hosts, after the roles C(preflight) and C(config) have run for them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask the cluster
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    workers: "{{ groups['dask_workers'] | map('extract', hostvars) | daskops.cluster.expected_workers }}"
"""

RETURN = r"""
_value:
  description: C(name) and C(release) of each worker.
  type: list
  elements: dict
"""


def expected_workers(hosts):
    """Name and release of each worker planned for ``hosts``, variables of hosts; those that were not planned have none."""
    return [
        {"name": worker["name"], "release": host["__dask_release"]["services"]["worker"][worker["unit"]]}
        for host in hosts
        if "__dask_plan" in host and "__dask_release" in host
        for worker in host["__dask_plan"]["workers"]
    ]


class FilterModule:
    """Filters about what a cluster should be."""

    def filters(self):
        return {"expected_workers": expected_workers}
