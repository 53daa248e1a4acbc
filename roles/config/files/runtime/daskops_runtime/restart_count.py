# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the restarts of this unit by systemd, for the metrics.

The numbers are in a file in memory that systemd keeps for the next process of the unit (``FileDescriptorStoreMax=``) until
the unit is stopped. A file in a directory to which tasks can write could prevent the next start, for example as a FIFO.

`launch.py` calls `start` in the unit's main process before it imports Dask, so this does not import it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket

#: Name of the file, and the environment variable with the numbers for the process of the metrics, such as a nanny's worker.
NAME, VARIABLE = "daskops-restarts", "DASKOPS_RESTARTS"
#: First file descriptor that systemd passes.
FIRST = 3
#: Largest size of the file that is read, in bytes.
SIZE = 100


def take_stored() -> int | None:
    """Return the file that systemd has kept; None if there is none. Closes other files."""
    number, names = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or not number.isdigit():
        return None
    found = None
    for fd, name in zip(range(FIRST, FIRST + int(number)), names):
        # A task can store a file, too.
        if found is None and name == NAME and os.readlink(f"/proc/self/fd/{fd}").startswith(f"/memfd:{NAME}"):
            os.set_inheritable(fd, False)
            found = fd
        else:
            os.close(fd)
    return found


def store(fd: int, path: str) -> None:
    """Make systemd keep a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        socket.send_fds(sock, [f"FDSTORE=1\nFDNAME={NAME}".encode()], [fd])


def read(fd: int) -> tuple[int, int, bool]:
    """Return the number of restarts after a success and after a failure, and whether the last process ended by itself."""
    words = os.pread(fd, SIZE, 0).split()
    if len(words) != 3 or not all(word.isdigit() for word in words):
        return 0, 0, True
    successes, failures, ended = map(int, words)
    return successes, failures, bool(ended)


def write(fd: int, successes: int, failures: int, ended: bool) -> None:
    os.pwrite(fd, b"%20d %20d %d" % (successes, failures, ended), 0)


def start() -> None:
    """Count this start of the unit, and put the numbers into the environment. Does nothing without systemd."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    try:
        fd = take_stored()
        if not path:
            return
        successes, failures = 0, 0
        if fd is None:
            fd = os.memfd_create(NAME)
            store(fd, path)
        else:
            successes, failures, ended = read(fd)
            successes, failures = successes + ended, failures + (not ended)
        write(fd, successes, failures, False)
    except (OSError, AttributeError):  # AttributeError: the kernel or Python has no such files
        return
    os.environ[VARIABLE] = f"{successes} {failures}"
    pid, kept = os.getpid(), fd

    def end() -> None:
        if os.getpid() == pid:  # not in a child process of a task
            with contextlib.suppress(OSError):  # a task can close the file
                write(kept, successes, failures, True)

    atexit.register(end)


def take_numbers() -> dict[str, int] | None:
    """Return the number of restarts by the result of the process before, and remove it from the environment."""
    words = os.environ.pop(VARIABLE, "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return dict(zip(("success", "failure"), map(int, words)))
