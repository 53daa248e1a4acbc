# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: trials
short_description: The services that hosts try before a release is activated
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Of the services whose release never served, chooses the scheduler, and one worker for each pool with other settings.
    Hosts whose workers have the same settings do not all try them.
  - Leaves out pools with GPUs, whose workers would take a GPU's memory from those that run.
options:
  _input:
    description: What M(daskops.cluster.release) returned, by host.
    type: dict
    required: true
  _plans:
    description: What M(daskops.cluster.plan_host) returned, by host.
    type: dict
    required: true
positional: _plans
"""

EXAMPLES = r"""
- name: Choose the hosts that try the release
  ansible.builtin.set_fact:
    trials: "{{ releases | daskops.cluster.trials(plans) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: C(scheduler), a flag, and C(workers), a list of units, by host; hosts that try nothing are left out.
  type: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import services_to_try


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"trials": services_to_try}
