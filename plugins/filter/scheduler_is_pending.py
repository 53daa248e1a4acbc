# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scheduler_is_pending
short_description: Tell whether the scheduler keeps its release because it has work
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - A scheduler that stops loses all tasks and results that it knows of, so one that has work is not restarted.
options:
  _input:
    description: Result of the task that waits until the scheduler has no work, with M(daskops.cluster.cluster_health).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Restart the scheduler
  ansible.builtin.systemd_service:
    name: dask-scheduler.service
    state: restarted
  when: not work | daskops.cluster.scheduler_is_pending
"""

RETURN = r"""
_value:
  description: Whether it has work. A task that was skipped found none.
  type: bool
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import scheduler_is_pending


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"scheduler_is_pending": scheduler_is_pending}
