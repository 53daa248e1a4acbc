# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on a host, which prevent two modules from changing the same things at the same time.

Every user who can open a file, even only for reading, can lock it with ``flock``. So the files are in a directory that only
root can enter, and the wait for a lock has a limit.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

#: Directory of the locks. Only root can write to ``/run``.
DIRECTORY = "/run/daskops"

#: Seconds to wait for a lock. The module of an interrupted run may still be draining workers.
TIMEOUT = 900.0

# Descriptors of the locks that this process holds.
_held: list[int] = []


class HostLockError(Exception):
    """A lock is not available. The message names the process that holds it, and the remedy."""


def take_lock(name: str, timeout: float = TIMEOUT, directory: str = DIRECTORY) -> None:
    """Take a lock, which this process holds until it ends.

    Parameters
    ----------
    name : str
        Name of the lock, such as ``services``.
    timeout : float
        Seconds to wait while another process holds it.
    directory : str
        Directory of the locks. It is created with mode 0700 if it does not exist.

    Raises
    ------
    HostLockError
        If the directory belongs to another user, or the lock is still held after ``timeout`` seconds.
    """
    path = os.path.join(directory, f"{name}.lock")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        inside = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            about = os.fstat(inside)
            if about.st_uid != os.geteuid() or about.st_mode & 0o077:
                raise HostLockError(
                    f"{directory} must belong to the account that runs this module, and have mode 0700. Remove it, and run "
                    "again."
                )
            lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=inside)
        finally:
            os.close(inside)
    except OSError as error:
        raise HostLockError(f"{path} cannot be opened: {error.strerror}. Remove it, and run again.") from None
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            holder = os.pread(lock, 200, 0).decode("ascii", "replace").strip() or "an unknown process"
            os.close(lock)
            raise HostLockError(
                f"{path} is locked by {holder}, and was not released within {timeout:.0f} s. Another run changes this host, "
                "or a module of an interrupted run still does, for example because it drains workers. Wait until that "
                "process ends, or end it, and run again."
            )
        time.sleep(0.2)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode(), 0)
    _held.append(lock)


@contextlib.contextmanager
def locked(name: str, timeout: float = TIMEOUT, directory: str = DIRECTORY) -> Iterator[None]:
    """Hold a lock in a ``with`` block. Parameters and errors are those of `take_lock`."""
    take_lock(name, timeout, directory)
    lock = _held[-1]
    try:
        yield
    finally:
        _held.remove(lock)
        os.close(lock)
