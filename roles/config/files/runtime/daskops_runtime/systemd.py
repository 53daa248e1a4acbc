# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notify systemd when this process is ready, alive and stopping (sd_notify(3))."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from distributed.core import Server, Status

from daskops_runtime import certificates, watchdog

logger = logging.getLogger("distributed.daskops.systemd")

#: Final states of a server. A process in such a state is not alive, even if its event loop runs.
ENDED = {Status.closed, Status.failed, Status.stopped}

_reports: dict[Server, Report] = {}


class Report:
    """The notifications of one server.

    The task runs on the server's event loop, so a hanging loop sends no watchdog messages. All states except the final ones
    count as alive. For example, a paused or draining worker is healthy, and a nanny that restarts its worker, too.
    """

    def __init__(self, server: Server, path: str):
        self.server = server
        self.path = "\0" + path[1:] if path.startswith("@") else path  # "@" means the abstract namespace
        self.watchdog = watchdog.make(server, self.send)
        self.task = asyncio.create_task(self.run())

    def send(self, *lines: str) -> bool:
        """Send lines and the status for `systemctl status`, and return whether that succeeded."""
        server = self.server
        status = f"STATUS={type(server).__name__} {server.address} {server.status.name}"
        if certificates.get_digest(server):
            status += f", certificates {certificates.get_digest(server)}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # do not block the event loop if systemd does not read
                sock.connect(self.path)
                sock.sendall("\n".join([*lines, status]).encode())
        except OSError as e:
            logger.warning("Could not notify systemd: %s", e)
            return False
        return True

    async def run(self) -> None:
        self.send()
        # The status is `running` when a scheduler serves, and when a worker or a nanny's worker is registered.
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
        """Notify that the server is stopping, and end the watchdog messages."""
        self.task.cancel()
        if self.watchdog:
            self.watchdog.end()
        self.send("STOPPING=1")


async def start(server: Server) -> None:
    """Start to notify systemd, if systemd started this process and the server is the unit's main one.

    Removes NOTIFY_SOCKET from the environment, because child processes and servers that a task starts must not notify for
    this unit. A worker with a nanny does not notify, because the nanny is the unit's main process.
    """
    path = os.environ.pop("NOTIFY_SOCKET", None)
    if path and not getattr(server, "nanny", None):
        report = _reports[server] = Report(server, path)
        if report.watchdog:
            await report.watchdog.begin()


def notify(server: Server, *lines: str) -> None:
    """Send more lines to systemd, such as ``EXTEND_TIMEOUT_USEC=1000000``, if this server notifies it."""
    if server in _reports:
        _reports[server].send(*lines)


def stop(server: Server) -> None:
    """Notify that the server is stopping. From then on, systemd's stop timeout applies."""
    report = _reports.pop(server, None)
    if report:
        report.stop()
