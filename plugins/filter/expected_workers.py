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
  - Lists the workers of hosts, as M(daskops.cluster.cluster_health) wants them, each with the release that it should run.
options:
  _input:
    description:
      - Variables of the hosts, after the role C(preflight) has run for them, and C(config) if there is a release to come.
      - A host without a release counts as one that lacks its first worker; one that the run does not know has none.
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
    """Name and release of each worker of ``hosts``, variables of hosts: of the release to come, else of the current one."""
    expected = []
    for host in hosts:
        if "__dask_host" not in host:
            continue
        release = host.get("__dask_release") or host["__dask_host"].get("current")
        if not release:
            expected.append({"name": f"{host['inventory_hostname']}-1"})
            continue
        for unit, service in sorted(release["services"].get("worker", {}).items()):
            instance = unit.split("@")[1].removesuffix(".service")
            expected.append({"name": f"{host['inventory_hostname']}-{instance}", "release": service})
    return expected


class FilterModule:
    """Filters about what a cluster should be."""

    def filters(self):
        return {"expected_workers": expected_workers}
