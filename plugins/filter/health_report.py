# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: health_report
short_description: Report the health of a cluster
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Formats the result of M(daskops.cluster.cluster_health) as lines of text, with the releases that workers run and the
    missing packages of features in use.
options:
  _input:
    description: What M(daskops.cluster.cluster_health) returned.
    type: dict
    required: true
  seen:
    description: What M(daskops.cluster.host_info) returned, by host.
    type: dict
    required: true
  plans:
    description: What M(daskops.cluster.plan_host) returned, by host; empty in a run that changes nothing.
    type: dict
    required: true
  environments:
    description: Environments of M(daskops.cluster.plan_cluster), by host; empty in a run that changes nothing.
    type: dict
    required: true
  address:
    description: Address of the scheduler.
    type: str
    required: true
  dashboard:
    description: Address of the dashboard's page.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Report
  ansible.builtin.debug:
    msg: >-
      {{ health | daskops.cluster.health_report(seen, plans, cluster.environments, 'tls://10.0.0.1:8786',
      'https://10.0.0.1:8787/status') }}
"""

RETURN = r"""
_value:
  description: A line for the cluster, for each release, for each problem and for each missing package.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import lacking_on


def health_report(
    health: Mapping[str, Any],
    seen: Mapping[str, Mapping[str, Any]],
    plans: Mapping[str, Mapping[str, Any]],
    environments: Mapping[str, Mapping[str, Any]],
    address: str,
    dashboard: str,
) -> list[str]:
    """Return lines of text about the health of a cluster."""
    lines = [
        f"The cluster is {health['verdict']}: {health['workers_present']} worker(s) at {address}, dashboard at {dashboard}."
    ]
    several = len(health["releases"]) > 1
    for release, names in sorted(health["releases"].items()):
        lines.append(f"Release {release} on {len(names)} worker(s){f': {join(sorted(names))}' if several else ''}.")
    return [*lines, *health["problems"], *lacking_on(seen, plans, environments)]


class FilterModule:
    """Filters about the health of a cluster."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"health_report": health_report}
