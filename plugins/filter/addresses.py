# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: addresses
short_description: Where a cluster is reached
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Makes the addresses of the scheduler and its pages of the variables that set them.
options:
  _input:
    description: The variables, by their names without C(dask_).
    type: dict
    required: true
  _seen:
    description: What M(daskops.cluster.host_info) returned for the scheduler's host; empty if it was not looked at.
    type: dict
    required: true
positional: _seen
"""

EXAMPLES = r"""
- name: Show the address of the scheduler
  ansible.builtin.debug:
    msg: "{{ (settings | daskops.cluster.addresses({})).scheduler }}"
"""

RETURN = r"""
_value:
  description:
    - C(scheduler), C(url) where the scheduler is asked, C(ca_path) with the certificates that are trusted there,
      C(dashboard) and C(proxy_path).
  type: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import addresses


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"addresses": addresses}
