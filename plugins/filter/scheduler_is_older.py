# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scheduler_is_older
short_description: Tell whether the scheduler runs an older release than the workers
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - A scheduler that has work keeps its release when the workers change, until a run finds it without work.
options:
  _input:
    description:
      - What is known of the scheduler. C(seen) is what M(daskops.cluster.host_info) returned for its host, C(release) the
        release of that host, and C(work) and C(turn) are the results of the tasks that wait until it has no work and that
        change it.
    type: dict
    required: true
  _releases:
    description: What M(daskops.cluster.release) returned, by host.
    type: dict
    required: true
positional: _releases
"""

EXAMPLES = r"""
- name: Show whether the scheduler is older
  ansible.builtin.debug:
    msg: "{{ scheduler | daskops.cluster.scheduler_is_older(releases) }}"
"""

RETURN = r"""
_value:
  description: Whether it is older.
  type: bool
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import scheduler_is_older


def is_older(scheduler, releases):
    """See the documentation above."""
    return scheduler_is_older(scheduler["work"], scheduler["turn"], scheduler["seen"], scheduler["release"], releases)


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"scheduler_is_older": is_older}
