# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which services of a host must be restarted, because they do not run the wanted release. Pure functions."""

from __future__ import annotations

from typing import Mapping, NamedTuple

#: Suffix of a service's release if the unit file that systemd has differs from the one in the release.
OTHER_UNIT = " (another unit)"


class Changes(NamedTuple):
    """Units by change, sorted."""

    removed: list[str]
    """Running services to stop for good."""
    restarted: list[str]
    """Services to start or restart."""


def changes(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> Changes:
    """Return the changes after which the running services of a host are the wanted ones.

    Parameters
    ----------
    running : dict
        Release of each running service, by unit. None for a service without a process. The release may end with
        `OTHER_UNIT`.
    wanted : dict
        Release of each service that should run, by unit.
    """
    return Changes(
        sorted(unit for unit in running if unit not in wanted),
        sorted(unit for unit, release in wanted.items() if running.get(unit) != release),
    )


def interrupted(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> list[str]:
    """Return the running services that `changes` stops or restarts, sorted."""
    removed, restarted = changes(running, wanted)
    return sorted([*removed, *(unit for unit in restarted if unit in running)])
