# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack a tar archive of an environment on the controller, without trusting its content."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable

try:
    from lzma import LZMAError
except ImportError:  # Python without xz, whose tarfile rejects such archives
    LZMAError = EOFError  # type: ignore[misc,assignment]

#: First bytes of Zstandard, which Python's tarfile reads from 3.14 on.
ZSTANDARD = b"\x28\xb5\x2f\xfd"

#: Description of other files than tar archives, by their first bytes.
_FOREIGN = {
    b"PK\x03\x04": "a zip file",
    b"hsqs": "an image of SquashFS",
    b"#!": "a script, like a pack that unpacks itself",
}

#: An interpreter of a virtual environment is a link to a program of the system, which is replaced by the host's own.
INTERPRETER = re.compile(r"bin/python[\d.]*")

#: Errors of a truncated or damaged file. Those of bz2 and gzip are OSErrors without a number.
_DAMAGED: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, zlib.error, LZMAError)

#: Bytes per read.
_CHUNK = 1 << 20


class ArchiveError(ValueError):
    """No environment can be made from the archive. The message has the reason and the remedy, without control characters."""

    def __init__(self, message: str) -> None:
        # Names of an archive can contain everything.
        super().__init__(printable(message).replace("\n", "?"))


def is_zstandard(path: str) -> bool:
    """Return whether a file is compressed with Zstandard."""
    return _first_bytes(path).startswith(ZSTANDARD)


def _first_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(8)


def unpack(archive: str, directory: str) -> None:
    """Unpack a tar archive (plain, gzip, bzip2 or xz) into a directory that does not exist yet.

    Files get the mode 0755 if their owner may execute them, else 0644, and keep their times. Links to an interpreter outside
    of the archive are omitted.

    Raises
    ------
    ArchiveError
        If it is damaged or not a tar archive, or if a member is outside of the archive, leads outside, or is not a file, a
        directory or a link.
    OSError
        If the directory cannot be written.
    """
    kind = next((kind for magic, kind in _FOREIGN.items() if _first_bytes(archive).startswith(magic)), "")
    if kind:
        raise ArchiveError(f"it is {kind}, not a tar archive. Pack the environment as .tar.gz or .tar.zst")
    os.mkdir(directory)
    try:
        with tarfile.open(archive) as tar:
            _unpack(tar, directory)
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                pass  # read to the end to verify the checksum
    except tarfile.CompressionError as error:
        raise ArchiveError(
            f"the controller's Python cannot read its compression ({error}). Pack it as .tar.gz"
        ) from error
    except _DAMAGED as error:
        raise ArchiveError(_damaged(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError(_damaged(error)) from error


def _damaged(error: Exception) -> str:
    said = (str(error).splitlines() or [""])[0].rstrip(":")  # further lines are about each compression
    return f"it is damaged, or not a tar archive ({said}). Pack the environment again, or copy the archive again"


def _unpack(tar: tarfile.TarFile, directory: str) -> None:
    links: dict[str, str] = {}
    for member in tar:
        name = _name(member.name)
        path = os.path.join(directory, name)
        if any(parent in links for parent in _parents(name)):
            raise ArchiveError(f"'{member.name}' is below a link. Pack the environment again")
        links.pop(name, None)  # a later member replaces an earlier one of the same name
        try:
            if member.isdir():
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if member.issym():
                links[name] = member.linkname
            elif member.islnk():
                _hard_link(directory, _name(member.linkname), path)
            elif member.isfile():
                _write(tar, member, path)
            else:
                raise ArchiveError(f"'{member.name}' is a device or a pipe. Remove it from the archive")
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise ArchiveError(
                f"'{member.name}' is a directory and something else. Pack the environment again"
            ) from None
    for name, target in links.items():
        _symbolic_link(directory, name, target)
    # A link is inside only if all links on its way are.
    for name, target in links.items():
        path = os.path.join(directory, name)
        if os.path.islink(path) and not _is_inside(os.path.realpath(path), os.path.realpath(directory)):
            raise _outside(name, target)


def _name(name: str) -> str:
    """Return the name of a member as a relative path without ``.``; raise ArchiveError if it is outside."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise ArchiveError(f"'{name}' would be outside of the environment. Find out why before you use the archive")
    return "/".join(parts)


def _parents(name: str) -> Iterator[str]:
    """Yield the directories above a member."""
    parts = name.split("/")[:-1]
    for number in range(1, len(parts) + 1):
        yield "/".join(parts[:number])


def _outside(name: str, target: str) -> ArchiveError:
    return ArchiveError(
        f"the link '{name}' leads outside of the environment, to '{target}'. Pack a copy of its target instead"
    )


def _is_inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """Write a file."""
    if member.mode & 0o6000:
        raise ArchiveError(f"'{member.name}' has the set-user-ID or set-group-ID bit. Remove it (chmod ug-s)")
    _remove(path)
    source = tar.extractfile(member)
    if source is None:
        raise ArchiveError(f"'{member.name}' is not a file")
    if member.size > shutil.disk_usage(os.path.dirname(path)).free:  # a few bytes can stand for terabytes
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    mode = 0o755 if member.mode & 0o100 else 0o644
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        _copy(source, file, member.size)
    # Bytecode has the time of its source, in whole seconds.
    seconds = int(min(max(0, member.mtime), 2**32 - 1))
    os.utime(path, (seconds, seconds))


def _copy(source: IO[bytes], file: IO[bytes], size: int) -> None:
    while size > 0:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise EOFError("it ends too early")
        size -= file.write(chunk)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _hard_link(directory: str, target: str, path: str) -> None:
    """Make a hard link to a file that was unpacked before."""
    source = os.path.join(directory, target)
    if not os.path.isfile(source):
        raise ArchiveError(f"'{target}' is missing, to which another file is a hard link. Pack the environment again")
    if source != path:
        _remove(path)
        os.link(source, path)


def _symbolic_link(directory: str, name: str, target: str) -> None:
    """Make a symbolic link, unless it leads to an interpreter outside of the archive."""
    if target.startswith("/"):
        if INTERPRETER.fullmatch(name):
            return
        raise _outside(name, target)
    path = os.path.join(directory, name)
    try:
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
    except (FileExistsError, IsADirectoryError, PermissionError):
        raise ArchiveError(f"'{name}' is a directory and something else. Pack the environment again") from None
