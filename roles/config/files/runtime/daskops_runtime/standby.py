# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait instead of a worker outside of its hours (``dask_worker_hours``), and while the scheduler does not want the worker
(``dask_worker_scaling``).

`launch.py` calls `wait_until_wanted` before it imports Dask, so a unit on standby needs about 20 MB. The scheduler is asked
on its own port, like a worker asks: with TLS, the certificate of the worker authenticates the question, and a proxy in front
of the dashboard does not matter. The few messages are encoded here, because an import of distributed takes a second and
100 MB.

A unit that can start its worker does: if the scheduler cannot be reached, answers something else, or has no such command.
Only a unit that is already on standby keeps waiting for its scheduler.

Outside of its hours, a worker never starts, whatever the scheduler answers. The unit only tells the scheduler when the
worker returns, so that the worker is not missing there.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import socket
import ssl
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack

from daskops_runtime import journal, stop, unit_hours

#: Seconds to wait for the scheduler, for a connection and for each message. Less with a short watchdog interval.
TIMEOUT = 5.0
#: Seconds until the next question: if the scheduler does not say, and at most.
AGAIN, LONGEST = 1.0, 60.0
#: Seconds until a unit outside of its hours tells the scheduler again, if that did not answer or has no such command.
RETRY = 5.0
#: Seconds after the begin of the hours in which systemd's timer restarts the unit. After that, the unit ends by itself. The
#: timer can be missing, or the host was suspended.
TIMER = 5.0
#: Longest text about the hours that a scheduler accepts, in characters.
TEXT = 200
#: Largest message that is read, in bytes.
LARGEST = 100_000
#: The part of Dask's handshake that must be the same on both sides is the version of pickle, which is not used here.
HANDSHAKE = {"compression": None, "python": tuple(sys.version_info)[:3], "pickle-protocol": 5}


class Unreadable(Exception):
    """The other side does not speak the protocol of this module."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Connection:
    """A connection to a scheduler that speaks Dask's protocol: length, number and lengths of frames, frames of msgpack."""

    def __init__(self, address: str, context: ssl.SSLContext | None, timeout: float):
        try:
            url = urlsplit(address)
            host, port = url.hostname, url.port
        except ValueError as e:
            raise Unreadable from e
        if url.scheme not in ("tcp", "tls") or not host or not port:
            raise Unreadable
        self.socket: socket.socket = socket.create_connection((host, port), timeout)
        try:
            if context:
                self.socket = context.wrap_socket(self.socket)
            self.read()  # the handshake of the scheduler
            self.write(HANDSHAKE)
        except BaseException:
            self.socket.close()
            raise

    def write(self, message: Mapping[str, Any]) -> None:
        frame = msgpack.packb(message)
        self.socket.sendall(struct.pack("QQQ", 16 + len(frame), 1, len(frame)) + frame)

    def receive(self, number: int) -> bytes:
        if number > LARGEST:
            raise Unreadable
        data = b""
        while len(data) < number:
            more = self.socket.recv(number - len(data))
            if not more:
                raise ConnectionResetError("the scheduler closed the connection")
            data += more
        return data

    def read(self) -> Any:
        (length,) = struct.unpack("Q", self.receive(8))
        data = self.receive(length)
        try:
            (frames,) = struct.unpack_from("Q", data)
            first, *others = struct.unpack_from(f"{frames}Q", data, 8) if frames <= length // 8 else ()
            begin = 8 + 8 * frames
            self.receive(max(0, begin + first + sum(others) - length))  # large frames are not part of the first length
            return msgpack.unpackb(data[begin : begin + first], strict_map_key=False)
        except (ValueError, struct.error) as e:  # ValueError is also the base of msgpack's exceptions
            raise Unreadable from e

    def ask(self, message: Mapping[str, Any]) -> Any:
        self.write(message)
        return self.read()

    def close(self) -> None:
        self.socket.close()


class Standby:
    """The questions of one unit.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tls://10.0.0.1:8786``.
    name : str
        Name of the worker.
    directory : str
        Directory with ``ca.pem`` and ``worker.pem``. Not used without TLS.
    hours : Calendar, optional
        The hours of the worker.
    scaled : bool
        Whether the scheduler decides about the worker.
    """

    def __init__(
        self,
        address: str,
        name: str,
        directory: str,
        hours: unit_hours.UnitHours | None = None,
        scaled: bool = True,
    ):
        self.address = address
        self.name = name
        self.hours = hours or unit_hours.UnitHours("")
        self.scaled = scaled
        self.outside = ""  # why the worker is outside of its hours
        self.returns = True  # whether that will end
        self.place = journal.find_place(os.path.dirname(stop.socket_path() or ""))
        self.files = [os.path.join(directory, file) for file in ("ca.pem", "worker.pem")]
        self.watchdog = int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6
        self.timeout = min(TIMEOUT, self.watchdog / 3) if self.watchdog else TIMEOUT
        self.connection: Connection | None = None
        self.again = AGAIN

    def context(self) -> ssl.SSLContext | None:
        """Return a TLS context like Dask's, with the present files, which may have changed; None without TLS."""
        if not self.address.startswith("tls://"):
            return None
        authorities, certificate = self.files
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate)
        return context

    def is_wanted(self) -> bool:
        """Ask the scheduler. Raises OSError if it cannot be reached."""
        message: dict[str, Any] = {
            "op": "daskops_standby",
            "name": self.name,
            "release": os.environ.get("DASKOPS_RELEASE", ""),
        }
        if self.place:
            message["place"] = self.place
        if self.outside:
            message["outside"] = self.outside[:TEXT]
            message["returns"] = self.returns
        try:
            if self.connection is None:
                self.connection = Connection(self.address, self.context(), self.timeout)
            answer = self.connection.ask(message)
        except OSError:
            self.close()
            raise
        except Unreadable:
            self.close()
            return True
        if not isinstance(answer, dict) or answer.get("wanted") is not False:
            self.close()
            return True
        again = answer.get("again")
        self.again = min(max(AGAIN, again), LONGEST) if isinstance(again, (int, float)) else AGAIN
        number = answer.get("journals")
        if isinstance(number, int) and number > 0:
            self.send_journals(number)
        return False

    def send_journals(self, number: int) -> None:
        """Send lines of the journals of this host's workers to the scheduler, for a client that calls ``get_logs()``."""
        try:
            journals = journal.limit(journal.read_journals("worker", self.timeout), number)
        except OSError as e:
            say(f"The journals of this host cannot be read: {e}")
            journals = {}
        self.notify("WATCHDOG=1")
        try:
            if self.connection:
                self.connection.ask({"op": "daskops_waiting_journals", "name": self.name, "journals": journals})
        except (OSError, Unreadable):
            self.close()  # the next question needs a new connection

    def is_outside(self) -> bool:
        """Compare the hours with the clock, and tell the scheduler if the worker is outside of them."""
        state = self.hours.look()
        if state.runs and self.outside and state.begin is not None and 0 <= time.time() - state.begin < TIMER:
            return True
        self.outside, self.returns = state.outside, state.begin is not None
        if not self.outside:
            return False
        try:
            if self.is_wanted():  # a scheduler without this command; it logs an error for each question
                self.again = LONGEST
        except OSError:
            self.again = RETRY  # the worker does not start without a scheduler either
        return True

    def may_start(self) -> bool:
        """Return whether the unit must start again, because the hours of the worker have begun or it is wanted."""
        was_outside = bool(self.outside)
        if self.is_outside():
            return False
        if was_outside or not self.scaled:
            return True
        try:
            return self.is_wanted()
        except OSError:
            return False  # the scheduler restarts; a worker would wait for it, too

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None

    def notify(self, *lines: str) -> None:
        """Send lines to systemd, and a status with the digest of the certificates, like `daskops_runtime.systemd`."""
        path = os.environ.get("NOTIFY_SOCKET", "")
        if not path:
            return
        status = f"STATUS=On standby: {self.address} does not need {self.name}"
        if self.outside:
            status = f"STATUS=Outside of its hours {self.outside}"
        if self.address.startswith("tls://"):
            try:
                text = "".join(Path(file).read_text(encoding="utf-8") for file in self.files)
                status += f", certificates {hashlib.sha256(text.encode()).hexdigest()[:12]}"
            except OSError as e:
                say(f"The certificates cannot be read: {e}")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect("\0" + path[1:] if path.startswith("@") else path)
                sock.sendall("\n".join([*lines, status]).encode())
        except OSError as e:
            say(f"Could not notify systemd: {e}")

    def wait(self) -> None:
        """Ask until the worker is wanted, and notify systemd meanwhile."""
        changed = False

        def reload(*dummy: object) -> None:
            nonlocal changed
            changed = True

        signal.signal(signal.SIGHUP, reload)  # ExecReload: the certificates are new
        wakeup, signals = os.pipe()
        os.set_blocking(signals, False)
        signal.set_wakeup_fd(signals)
        if self.outside:
            say(f"{self.name} is outside of its hours {self.outside}")
        else:
            say(f"{self.address} does not need {self.name}, so it is on standby")
        self.notify("READY=1")
        while True:
            end = time.monotonic() + self.again
            while (left := end - time.monotonic()) > 0:
                self.notify("WATCHDOG=1")
                if select.select([wakeup], [], [], min(left, self.watchdog / 3 or left))[0]:
                    os.read(wakeup, 100)
                if changed:
                    changed = False
                    self.close()
            self.notify("WATCHDOG=1")
            if self.may_start():
                return


def worker_name(arguments: Sequence[str]) -> str:
    """Return the name in the command line of a worker."""
    return arguments[arguments.index("--name") + 1] if "--name" in arguments[:-1] else ""


def wait_until_wanted(address: str, arguments: Sequence[str]) -> None:
    """Return if the worker of this process must start.

    If it is wanted only later, exit with 0 then. systemd starts the unit again, and the worker starts like at every other
    start of its unit, with the timeouts of a start.

    Parameters
    ----------
    address : str
        Address of the scheduler.
    arguments : list of str
        Command line of the worker.
    """
    directory = os.environ.pop("DASKOPS_STANDBY_TLS", "")
    hours = unit_hours.UnitHours(os.environ.get("DASKOPS_HOURS", ""))
    standby = Standby(address, worker_name(arguments), directory, hours, bool(os.environ.get("DASKOPS_SCALING")))
    if not standby.is_outside():
        # Ask also without the setting: so the scheduler knows that a worker within its hours again is starting.
        try:
            wanted = standby.is_wanted()
        except OSError as e:
            if standby.scaled:
                say(f"{address} does not say whether it needs this worker ({e}), so the worker starts")
            return
        if wanted or not standby.scaled:
            standby.close()
            return
    standby.wait()
    say("The worker can start now, so this unit starts again")
    sys.exit(0)
