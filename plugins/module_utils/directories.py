# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create and remove directories of an unprivileged user as root, without acting on anything that this user can replace.

Root goes down a path step by step, from the root directory and by file descriptors, for as long as only root can change the
directory that it is in. From the first directory that somebody else can write to, the rest is done as the unprivileged user:
whatever a symbolic link there leads to, that user could have done the same.

A worker's unit runs this file as a program, so it imports nothing but the standard library:
``directories.py USER DIRECTORY`` creates the directory where it is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import signal
import stat
import sys

#: Symbolic links on a path, as many as Linux follows.
LINKS = 40


def become(user):
    """Give up root's rights for good and act as a user from now on. The same user does not change."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def belongs_to_root(about):
    """Whether only root can change a directory. An access control list shows in the group's bits."""
    return about.st_uid == 0 and not about.st_mode & 0o022


def descend(path):
    """Go down a path as far as only root can change it.

    Parameters
    ----------
    path : str
        An absolute path, existing or not.

    Returns
    -------
    tuple of (int, list of str)
        A file descriptor of the last directory reached, for the caller to close, and the names that remain. No name remains
        if the path is a directory. Otherwise the first one does not exist, or the directory is not root's alone.

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


def make(path, user):
    """Create a directory of a user, and those above it, where it is missing. One that exists is left as it is.

    The process has the user's rights afterwards, if it needed them.

    Raises
    ------
    OSError
        If that is not possible.
    """
    os.umask(0o022)
    here, names = descend(path)
    if names and not belongs_to_root(os.fstat(here)):
        become(user)
        os.fchdir(here)
        os.makedirs(os.path.join(".", *names[:-1]), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(*names), 0o700)
        if not os.path.isdir(os.path.join(*names)):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    elif names:
        account = pwd.getpwnam(user)
        for number, name in enumerate(names, 1):
            with contextlib.suppress(FileExistsError):  # another worker's start has been faster
                os.mkdir(name, 0o755 if number < len(names) else 0o700, dir_fd=here)
            above, here = here, os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here)
            os.close(above)
        os.fchown(here, account.pw_uid, account.pw_gid)
    os.close(here)


def remove(path, user, content):
    """Remove what a user's processes have left in a directory, and the directory itself if nothing else is in it.

    Parameters
    ----------
    path : str
        The directory.
    user : str
        The user. What only root may remove stays.
    content : str
        Name of what is removed from it.
    """
    child = os.fork()
    if not child:
        try:
            become(user)
            shutil.rmtree(os.path.join(path, content), ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(path)
        finally:
            os._exit(0)
    # A process of the user's may stop it, and it would never end.
    while os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
        os.kill(child, signal.SIGKILL)
    above, name = os.path.split(path.rstrip("/"))
    here, names = descend(above)
    if not names and belongs_to_root(os.fstat(here)):
        with contextlib.suppress(OSError):  # it is gone, not empty, a mount point or a link
            os.rmdir(name, dir_fd=here)
    os.close(here)


def main():
    user, path = sys.argv[1:]
    try:
        make(path, user)
    except KeyError:
        sys.exit(f"There is no user {user}. Run site.yml.")
    except OSError as error:
        sys.exit(
            f"The scratch directory {path} cannot be created: {error.strerror}. Create it for the user {user}, or change "
            "dask_worker_scratch_directory."
        )


if __name__ == "__main__":
    main()
