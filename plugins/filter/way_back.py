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
    description: What M(daskops.cluster.host_info) returned for the host before the change.
    type: dict
    required: true
  _release:
    description: What M(daskops.cluster.release) returned for it, the release of the change.
    type: dict
    required: true
  kind:
    description: Kind of the services that go back.
    type: str
    choices: [scheduler, worker]
    required: true
positional: _release, kind
"""

EXAMPLES = r"""
- name: Show what the workers would go back to
  ansible.builtin.debug:
    msg: "{{ seen | daskops.cluster.way_back(release, 'worker') }}"
"""

RETURN = r"""
_value:
  description: The release as M(daskops.cluster.host_info) tells it; empty if no other has served.
  type: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.reverting import served_before


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"way_back": served_before}
