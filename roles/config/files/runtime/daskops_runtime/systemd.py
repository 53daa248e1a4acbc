# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell systemd when this process is ready, that it is alive, and that it is stopping."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from distributed.core import Server, Status

from daskops_runtime import certificates, watchdog

logger = logging.getLogger("distributed.daskops.systemd")

#: The states that a server does not leave again. A process that sits in one is not alive, whatever its loop does.
ENDED = {Status.closed, Status.failed, Status.stopped}

_reports: dict[Server, Report] = {}


class Report:
    """What one server tells systemd

    Its task runs on the server's own event loop, so that a loop which is stuck feeds no watchdog. What counts as alive
    is any state but an ended one: a worker that is paused or drains, or a nanny that restarts its worker, is well.
    """

    def __init__(self, server: Server, path: str):
        self.server = server
        self.path = "\0" + path[1:] if path.startswith("@") else path  # "@" is for the abstract namespace
        self.watchdog = watchdog.make(server, self.send)
        self.task = asyncio.create_task(self.run())

    def send(self, *lines: str) -> bool:
        """Send lines to systemd with the line that `systemctl status` shows; return whether that worked"""
        server = self.server
        status = f"STATUS={type(server).__name__} {server.address} {server.status.name}"
        if certificates.get_digest(server):
            status += f", certificates {certificates.get_digest(server)}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # a systemd that does not read must not stop the loop
                sock.connect(self.path)
                sock.sendall("\n".join([*lines, status]).encode())
        except OSError as e:
            logger.warning("Could not notify systemd: %s", e)
            return False
        return True

    async def run(self) -> None:
        self.send()
        # A scheduler is running when it serves, a worker when it is registered, a nanny when its worker is.
        while self.server.status != Status.running:
            if self.server.status in ENDED:
                return
            await asyncio.sleep(0.05)
        self.send("READY=1")
        if self.watchdog:
            serving = asyncio.create_task(self.watchdog.serve())
            while self.server.status not in ENDED:
                self.watchdog.feed()
                await asyncio.sleep(self.watchdog.interval)
            serving.cancel()
            self.watchdog.end()

    def stop(self) -> None:
        """Report no more"""
        self.task.cancel()
        if self.watchdog:
            self.watchdog.end()
        self.send("STOPPING=1")


async def start(server: Server) -> None:
    """Begin to report, if systemd started this process and this server is what the unit is for

    The socket is taken out of the environment: neither a server that a task starts in this process nor a child process
    may speak for the unit. A worker that has a nanny leaves all to the nanny, which is the unit's main process.
    """
    path = os.environ.pop("NOTIFY_SOCKET", None)
    if path and not getattr(server, "nanny", None):
        report = _reports[server] = Report(server, path)
        if report.watchdog:
            await report.watchdog.begin()


def notify(server: Server, *lines: str) -> None:
    """Send more lines to systemd, such as ``EXTEND_TIMEOUT_USEC=1000000``, if this server reports to it"""
    if server in _reports:
        _reports[server].send(*lines)


def stop(server: Server) -> None:
    """Say that the server is stopping; from here on systemd's own time-out for stopping counts"""
    report = _reports.pop(server, None)
    if report:
        report.stop()
