# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that change the release of services and revert failed changes."""

from __future__ import annotations


class ModuleDocFragment:
    """See the documentation of Ansible about documentation fragments."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reports what would be changed and restarted.
  diff_mode:
    support: full
    description: Shows the changes of units, links and running releases.
options:
  home:
    description: Directory of the collection on the host.
    type: path
    required: true
  plan:
    description: Result of M(daskops.cluster.plan).
    type: dict
    required: true
  start_timeout:
    description: Seconds to wait until the services have started.
    type: int
    default: 120
  keep:
    description: Number of releases to keep on the host, including the current one. The previous release is always kept.
    type: int
    default: 3
  rollback_on_failure:
    description: Whether a failed change is reverted.
    type: bool
    default: true
"""
