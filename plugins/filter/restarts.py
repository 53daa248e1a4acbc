# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: restarts
short_description: The running services that a release would stop or restart
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Compares the services that run on a host with those of a release, all of one kind.
options:
  _input:
    description: Release by systemd unit, of the services that run, as M(daskops.cluster.host_info) returned it.
    type: dict
    required: true
  _wanted:
    description: Release by systemd unit, of the services that should run.
    type: dict
    required: true
  kind:
    description: Kind of the services in question.
    type: str
    choices: [scheduler, worker]
    required: true
positional: _wanted, kind
"""

EXAMPLES = r"""
- name: Show the workers that would be restarted
  ansible.builtin.debug:
    msg: "{{ host.running | daskops.cluster.restarts(release.services.worker, 'worker') }}"
"""

RETURN = r"""
_value:
  description: Names of the units.
  type: list
  elements: str
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import units_to_restart


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"restarts": units_to_restart}
