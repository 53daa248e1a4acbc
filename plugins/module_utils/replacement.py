# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace files and links in two steps. The first step finds a lack of space or permission, and changes no existing file."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Callable


class Replacement:
    """Files and links that are prepared under other names, then renamed together, and restored if needed.

    The methods `file`, `link` and `remove` only record the wanted state. `prepare` writes ``PATH.new`` and keeps the
    existing file as ``PATH.old``. This is a second hard link, which needs no space and fails for an immutable file.
    `commit` and `undo` only rename and remove. `discard` removes the remaining ``.new`` and ``.old`` files.

    All of them raise OSError, except `discard`.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, Callable[[str], None] | None] = {}
        #: Directories that `prepare` created.
        self.directories: list[str] = []
        self.committed: list[str] = []
        self.prepared = False

    def file(self, path: str, content: str) -> None:
        """Record that ``path`` must have this content, readable for all."""
        self.wanted[os.path.abspath(path)] = lambda new: write(new, content)

    def link(self, path: str, target: str) -> None:
        """Record that ``path`` must be a link to ``target``."""
        self.wanted[os.path.abspath(path)] = lambda new: os.symlink(target, new)

    def remove(self, path: str) -> None:
        """Record that ``path`` must not exist."""
        self.wanted[os.path.abspath(path)] = None

    def prepare(self) -> None:
        """Write all new files to the disk, unless this was done before. Leaves no files behind if it fails."""
        if self.prepared:
            return
        try:
            for path, make in self.wanted.items():
                self._make_directory(os.path.dirname(path))
                clear(path)  # left by an interrupted run
                if make:
                    make(path + ".new")
                if os.path.islink(path):
                    os.symlink(os.readlink(path), path + ".old")
                elif os.path.isdir(path):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
                elif os.path.exists(path):
                    os.link(path, path + ".old")
            for directory in {os.path.dirname(path) for path in self.wanted}:
                sync(directory)
        except OSError:
            self.discard()
            raise
        self.prepared = True

    def commit(self) -> None:
        """Rename the prepared files to their final names."""
        for path, make in self.wanted.items():
            self.committed.append(path)
            if make:
                os.replace(path + ".new", path)
            else:
                unlink(path)

    def undo(self) -> None:
        """Restore the previous files, even if `commit` did not finish."""
        for path in reversed(self.committed):
            if os.path.lexists(path + ".old"):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.replace(path + ".old", path)
            else:
                unlink(path)
        self.committed = []
        self.discard()

    def discard(self) -> None:
        """Remove the ``.new`` and ``.old`` files. Ignores errors, because nothing reads these files."""
        for path, make in self.wanted.items():
            with contextlib.suppress(OSError):
                clear(path)
            if not make and path.endswith(".conf"):
                remove_empty(os.path.dirname(path))  # of drop-ins
        for directory in reversed(self.directories):
            remove_empty(directory)

    def _make_directory(self, directory: str) -> None:
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            os.mkdir(path, 0o755)
            self.directories.append(path)


def write(path: str, content: str) -> None:
    """Create a text file, readable for all, and flush it to the disk. Fails if something has its name, also a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o644)  # whatever the umask is
        os.fsync(file.fileno())


def sync(directory: str) -> None:
    """Flush the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink(path: str) -> None:
    """Remove a file or link if it exists."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def clear(path: str) -> None:
    """Remove the files that `Replacement` writes beside a path."""
    for suffix in (".new", ".old"):
        unlink(path + suffix)


def remove_empty(directory: str) -> None:
    """Remove a directory if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)
