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
  - Lists the workers planned for hosts, as M(daskops.cluster.cluster_health) wants them. Each has the release that it should
    run, where that is known.
options:
  _input:
    description: Variables of the hosts, after the role C(preflight) and perhaps C(config) have run for them.
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
    expected = []
    for host in hosts:
        releases = host.get("__dask_release", {}).get("services", {}).get("worker", {})
        for worker in host.get("__dask_plan", {}).get("workers", []):
            release = {"release": releases[worker["unit"]]} if worker["unit"] in releases else {}
            expected.append({"name": worker["name"], **release})
    return expected


class FilterModule:
    """Filters about what a cluster should be."""

    def filters(self):
        return {"expected_workers": expected_workers}
