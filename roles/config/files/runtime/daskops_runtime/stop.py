# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain the worker of this unit and wait until it has gone: ``ExecStop=.../python -m daskops_runtime.stop``

systemd runs it before it sends any signal, and also when the main process has ended by itself. Whatever becomes of the
drain, systemd then ends what is left of the unit, so this exits with 0: a failure here would mark a unit as failed that
did as it was told. It imports next to nothing, for it runs once for each worker of a host that shuts down.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

#: Of the worker's socket, in the unit's runtime directory.
NAME = "control.sock"
#: Seconds, where ``DASKOPS_DRAIN_TIMEOUT`` does not tell.
TIMEOUT = 300.0
#: How a worker's lines begin as long as it drains.
DRAINING = "draining"
#: How they end if it does not, and will not go by itself either.
NOTHING = "nothing to drain"
#: Seconds that a process may take to end once its worker is closed; a nanny notices that of its worker late.
GRACE = 5.0


def say(text: str) -> None:
    print(text, flush=True)  # each line goes to the journal when it is said


def socket_path() -> str | None:
    """Path of the worker's socket; None outside of a unit that has a runtime directory"""
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # systemd lists several with colons
    return os.path.join(directory, NAME) if directory else None


def parse_timeout(text: str) -> float:
    """Number of seconds in a text; raises ValueError if it is none"""
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"not a time: {text}")
    return seconds


def get_timeout() -> float:
    """Seconds from the environment that a drain may take"""
    text = os.environ.get("DASKOPS_DRAIN_TIMEOUT") or str(TIMEOUT)
    try:
        return parse_timeout(text)
    except ValueError:
        say(f"DASKOPS_DRAIN_TIMEOUT is {text!r}, which is no number of seconds: taking {TIMEOUT:g}")
        return TIMEOUT


class MainProcess:
    """The unit's main process: the worker, or its nanny"""

    def __init__(self) -> None:
        self.fd: int | None = None
        try:
            self.fd = os.pidfd_open(int(os.environ["MAINPID"]))
        except (KeyError, ValueError, OSError, AttributeError):
            pass  # it has gone, or the kernel or Python is too old to wait for it: then systemd does

    def abort(self) -> None:
        """End it where its event loop hangs and no signal would be handled; faulthandler writes the stacks to the journal"""
        if self.fd is not None:
            try:
                signal.pidfd_send_signal(self.fd, signal.SIGABRT)
            except ProcessLookupError:
                pass  # it has gone in this moment

    def ended(self, seconds: float) -> bool:
        """Wait for its end; True also where there is nothing to wait for"""
        return self.fd is None or bool(select.select([self.fd], [], [], max(0.0, seconds))[0])


def listen(path: str, timeout: float, deadline: float) -> str | None:
    """Ask the worker to drain and pass on what it says until it hangs up

    Returns
    -------
    str, optional
        What it said last; None if no worker was there. Raises TimeoutError when it still is there at the deadline.
    """
    last = ""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            sock.sendall(f"drain {timeout:.3f}\n".encode())
        except (FileNotFoundError, ConnectionError):
            return None
        rest = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            try:
                data = sock.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                return last
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                last = line.decode(errors="replace")
                say(last)


def main() -> int:
    path = socket_path()
    if not path:
        say("RUNTIME_DIRECTORY is not set: this is to be run by the unit of a worker")
        return 1
    timeout = get_timeout()
    deadline = time.monotonic() + timeout + GRACE
    process = MainProcess()
    try:
        while True:
            last = listen(path, max(0.0, deadline - GRACE - time.monotonic()), deadline)
            if last is None:
                say(f"No worker listens: {NOTHING}")
                return 0
            if last.endswith(NOTHING) or process.ended(min(GRACE, deadline - time.monotonic())):
                return 0
            if not last.startswith(DRAINING):
                return 0
            # Cut off, and a nanny is still there: a client's restart() may have it put a new worker in the old one's place.
    except PermissionError:
        say(f"May not open {path}: only the worker's user and root may")
        return 1
    except (TimeoutError, socket.timeout):
        say("The deadline is over and the worker still there: ending it; what it ran and held is lost")
        process.abort()
        return 0


if __name__ == "__main__":
    sys.exit(main())
