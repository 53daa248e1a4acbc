# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a function just before one of its writes, as a power cut or ``kill -9`` does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

#: Functions of `os` that change files, directories or links. fsync() is not one: a kill beside it leaves the same files.
WRITES = ["ftruncate", "link", "mkdir", "rename", "replace", "rmdir", "symlink", "unlink", "write"]

KILLED = 9


def killed_at(number: int, root: Path, function: Callable[[], Any]) -> bool:
    """Run ``function`` in a process that ends just before write ``number`` below ``root``; return whether it got that far.

    A write to an open file always counts, because its path is not known.
    """
    process = os.fork()
    if process == 0:
        seen = 0

        def patch(name: str) -> None:
            original = getattr(os, name)

            def write(*arguments: Any, **named: Any) -> Any:
                nonlocal seen
                paths = [path for path in arguments if isinstance(path, (str, Path))]
                if not paths or any(str(path).startswith(str(root)) for path in paths):
                    if seen == number:
                        os._exit(KILLED)
                    seen += 1
                return original(*arguments, **named)

            setattr(os, name, write)

        try:
            for name in WRITES:
                patch(name)
            function()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, KILLED), status
    return status == KILLED
