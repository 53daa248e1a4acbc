# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain the worker of this unit, and wait until it ends: ``ExecStop=.../python -m daskops_runtime.stop``.

systemd runs this program before it sends a signal, and also when the main process has exited on its own. Afterwards systemd
ends the remaining processes of the unit. The exit status is 0 even if the drain fails, because another status would mark the
unit as failed. The program imports few modules, because a host that shuts down runs it once for each worker.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

#: Name of the control socket in the unit's runtime directory.
NAME = "control.sock"
#: Drain timeout in seconds, if ``DASKOPS_DRAIN_TIMEOUT`` is not set.
TIMEOUT = 300.0
#: Start of a worker's lines while it drains.
DRAINING = "draining"
#: End of a worker's line if it does not drain and does not exit by itself.
NOTHING = "nothing to drain"
#: Seconds from the end of the drain to the end of the process. A nanny notices the end of its worker with a delay.
GRACE = 5.0


def say(text: str) -> None:
    print(text, flush=True)  # flush, so that each line reaches the journal at once


def socket_path() -> str | None:
    """Return the path of the control socket; None without a runtime directory."""
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # several directories are separated by colons
    return os.path.join(directory, NAME) if directory else None


def parse_timeout(text: str) -> float:
    """Return the number of seconds in a text. Raises ValueError if it is not a finite number of 0 or more."""
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"not a time: {text}")
    return seconds


def get_timeout() -> float:
    """Return the drain timeout from the environment in seconds."""
    text = os.environ.get("DASKOPS_DRAIN_TIMEOUT") or str(TIMEOUT)
    try:
        return parse_timeout(text)
    except ValueError:
        say(f"DASKOPS_DRAIN_TIMEOUT is {text!r}, which is not a number of seconds. Using {TIMEOUT:g}")
        return TIMEOUT


class MainProcess:
    """The unit's main process, which is the worker or its nanny."""

    def __init__(self) -> None:
        self.fd: int | None = None
        try:
            self.fd = os.pidfd_open(int(os.environ["MAINPID"]))
        except (KeyError, ValueError, OSError, AttributeError):
            pass  # the process has exited, or Linux before 5.3 or Python before 3.9 is used; then systemd waits for it

    def abort(self) -> None:
        """Abort the process. Its event loop may hang and ignore SIGTERM. faulthandler writes the stacks to stderr."""
        if self.fd is not None:
            try:
                signal.pidfd_send_signal(self.fd, signal.SIGABRT)
            except ProcessLookupError:
                pass  # the process has just exited

    def ended(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until the process ends, and return whether it has ended or is unknown."""
        return self.fd is None or bool(select.select([self.fd], [], [], max(0.0, seconds))[0])


def listen(path: str, timeout: float, deadline: float) -> str | None:
    """Send the command to drain, and print the worker's lines until it closes the connection.

    Returns
    -------
    str, optional
        The last line. None if no worker listens. Raises TimeoutError at the deadline.
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
        say("RUNTIME_DIRECTORY is not set. Run this program from ExecStop= of a worker's unit")
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
            # The connection was closed during the drain, but the nanny still runs. A client's restart() may replace the
            # worker.
    except PermissionError:
        say(f"{path}: permission denied. Only root and the worker's account can open it")
        return 1
    except (TimeoutError, socket.timeout):
        say("The worker still runs at the deadline and is aborted. Its tasks and data are lost")
        process.abort()
        return 0


if __name__ == "__main__":
    sys.exit(main())
