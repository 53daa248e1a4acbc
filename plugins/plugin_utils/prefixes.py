# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set the prefix of an unpacked environment of conda-pack to its directory on a host, like its program ``conda-unpack``.

The program itself is not run, because it comes with the archive and supports only its own directory as the prefix.
"""

from __future__ import annotations

import ast
import os
import re
from typing import List, Tuple

from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError

#: The program in the environment, with a list of the files that have the old prefix.
PROGRAM = "bin/conda-unpack"

#: Path of a file, its old prefix, and whether it is a ``text`` or a ``binary``.
Records = List[Tuple[str, str, str]]


def records(program: str) -> Records:
    """Return the list of files in the text of the program.

    Raises
    ------
    ArchiveError
        If it does not have the form that conda-pack writes.
    """
    try:
        (found,) = (
            ast.literal_eval(statement.value)
            for statement in ast.parse(program).body
            if isinstance(statement, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == "_prefix_records" for target in statement.targets)
        )
        listed = [(str(path), str(placeholder), str(mode)) for path, placeholder, mode in found]
        for _path, placeholder, _mode in listed:
            os.fsencode(placeholder)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        listed = [("", "", "")]
    if any(not placeholder or mode not in ("text", "binary") for _path, placeholder, mode in listed):
        raise ArchiveError(f"{PROGRAM} has an unknown form. Pack the environment with a current conda-pack")
    return listed


def longest_prefix(listed: Records) -> int | None:
    """Return the greatest length in bytes that a prefix can have; None if there is no limit.

    In a binary, a new prefix must not be longer than the old one.
    """
    return min((len(os.fsencode(placeholder)) for _path, placeholder, mode in listed if mode == "binary"), default=None)


def set_prefix(tree: str, listed: Records, prefix: str) -> list[str]:
    """Replace the old prefix in the files of an environment, and return the changed ones.

    Parameters
    ----------
    tree : str
        Directory of the environment on this machine.
    listed : list
        Result of `records`.
    prefix : str
        Directory of the environment on the host.
    """
    changed = []
    for path, placeholder, mode in listed:
        full = os.path.join(tree, path)
        if path.startswith("/") or ".." in path.split("/") or os.path.islink(full) or not os.path.isfile(full):
            continue
        with open(full, "rb") as file:
            before = file.read()
        after = replaced(before, os.fsencode(placeholder), os.fsencode(prefix), mode == "binary")
        if after != before:
            with open(full, "wb") as file:
                file.write(after)
            changed.append(path)
    return changed


def replaced(content: bytes, placeholder: bytes, prefix: bytes, binary: bool) -> bytes:
    """Return a content with another prefix.

    In a binary, a text ends with a zero byte. Its length must not change, so it is padded with zero bytes.
    """
    if not binary:
        return content.replace(placeholder, prefix)

    def fill(match: re.Match[bytes]) -> bytes:
        text = match.group().replace(placeholder, prefix)
        return text + b"\0" * (len(match.group()) - len(text))

    return re.sub(re.escape(placeholder) + rb"[^\0]*\0", fill, content)
