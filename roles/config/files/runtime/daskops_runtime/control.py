# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of a service: at ``control.sock`` in its unit's runtime directory it does what root or its own user asks for.

A line is a command and its arguments; what the answer looks like is the command's own matter.
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

#: Takes the reader, the writer and the words that follow the command; raises NotUnderstood if it cannot use these.
Command = Callable[..., Awaitable[None]]


class NotUnderstood(Exception):
    """What was asked for is nothing that this service does."""


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
                os.unlink(self.path)  # of a worker that the nanny replaces
            sock.bind(self.path)
            os.chmod(self.path, 0o600)  # nobody can connect before it listens
            self.server = await asyncio.start_unix_server(self.serve, sock=sock, limit=1000)
        except OSError as e:
            sock.close()
            logger.warning("Nobody can ask for anything: could not listen on %s: %s", self.path, e)

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
            logger.exception("What was asked for at the socket failed")
        # Not when this is cancelled, as all is on SIGTERM: a drain has its last line to say then.
        writer.close()

    def close(self) -> None:
        if self.server:
            self.server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


async def start(server: Server, commands: dict[str, Command]) -> None:
    """Open the socket, in a unit that has a runtime directory

    The variable is taken out of the environment: a worker that a task starts, in this process or in a child, is not
    the one that the unit's stop means.
    """
    path = socket_path()
    os.environ.pop("RUNTIME_DIRECTORY", None)
    if not path:
        logger.info("RUNTIME_DIRECTORY is not set, so this is no unit that could be asked for anything")
        return
    _sockets[server] = Socket(path, commands)
    await _sockets[server].open()


def get_directory(server: Server) -> str | None:
    """The unit's runtime directory, where there is one"""
    return os.path.dirname(_sockets[server].path) if server in _sockets else None


def stop(server: Server) -> None:
    opened = _sockets.pop(server, None)
    if opened:
        opened.close()
