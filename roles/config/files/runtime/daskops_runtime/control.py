# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket of a service, ``control.sock`` in its unit's runtime directory, for root and the service's account.

A request is one line with a command and its arguments. Each command defines the format of its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from distributed.core import Server

from daskops_runtime.stop import socket_path

logger = logging.getLogger("distributed.daskops.control")

#: Takes the reader, the writer, and the arguments as strings. Raises NotUnderstood if the arguments are invalid.
Command = Callable[..., Awaitable[None]]


class NotUnderstood(Exception):
    """The command is unknown, or its arguments are invalid."""


_sockets: dict[Server, Socket] = {}


class Socket:
    def __init__(self, path: str, commands: dict[str, Command]):
        self.path = path
        self.commands = commands
        self.server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)  # the socket of a worker that the nanny has replaced
            sock.bind(self.path)
            os.chmod(self.path, 0o600)  # the socket does not listen yet, so no other account can have connected
            self.server = await asyncio.start_unix_server(self.serve, sock=sock, limit=1000)
        except OSError as e:
            sock.close()
            logger.warning("The control socket %s is not available: %s", self.path, e)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            name, *arguments = (await reader.readline()).decode().split()
            command = self.commands[name](reader, writer, *arguments)
        except (ConnectionError, KeyError, TypeError, ValueError):
            command = None
        try:
            if command is None:
                raise NotUnderstood
            await command
        except NotUnderstood:
            writer.write(b"not understood\n")
        except ConnectionError:
            pass
        except Exception:
            logger.exception("A command of the control socket failed")
        # Do not close in a `finally`. SIGTERM cancels this task, but a drain must still send its last line.
        writer.close()

    def close(self) -> None:
        if self.server:
            self.server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


async def start(server: Server, commands: dict[str, Command]) -> None:
    """Open the socket, if the unit has a runtime directory.

    Removes RUNTIME_DIRECTORY from the environment, because a worker that a task starts, in this process or a child process,
    must not replace the socket of the unit's worker.
    """
    path = socket_path()
    os.environ.pop("RUNTIME_DIRECTORY", None)
    if not path:
        logger.info("RUNTIME_DIRECTORY is not set, so no control socket is opened")
        return
    _sockets[server] = Socket(path, commands)
    await _sockets[server].open()


def get_directory(server: Server) -> str | None:
    """Return the unit's runtime directory; None if there is none."""
    return os.path.dirname(_sockets[server].path) if server in _sockets else None


def stop(server: Server) -> None:
    opened = _sockets.pop(server, None)
    if opened:
        opened.close()
