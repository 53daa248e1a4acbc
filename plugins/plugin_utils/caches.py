# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory on the controller in which fetched and built packages are kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import changeable_by_others


def unsafe_cache(cache: str) -> Iterator[str]:
    """Create the directory if it does not exist, and yield a sentence if other accounts can change it.

    Files in it are found by name, and hosts run programs in them as root. An error of the directory is not reported here,
    because a run may not need it.

    Parameters
    ----------
    cache : str
        Value of ``dask_cache``.
    """
    path = os.path.abspath(os.path.expanduser(cache))
    with contextlib.suppress(OSError):
        os.makedirs(path, 0o700, exist_ok=True)
    place = ""
    with contextlib.suppress(OSError):
        place = changeable_by_others(path)
    if place:
        yield (
            f"dask_cache ({cache}) is not safe: other accounts of the controller can change {place}, and hosts run files of "
            "the cache as root. Set it to a directory that only the account that runs Ansible and root can change, such as "
            "~/.cache/daskops, or remove the permissions of others and all files in it."
        )
