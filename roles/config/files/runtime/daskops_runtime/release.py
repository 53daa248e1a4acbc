# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of this process."""

from __future__ import annotations

import os

#: Keys of the release and its label in the information that a worker sends when it registers.
KEY = "daskops_release"
LABEL_KEY = "daskops_release_label"


def get_release() -> str | None:
    """Return the release from which this process was started, such as ``3f2a91c04d5e.7b21``; None without a release.

    The part before the dot identifies the files that all workers share. The part after it identifies the host's own
    settings.
    """
    return os.environ.get("DASKOPS_RELEASE") or None


def get_label() -> str | None:
    """Return the label of the release, such as ``v1.4``; None if it has none."""
    return os.environ.get("DASKOPS_RELEASE_LABEL") or None


def get_resources() -> list[str]:
    """Return the names of the resources with which clients select the workers of this release; none if it is disabled."""
    release = get_release()
    if release is None or not os.environ.get("DASKOPS_RELEASE_RESOURCES"):
        return []
    return [f"release:{name}" for name in (release.split(".")[0], get_label()) if name]
