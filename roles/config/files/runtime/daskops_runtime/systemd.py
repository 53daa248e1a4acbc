"""Tell systemd when this process is ready, that it is alive, and that it is stopping."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from distributed.core import Server, Status

logger = logging.getLogger("distributed.daskops.systemd")

#: The states that a server does not leave again. A process that sits in one is not alive, whatever its loop does.
ENDED = {Status.closed, Status.failed, Status.stopped}

_reports: dict[Server, asyncio.Task] = {}


def notify(*lines: str) -> None:
    """Send lines such as ``READY=1`` to systemd, or do nothing where no systemd listens"""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):  # the abstract namespace
        path = "\0" + path[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(path)
            sock.sendall("\n".join(lines).encode())
    except OSError as e:
        logger.warning("Could not notify systemd: %s", e)


def describe(server: Server) -> str:
    """The line that `systemctl status` shows"""
    return f"STATUS={type(server).__name__} {server.address} {server.status.name}"


async def report(server: Server) -> None:
    """Report until the server has ended

    This runs on the server's own event loop, so that a loop which is stuck feeds no watchdog. What counts as alive is
    any state but an ended one: a worker that is paused or drains, or a nanny that restarts its worker, is well.
    """
    notify(describe(server))
    # A scheduler is running when it serves, a worker when it is registered, a nanny when its worker is.
    while server.status != Status.running:
        if server.status in ENDED:
            return
        await asyncio.sleep(0.05)
    notify("READY=1", describe(server))
    interval = int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6 / 3
    while interval and server.status not in ENDED:
        notify("WATCHDOG=1", describe(server))
        await asyncio.sleep(interval)


def start(server: Server) -> None:
    """Begin to report; a worker that has a nanny leaves that to the nanny, which is the unit's main process"""
    if os.environ.get("NOTIFY_SOCKET") and not getattr(server, "nanny", None):
        _reports[server] = asyncio.create_task(report(server))


def stop(server: Server) -> None:
    """Say that the server is stopping; from here on systemd's own time-out for stopping counts"""
    task = _reports.pop(server, None)
    if task:
        task.cancel()
        notify("STOPPING=1", describe(server))
