# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests at the control socket of a service."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import service_socket


@contextlib.contextmanager
def answering_at_a_socket(directory, piece, pause):
    """Serve a Unix socket that sends a piece repeatedly, and return its path."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                while True:
                    self.request.sendall(piece)
                    time.sleep(pause)

    path = str(directory / "control.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield path
        server.shutdown()


@pytest.mark.parametrize(
    ("piece", "pause", "words"), [(b" ", 0.05, "no complete answer within 0.5 s"), (b" " * 2**20, 0, "longer than")]
)
def test_endless_response_of_the_control_socket_is_cut_off(tmp_path, piece, pause, words):
    started = time.monotonic()
    with answering_at_a_socket(tmp_path, piece, pause) as path, pytest.raises(OSError, match=words):
        service_socket.ask(path, "clients", 0.5 if pause else 20)
    assert time.monotonic() - started < 10
