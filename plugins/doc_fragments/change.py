# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that change what services run, and put it back."""

from __future__ import annotations


class ModuleDocFragment:
    """See the documentation of Ansible about documentation fragments."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Tells what would be changed and restarted.
  diff_mode:
    support: full
    description: Shows the changes of units, links and running releases.
options:
  home:
    description: Directory of the collection on the host.
    type: path
    required: true
  plan:
    description: What M(daskops.cluster.plan) returned.
    type: dict
    required: true
  start_timeout:
    description: Seconds that the services may take until they serve.
    type: int
    default: 120
  keep:
    description: Releases to keep on the host, the current one included; the one before it stays in any case.
    type: int
    default: 3
  rollback_on_failure:
    description: Whether a change that fails is put back.
    type: bool
    default: true
"""
