# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that modules have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """See the documentation of Ansible about documentation fragments."""

    # For modules that change nothing.
    READ_ONLY = r"""
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode.
  diff_mode:
    support: none
    description: There is no change to show.
"""

    # For modules that are executed on hosts.
    LINUX = r"""
attributes:
  platform:
    support: full
    description: Operating systems that the module can be executed on.
    platforms: Linux
"""
