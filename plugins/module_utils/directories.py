# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create and remove directories of an unprivileged user as root, without acting on anything that this user can replace.

Root follows a path from the root directory, by file descriptors, as long as only root can change the current directory. At
the first directory that another user can change, the process drops root's permissions and continues as the unprivileged
user. From there, a symbolic link can only lead to places that this user can reach anyway.

A worker's unit runs this file as a program, so it imports nothing but the standard library:
``directories.py USER DIRECTORY GROUPS...`` creates the directory where it is missing.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shutil
import signal
import stat
import sys
from collections.abc import Iterable

#: Largest number of symbolic links that are followed on a path. Linux has the same limit.
LINKS = 40


#: Id of the user and group ``nobody``, which own no files. Programs that run outside of the sandbox have this primary group.
#: Tasks have another one, so the kernel does not let them read or change these programs, and leave the sandbox that way.
NOBODY = 65534


def group_number(name: str) -> int | None:
    """Return the id of a group from its name or id; None if the group does not exist."""
    try:
        return (grp.getgrgid(int(name)) if name.isdigit() else grp.getgrnam(name)).gr_gid
    except (KeyError, OverflowError):
        return None


def become(user: str, groups: Iterable[str] = (), effective: bool = False, primary: int | None = None) -> None:
    """Drop root's permissions for good and act as a user. Does nothing if the process does not run as root.

    Parameters
    ----------
    user : str
        Name of the user.
    groups : iterable of str
        Names or ids of additional groups of the process. Groups that do not exist are ignored.
    effective : bool
        Whether to change only the effective ids; see `set_ids`.
    primary : int, optional
        Id of the primary group, if it is not the user's, which is then an additional one; see `NOBODY`.
    """
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        more = [number for number in map(group_number, groups) if number is not None]
        os.setgroups([*os.getgrouplist(account.pw_name, account.pw_gid), *more])
        set_ids(account.pw_uid, account.pw_gid if primary is None else primary, effective)


def set_ids(user: int, group: int, effective: bool = False) -> None:
    """Change the user and the group of this process, which runs as root.

    With ``effective``, only the effective ids change. Processes of the user cannot send signals to such a process, but the
    process can be root again. So it must not run what the user wrote.
    """
    if effective:
        os.setegid(group)
        os.seteuid(user)
    else:
        os.setgid(group)
        os.setuid(user)


def belongs_to_root(about: os.stat_result) -> bool:
    """Return whether only root can change a directory. The group's mode bits include those of an access control list."""
    return about.st_uid == 0 and not about.st_mode & 0o022


def descend(path: str) -> tuple[int, list[str]]:
    """Follow a path as far as only root can change it.

    Parameters
    ----------
    path : str
        An absolute path, existing or not.

    Returns
    -------
    tuple of (int, list of str)
        A file descriptor of the last directory reached, which the caller closes, and the names that remain. If no name
        remains, only root can change the path and the directories above it. Otherwise the first name does not exist, or
        other users can change the directory.

    Raises
    ------
    OSError
        If something on the way is not a directory, or there are too many symbolic links.
    """
    names = [name for name in path.split("/") if name not in ("", ".")]
    links = 0
    here = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        while names and belongs_to_root(os.fstat(here)):
            try:
                there = os.open(names[0], os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
            except FileNotFoundError:
                break
            about = os.fstat(there)
            if stat.S_ISLNK(about.st_mode):
                os.close(there)
                target = os.readlink(names[0], dir_fd=here)
                names[:1] = [name for name in target.split("/") if name not in ("", ".")]
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    os.close(here)
                    here = os.open("/", os.O_PATH | os.O_DIRECTORY)
                continue
            if not stat.S_ISDIR(about.st_mode):
                os.close(there)
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            os.close(here)
            here = there
            del names[0]
    except BaseException:
        os.close(here)
        raise
    return here, names


def make(path: str, user: str, groups: Iterable[str] = ()) -> None:
    """Create a directory of a user and its parents if they are missing. An existing directory is not modified.

    If the process needed the permissions of the user and of ``groups``, it keeps them afterwards.

    Raises
    ------
    OSError
        If the directory cannot be created.
    """
    os.umask(0o022)
    here, names = descend(path)
    if names and not belongs_to_root(os.fstat(here)):
        become(user, groups)
        os.fchdir(here)
        os.makedirs(os.path.join(".", *names[:-1]), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(*names), 0o700)
        if not os.path.isdir(os.path.join(*names)):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    elif names:
        account = pwd.getpwnam(user)
        for number, name in enumerate(names, 1):
            with contextlib.suppress(FileExistsError):  # another worker starts at the same time
                os.mkdir(name, 0o755 if number < len(names) else 0o700, dir_fd=here)
            above, here = here, os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here)
            os.close(above)
        os.fchown(here, account.pw_uid, account.pw_gid)
    os.close(here)


def remove(path: str, user: str, content: str, groups: Iterable[str] = ()) -> None:
    """Remove the files of a user's processes from a directory, and the directory itself if it is then empty.

    Parameters
    ----------
    path : str
        The directory.
    user : str
        The user. Files that only root may remove are kept.
    content : str
        Name of the file or directory to remove from ``path``.
    groups : iterable of str
        Names or ids of additional groups that the user's processes had.
    """
    child = os.fork()
    if not child:
        try:
            become(user, groups)
            shutil.rmtree(os.path.join(path, content), ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(path)
        finally:
            os._exit(0)
    # Another process of the user can stop the child with a signal. The child would then never end.
    while os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
        os.kill(child, signal.SIGKILL)
    above, name = os.path.split(path.rstrip("/"))
    here, names = descend(above)
    if not names and belongs_to_root(os.fstat(here)):
        with contextlib.suppress(OSError):  # it no longer exists, is not empty, or is a mount point or a link
            os.rmdir(name, dir_fd=here)
    os.close(here)


def main() -> None:
    """Create the directory that the command line names."""
    user, path, *groups = sys.argv[1:]
    try:
        make(path, user, groups)
    except KeyError:
        raise SystemExit(f"The user {user} does not exist on this host. Run site.yml.") from None
    except OSError as error:
        raise SystemExit(
            f"The scratch directory {path} cannot be created: {error.strerror}. Create it for the user {user}, or change "
            "dask_worker_scratch_directory."
        ) from None


if __name__ == "__main__":
    main()
