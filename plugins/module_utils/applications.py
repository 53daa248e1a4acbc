# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own code on a host: ``applications/ID`` in the collection's directory.

The directory ``modules`` in it has the files of the application's wheels. Services that run a release with the application
import from there. ``application.json`` has the id and the versions of the wheels; it is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Iterable, Sequence

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Names in the directory of an application.
DESCRIPTION = "application.json"
MODULES = "modules"

#: Part of the id of every application. Increase it when the way applications are installed changes.
RECIPE = 1

#: Files of a wheel that do not count as its content: lists of the other files, in any order.
LISTS = re.compile(r"[^/]+\.dist-info/RECORD(\.jws|\.p7s)?")

#: Largest description, in bytes.
LIMIT = 1024**2


def content_id(files: Iterable[Sequence[Any]]) -> str:
    """Return the id of an application, from path, whether it is executable, and SHA-256 of each file."""
    table = sorted([path, bool(executable), digest] for path, executable, digest in files if not LISTS.fullmatch(path))
    return hashlib.sha256(json.dumps([RECIPE, table]).encode()).hexdigest()[:12]


def installed_files(modules: str) -> list[list[Any]]:
    """Return path, whether it is executable, and SHA-256 of each file below a directory, without bytecode."""
    found = []
    for parent, directories, names in os.walk(modules):
        directories[:] = [name for name in directories if name != "__pycache__"]
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256()
                for piece in iter(lambda: file.read(1 << 20), b""):
                    digest.update(piece)
                executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            found.append([os.path.relpath(path, modules), executable, digest.hexdigest()])
    return found


def read_application(path: str) -> dict[str, Any]:
    """Return ``id`` and ``packages`` (version by name) of an application on a host; empty if it is not complete."""
    try:
        description = json.loads(read_text(os.path.join(path, DESCRIPTION), LIMIT))
        return {"id": str(description["id"]), "packages": dict(description["packages"])}
    except (KeyError, OSError, TypeError, ValueError):  # a damaged file: the application is installed again
        return {}
