# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of releases in reports. Pure functions."""

from __future__ import annotations

from typing import Any, Mapping


def with_label(release: str, label: object) -> str:
    """Return the name of a release, with its label if it has one, such as ``3f2a91c04d5e (v1.4)``."""
    return f"{release} ({label})" if label else release


def name_of(release: Mapping[str, Any]) -> str:
    """Return the name of a host's release with its label: the part that all services of the cluster have in common.

    ``release`` has the form of `host_info`. Its id is the name of its directory, which differs between hosts.
    """
    services = [name for units in release.get("services", {}).values() for name in units.values()]
    shared = services[0].partition(".")[0] if services else release["id"]
    return with_label(shared, release.get("label"))
