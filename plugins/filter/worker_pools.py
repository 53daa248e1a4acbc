# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: worker_pools
short_description: A host's pools of workers, with all of their settings
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Completes what the pools say with what the host says, and checks that nothing else is said.
  - A host without pools has one whose name is empty.
options:
  _input:
    description: Value of C(dask_worker_pools), settings by name of the pool.
    type: dict
    required: true
  overrides:
    description: Value of C(dask_worker_pool_overrides), which wins over the pools.
    type: dict
    required: true
  defaults:
    description: All settings that there are, with the host's values.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the threads of each pool
  ansible.builtin.debug:
    msg: "{{ pools | daskops.cluster.worker_pools({}, {'threads': 2, 'nanny': false, 'command': 'dask worker'}) }}"
  vars:
    pools:
      numeric: {threads: 4}
      other: {nanny: true}
"""

RETURN = r"""
_value:
  description: Every setting by name of the pool.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import pools as of_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


def worker_pools(pools, overrides, defaults):
    """All settings by name of the pool; raises AnsibleFilterError where a setting cannot have its value."""
    try:
        return of_host.worker_pools(plain(pools), plain(overrides), plain(defaults))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters about pools of workers."""

    def filters(self):
        return {"worker_pools": worker_pools}
