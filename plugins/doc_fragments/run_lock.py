# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the lock that lets one run at a time change a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """See the documentation of Ansible about documentation fragments."""

    DOCUMENTATION = r"""
options:
  lease:
    description: Seconds after which another run takes over a lock that is not renewed.
    type: int
    default: 60
  directory:
    description: Directory on the host that holds the lock. It is created if missing, and only root can write to it.
    type: path
    default: /run/daskops
"""
