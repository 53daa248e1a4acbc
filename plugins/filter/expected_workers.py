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
  - A host without a release counts as one that lacks its first worker.
options:
  _input:
    description: What M(daskops.cluster.host_info) returned, by host.
    type: dict
    required: true
  _releases:
    description: What M(daskops.cluster.release) returned, by host. Hosts that are not in it keep their current release.
    type: dict
    required: true
positional: _releases
"""

EXAMPLES = r"""
- name: Ask the cluster
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    workers: "{{ seen | daskops.cluster.expected_workers(releases) }}"
"""

RETURN = r"""
_value:
  description: C(name) and C(release) of each worker.
  type: list
  elements: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import expected_workers


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"expected_workers": expected_workers}
