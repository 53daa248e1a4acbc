# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print which long step begins. Ansible itself prints nothing until a task ends."""

from __future__ import annotations

from ansible.utils.display import Display

CONTROLLER = "controller"


def begins(step: str, host: str = CONTROLLER) -> None:
    """Print that a step begins on a host."""
    Display().display(f"{host}: {step}")
