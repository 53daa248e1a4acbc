# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a command to a Dask service of this host at its control socket, which only root and the services' account can use.

Clients can run code in these services. So the time and the size of an answer are limited, and it is validated before it is
used.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from .scheduler_answers import parse_json

#: The socket's name in the runtime directory of the unit.
SOCKET = "control.sock"

#: Largest answer that is read, in bytes. The settings of a service have about 30 kB.
MAX_BYTES = 4 * 2**20


def ask(path: str, command: str, timeout: float) -> Any:
    """Return the decoded JSON of a service's answer to a command.

    Parameters
    ----------
    path : str
        Path of the socket.
    command : str
        The command, one line.
    timeout : float
        Seconds within which the complete answer must arrive.

    Raises
    ------
    OSError
        If no complete answer arrives in time, or if it is longer than `MAX_BYTES`.
    Unreadable
        If the answer is not JSON. This error is a ValueError.
    """
    deadline = time.monotonic() + timeout
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(f"{command}\n".encode())
        while True:
            piece: bytes | None
            try:
                sock.settimeout(max(0.001, deadline - time.monotonic()))  # 0 would disable waiting
                piece = sock.recv(65536)
            except socket.timeout:
                piece = None
            if piece is None or time.monotonic() > deadline:
                raise socket.timeout(f"no complete answer within {timeout:g} s")
            if not piece:
                return parse_json(answer.decode("utf-8", "replace"))
            answer += piece
            if len(answer) > MAX_BYTES:
                raise OSError(f"the answer is longer than {MAX_BYTES} bytes")
