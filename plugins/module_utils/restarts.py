# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restart decision: which services of a host run something else than they should. Pure functions."""

from __future__ import annotations

from typing import Mapping, NamedTuple

#: Stands behind the release of a service that systemd would start from other settings than those of its release.
OTHER_UNIT = " (another unit)"


class Changes(NamedTuple):
    """Units by what happens to them, sorted."""

    removed: list[str]
    """Services that run and are stopped for good."""
    restarted: list[str]
    """Services that are started, or stopped and started."""


def changes(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> Changes:
    """What has to happen so that a host runs what it should.

    Parameters
    ----------
    running : dict
        Release by unit, of the services that run; None for one that does not serve yet. `OTHER_UNIT` stands behind the
        release where it applies.
    wanted : dict
        Release by unit, of the services that should run.
    """
    return Changes(
        sorted(unit for unit in running if unit not in wanted),
        sorted(unit for unit, release in wanted.items() if running.get(unit) != release),
    )


def interrupted(running: Mapping[str, str | None], wanted: Mapping[str, str]) -> list[str]:
    """The services that run and that `changes` would stop, whether or not they are started again; sorted."""
    removed, restarted = changes(running, wanted)
    return sorted([*removed, *(unit for unit in restarted if unit in running)])
