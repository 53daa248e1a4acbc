# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes and options of modules that change the services of a kind."""

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
  state:
    description:
      - With V(started), the services run the release. Services that already run it are not restarted.
      - With V(restarted), all services are restarted.
      - With V(stopped), the services are stopped until they are started or the host is rebooted.
      - With V(disabled), the services are stopped until they are started. A reboot does not start them.
      - With V(absent), the services are stopped and their units are removed.
    type: str
    choices: [started, restarted, stopped, disabled, absent]
    default: started
  kind:
    description: Kind of the services. Services of the other kind are not changed.
    type: str
    choices: [scheduler, worker]
    required: true
  start_timeout:
    description: Seconds to wait until the services have started.
    type: int
    default: 120
  back:
    description: Whether this is a rollback or a revert. Then the current release is not recorded as the previous one.
    type: bool
    default: false
  hint:
    description: What to check, besides the journal, if a service does not start.
    type: str
    default: ""
  keep:
    description: Number of releases to keep on the host, including the current one. The previous release is always kept.
    type: int
    default: 3
"""
