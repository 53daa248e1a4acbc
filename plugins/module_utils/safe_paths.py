# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can change what a path leads to, and how to open only regular files."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Optional, Tuple

# A directory or link on the way to a path, and its status, which is None if it does not exist.
Step = Tuple[str, Optional[os.stat_result]]

#: Largest number of symbolic links that are followed on a path. Linux has the same limit.
LINKS = 40

#: Groups that may write, if they have no members: root's own, and that of /usr/local in Debian 11.
ADMINISTRATORS = ("root", "staff")


class NotRegular(OSError):
    """A link, directory, device, socket or FIFO is in the place of a file."""


def steps(path: str) -> Iterator[Step]:
    """Yield each directory and link on the way to a path, with its status. The last one is what the path leads to.

    The status is None for the last one if it or a directory above it does not exist.

    Raises
    ------
    OSError
        If something on the way is not a directory, or there are too many symbolic links.
    """
    here, names, links = "/", os.path.abspath(path).split("/"), 0
    yield here, os.lstat(here)
    while names:
        name = names.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            yield here, os.lstat(here)
            continue
        found = os.path.join(here, name)
        try:
            about = os.lstat(found)
        except FileNotFoundError:
            yield os.path.join(found, *names), None
            return
        yield found, about
        if not stat.S_ISLNK(about.st_mode):
            here = found
            continue
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(found)
        names = target.split("/") + names
        if target.startswith("/"):
            here = "/"
        yield here, os.lstat(here)  # the last one, if the target is / or .


def is_own(about: os.stat_result) -> bool:
    """Return whether a file or link belongs to root or to the account of this process."""
    return about.st_uid in (0, os.geteuid())


def changeable_by_others(path: str) -> str:
    """Return the first directory or link by which another account could change what a path leads to; "" if there is none.

    Others are all accounts but root and that of this process.

    Raises
    ------
    OSError
        If something on the way is not a directory, or there are too many symbolic links.
    """
    return first_changeable(steps(path), lambda about: not is_own(about), _others_write)


def first_changeable(
    found: Iterable[Step], owned: Callable[[os.stat_result], bool], writable: Callable[[str, os.stat_result], bool]
) -> str:
    """Return the first of these steps that somebody can replace or write to; "" if there is none.

    In a directory with the sticky bit, such as /tmp, accounts can only create what does not exist, and replace their own.

    Parameters
    ----------
    found : iterable of tuple
        What `steps` yields.
    owned : callable
        Returns whether a directory, link or file with a status belongs to them.
    writable : callable
        Returns whether they may write to a directory or file. Its arguments are the path and the status.
    """
    sticky = ""
    for here, about in found:
        if about is None:
            return sticky
        writes = not stat.S_ISLNK(about.st_mode) and writable(here, about)
        if owned(about) or writes and not about.st_mode & stat.S_ISVTX:
            return here
        sticky = here if writes else ""
    return sticky


def _others_write(path: str, about: os.stat_result) -> bool:
    """Return whether the mode lets other accounts write. The group of the same name as this account has no other members."""
    # With an access control list, the bits of the group are those of all users and groups in the list.
    if about.st_mode & 0o022 != 0o020 or _has_list(path):
        return bool(about.st_mode & 0o022)
    try:
        own, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(about.st_gid)
    except KeyError:
        return True
    private = own.pw_gid == group.gr_gid and own.pw_name == group.gr_name
    return not ((private or group.gr_name in ADMINISTRATORS) and set(group.gr_mem) <= {own.pw_name})


def _has_list(path: str) -> bool:
    """Return whether a directory or file has an access control list."""
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError:
        return False


def open_regular(path: str, flags: int) -> int:
    """Open a regular file, as an ``opener`` for `open`. Does not follow a link, and does not wait for a FIFO.

    Raises
    ------
    NotRegular
        If it is not a regular file.
    OSError
        If it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise NotRegular(errno.EINVAL, "Not a regular file", path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "Not a regular file", path)
    return descriptor


def open_examined(path: str, flags: int) -> int:
    """Open the regular file that a path leads to, as an ``opener`` for `open`. Follows links, and opens nothing else.

    Raises
    ------
    NotRegular
        If it is not a regular file.
    OSError
        If it cannot be opened.
    """
    # O_PATH neither waits for a FIFO nor tells a driver that its device is opened, and a link cannot change afterwards.
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise NotRegular(errno.EINVAL, "Not a regular file", path)
        return os.open(f"/proc/self/fd/{place}", flags | os.O_CLOEXEC)
    finally:
        os.close(place)
