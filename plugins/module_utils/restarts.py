# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which services of a host must be restarted: those that run another release than they should. Pure functions."""

from __future__ import annotations

from typing import Mapping, NamedTuple

#: Suffix of the release of a service if systemd has loaded another unit than that of the release.
OTHER_UNIT = " (another unit)"


class Changes(NamedTuple):
    """Units by change, sorted."""

    removed: list[str]
    """Services that run and are stopped for good."""
    restarted: list[str]
    """Services that are started, or stopped and started."""


def changes(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> Changes:
    """Return the changes after which a host runs what it should.

    Parameters
    ----------
    running : dict
        Release by unit, of the services that run; None for a service without a process. The release may end with
        `OTHER_UNIT`.
    wanted : dict
        Release by unit, of the services that should run.
    """
    return Changes(
        sorted(unit for unit in running if unit not in wanted),
        sorted(unit for unit, release in wanted.items() if running.get(unit) != release),
    )


def interrupted(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> list[str]:
    """Return the running services that `changes` stops or restarts, sorted."""
    removed, restarted = changes(running, wanted)
    return sorted([*removed, *(unit for unit in restarted if unit in running)])
