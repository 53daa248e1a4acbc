# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mixed_releases
short_description: Find hosts that run the releases of different changes
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Compares the releases that hosts with the same settings run. They differ if two runs were mixed, or if one run did not
    reach all hosts.
options:
  _input:
    description: What M(daskops.cluster.host_info) returned, by host.
    type: dict
    required: true
  _releases:
    description: What M(daskops.cluster.release) returned, by host. Hosts that are not in it keep their current release.
    type: dict
    required: true
  _variables:
    description: The variables of the hosts, of which those that begin with C(dask_) are compared.
    type: dict
    required: true
positional: _releases, _variables
"""

EXAMPLES = r"""
- name: Make sure that all hosts run the same change
  ansible.builtin.assert:
    that: seen | daskops.cluster.mixed_releases(releases, hostvars) | length == 0
"""

RETURN = r"""
_value:
  description: A sentence that says which hosts run which release, if they differ.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed_releases import mixed_releases


class FilterModule:
    """Filters about what hosts run."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"mixed_releases": mixed_releases}
