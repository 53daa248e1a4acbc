# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: health_report
short_description: Report the health of a cluster
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Formats the result of M(daskops.cluster.cluster_health) as lines of text. Adds the releases of the workers, the missing
    packages of used features, and the hosts in maintenance.
options:
  _input:
    description: Result of M(daskops.cluster.cluster_health).
    type: dict
    required: true
  _plan:
    description: Result of M(daskops.cluster.plan).
    type: dict
    required: true
positional: _plan
seealso:
  - module: daskops.cluster.cluster_health
    description: Checks the health, also of other Dask clusters.
"""

EXAMPLES = r"""
- name: Report the health of the cluster
  ansible.builtin.debug:
    msg: "{{ health | daskops.cluster.health_report(plan) }}"
"""

RETURN = r"""
_value:
  description: A line for the cluster, for each release, for each problem and for each missing package.
  type: list
  elements: str
  sample:
    - "The cluster is healthy: 3 worker(s) at tls://10.0.0.1:8786, dashboard at https://10.0.0.1:8787/status."
    - Release 3f2a91c04d5e (v1.4) on 3 worker(s).
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import (
    count_waiting,
    describe_outside,
    describe_request,
    describe_standby,
    join,
)
from ansible_collections.daskops.cluster.plugins.module_utils.release_names import with_label


def health_report(health: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Return the lines of a report about the health of a cluster; see `RETURN`."""
    addresses = plan["addresses"]
    outside = health["outside_hours"]
    waiting = count_waiting(worker["state"] for worker in health["waiting"])
    more = f", {waiting}," if waiting else ""
    lines = [
        f"The cluster is {health['verdict']}: {health['workers_present']} worker(s){more} at {addresses['scheduler']}, "
        f"dashboard at {addresses['dashboard']}/status."
    ]
    several = len(health["releases"]) > 1
    for release, names in sorted(health["releases"].items()):
        where = f": {join(sorted(names))}" if several else ""
        lines.append(f"Release {with_label(release, health['labels'].get(release))} on {len(names)} worker(s){where}.")
    lines += describe_standby(health["waiting"])
    if outside:
        lines.append(f"Outside of their hours: {describe_outside(outside)}.")
    lines += [f"Request of a client in effect. {describe_request(one)}." for one in health["scaling_requests"]]
    if plan["maintenance"]:
        lines.append(f"In maintenance: {join(plan['maintenance'])}.")
    return [*lines, *health["problems"], *plan["missing_packages"]]


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"health_report": health_report}
