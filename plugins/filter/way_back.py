# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: way_back
short_description: The release that a host goes back to when a change fails
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Finds the release that has served on a host before a change of it.
options:
  _input:
    description: Variables of the host, after the roles C(preflight) and C(config) have run for it.
    type: dict
    required: true
  kind:
    description: Kind of the services that go back.
    type: str
    choices: [scheduler, worker]
    required: true
positional: kind
"""

EXAMPLES = r"""
- name: Show what the workers would go back to
  ansible.builtin.debug:
    msg: "{{ hostvars[inventory_hostname] | daskops.cluster.way_back('worker') }}"
"""

RETURN = r"""
_value:
  description: The release as M(daskops.cluster.host_info) tells it; empty if no other has served.
  type: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.reverting import served_before


def way_back(host, kind):
    """The release that ``host``, variables of it, goes back to."""
    return served_before(host.get("__dask_host") or {}, host.get("__dask_release") or {}, kind)


class FilterModule:
    """Filters about ways back."""

    def filters(self):
        return {"way_back": way_back}
