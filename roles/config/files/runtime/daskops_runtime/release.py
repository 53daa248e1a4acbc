# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release this process runs, as a name that others can compare."""

from __future__ import annotations

import os

#: What a worker's release is called among the things that it tells the scheduler when it registers.
KEY = "daskops_release"


def get_release() -> str | None:
    """Name of the release that this process was started from, such as ``3f2a91c04d5e.7b21``

    The part before the dot names what all workers share, the part after it the host's own settings.
    """
    return os.environ.get("DASKOPS_RELEASE") or None


def get_resource() -> str | None:
    """Name of the resource by which a client addresses the workers of this release; None where they carry none"""
    release = get_release()
    if release is None or not os.environ.get("DASKOPS_RELEASE_RESOURCES"):
        return None
    return f"release:{release.split('.')[0]}"
