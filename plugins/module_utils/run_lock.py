# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that lets one run at a time change a cluster, as files on one of its hosts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any

#: Only root can read, hold or remove a lock in this directory. A reboot removes it.
DIRECTORY = "/run/daskops"
#: Seconds to wait while another process reads or writes the lock.
GUARD_TIMEOUT = 10
#: Longest text that is read from a lock file, in characters.
LONGEST = 300


class LockError(Exception):
    """The lock cannot be read or written. The message has the reason and the remedy."""


def uptime() -> float:
    """Return the seconds since the host booted, including suspended time. Changes of the clock do not affect it."""
    # Read the same file as the shell command in `renew_command`, because some containers have their own uptime there.
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def printable(value: object) -> str:
    """Return a value that others wrote as one line for a message: at most `LONGEST` characters, all of them printable."""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:LONGEST])


class RunLock:
    """The lock of one run.

    ``holder.json`` names the run that holds the lock. ``RUN.renewed`` contains the uptime of the host, in seconds, when that
    run last renewed the lock. A run renews only its own file, so a run that has lost the lock cannot renew another run's.

    Parameters
    ----------
    run : str
        Name of the run: letters, digits, dots and hyphens.
    directory : str
        Directory of the files.
    """

    def __init__(self, run: str, directory: str = DIRECTORY) -> None:
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,100}", run):
            raise ValueError(f"not a name of a run: {run!r}")
        self.run = run
        self.directory = directory
        self.path = os.path.join(directory, "holder.json")
        self.renewed = os.path.join(directory, f"{run}.renewed")

    def acquire(self, holder: Mapping[str, str], lease: float) -> dict[str, Any] | None:
        """Take the lock if it is free, expired or held by this run.

        Parameters
        ----------
        holder : dict of str
            ``user``, ``controller`` and ``command`` of this run, which other runs report in their messages.
        lease : float
            Seconds after which a lock expires if it is not renewed.

        Returns
        -------
        dict or None
            The other run that holds the lock: the ``holder`` of that run with ``since`` (UTC) and ``seconds`` (since then).
            None if this run now holds the lock.

        Raises
        ------
        LockError
            If the files cannot be used.
        """
        try:
            with self.guard():
                other = self.read(lease)
                if other:
                    return other
                self.write(holder)
        except OSError as error:
            raise LockError(
                f"The lock of the cluster in {self.directory} cannot be used: {error.strerror or error}. "
                "Make sure that root can write to that directory."
            ) from error
        return None

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Prevent other processes from using the files in a ``with`` block."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.directory, 0o700)
        about = os.lstat(self.directory)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise LockError(
                f"{self.directory} is not a directory that only root can write to. Remove it and run again."
            )
        guard = os.open(
            os.path.join(self.directory, "guard"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            deadline = time.monotonic() + GUARD_TIMEOUT
            while True:
                try:
                    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
            yield
        finally:
            os.close(guard)

    def read(self, lease: float) -> dict[str, Any] | None:
        """Return the other run that holds the lock; None if no other run does, or if its lock has expired."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                about = json.loads(file.read(10000))
            run, taken = about["run"], float(about["uptime"])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None  # no lock, or an incomplete file
        if run == self.run:
            return None
        now = uptime()
        if not 0 <= now - max(taken, renewal(self.directory, run)) <= lease:
            return None
        told = {name: printable(about.get(name, "unknown")) for name in ("user", "controller", "command", "since")}
        return {**told, "seconds": max(0, int(now - taken))}

    def write(self, holder: Mapping[str, str]) -> None:
        """Write this run as the holder, and remove the files of the previous holder."""
        taken = {"run": self.run, "uptime": uptime(), "since": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())}
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            with open(self.path, encoding="utf-8", errors="replace") as file:
                before = json.loads(file.read(10000))
            if before["run"] == self.run:
                taken.update(uptime=before["uptime"], since=before["since"])
        for name in os.listdir(self.directory):
            if name.endswith(".renewed") and name != os.path.basename(self.renewed):
                os.remove(os.path.join(self.directory, name))
        for path, text in ((self.renewed, f"{uptime()}\n"), (self.path, json.dumps({**holder, **taken}))):
            descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            os.replace(path + ".new", path)

    @property
    def renew_command(self) -> str:
        """Shell command that renews the lock. Its exit status is 3 if another run has the lock or the host was rebooted."""
        # The file of this run exists until another run takes over the lock, or the host reboots.
        renewed = shlex.quote(self.renewed)
        return f"test -f {renewed} || exit 3; read -r up rest </proc/uptime && echo $up >{renewed}"

    @property
    def release_command(self) -> str:
        """Shell command that releases the lock if this run still holds it."""
        renewed, path = shlex.quote(self.renewed), shlex.quote(self.path)
        return f"test -f {renewed} && rm -f {path} {renewed}; exit 0"


def renewal(directory: str, run: object) -> float:
    """Return the uptime in seconds at which a run last renewed its lock; minus infinity if it never did."""
    if not isinstance(run, str) or not re.fullmatch(r"[A-Za-z0-9.-]{1,100}", run):
        return float("-inf")
    try:
        with open(os.path.join(directory, f"{run}.renewed"), encoding="ascii") as file:
            return float(file.read(100))
    except (OSError, ValueError):
        return float("-inf")
