# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the lock of a cluster for other machines, with its wheels."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import canonicalize_name
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import (
    parse_lock,
    portable_lock,
    unreadable_lock,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import built_wheels


def client_lock(
    path: str,
    build: Iterable[str] = (),
    cache: str = "",
    python: Mapping[str, Any] | None = None,
    application: Iterable[str] = (),
    requirements: str = "",
    more: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Return the lock in ``path`` for another machine; see the filter of this name.

    ``more`` has the content of further wheels by file name.

    Raises
    ------
    LockError
        If the lock cannot be read, or a wheel of it is missing.
    """
    found: dict[str, Any] = (
        {"text": requirements, "wheels": {}} if requirements else _portable(path, build, cache, python)
    )
    lines = []
    contents = {Path(wheel).name: Path(wheel).read_bytes() for wheel in application}
    for name, content in {**contents, **(more or {})}.items():
        # By its path, so that no index is asked for the name. Without hashes of the others, it must have none.
        digest = "" if requirements else f" --hash=sha256:{hashlib.sha256(content).hexdigest()}"
        lines.append(f"{name.split('-')[0]} @ file:daskops-wheels/{name}{digest}\n")
        found["wheels"][name] = base64.b64encode(content).decode()
    return {**found, "text": "".join([found["text"].rstrip("\n"), "\n", *lines])} if lines else found


def _portable(path: str, build: Iterable[str], cache: str, python: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the lock in ``path`` for another machine, with its own wheels."""
    file = Path(path).expanduser().absolute()
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(unreadable_lock(path, error)) from None
    try:
        lock = parse_lock(content, str(file.parent))
        names = {canonicalize_name(str(name)) for name in build}
        built = built_wheels(lock, names, os.path.expanduser(cache), python) if names and python else {}
        text, wheels = portable_lock(content, lock, built)
        contents = {Path(wheel).name: base64.b64encode(Path(wheel).read_bytes()).decode() for wheel in wheels}
    except (LockError, OSError) as error:
        raise LockError(f"dask_environment_lock ({path}): {error}") from error
    return {"text": text, "wheels": contents}
