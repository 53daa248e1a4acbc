# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket of a service."""

from __future__ import annotations

import contextlib
import socket
import stat


def test_socket_is_private_and_survives_invalid_requests(shared):
    (odd,) = shared.start("odd")
    assert stat.S_IMODE(odd.socket.stat().st_mode) == 0o600
    for nonsense in (b"", b"\n", b"drain soon\n", b"drain -1\n", b"drain nan\n", b"x" * 100_000, b"\xff\n"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(odd.socket))
            with contextlib.suppress(OSError):
                sock.sendall(nonsense)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(20)
            with contextlib.suppress(ConnectionError):
                sock.recv(1000)
    assert "odd" in shared.names()
    assert "drained in" in odd.stop()


def test_tasks_do_not_inherit_the_socket(shared):
    def start_another():
        from distributed import LocalCluster

        with LocalCluster(n_workers=1, processes=True, dashboard_address=None) as other:
            return list(other.scheduler.workers)

    (outer,) = shared.start("outer", settings={"worker.daemon": False})
    before = outer.socket.stat()
    assert shared.on("outer", start_another).result(60)
    assert outer.socket.stat() == before
    assert "drained in" in outer.stop()


def test_no_socket_without_a_runtime_directory(shared):
    (bare,) = shared.start("bare", RUNTIME_DIRECTORY="")
    assert not bare.socket.exists()
    assert "RUNTIME_DIRECTORY" in bare.errors()
