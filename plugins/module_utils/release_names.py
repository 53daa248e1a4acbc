# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of releases in reports. Pure functions."""

from __future__ import annotations


def with_label(release: str, label: object) -> str:
    """Return the name of a release, with its label if it has one, such as ``3f2a91c04d5e (v1.4)``."""
    return f"{release} ({label})" if label else release
