# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preload of the scheduler."""

import json
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from conftest import scheduler


@pytest.fixture
def directory():
    """Return a runtime directory with a path that is short enough for a Unix socket."""
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


def ask(path, line):
    """Return the answer at the control socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path / "control.sock"))
        sock.sendall(line)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_control_socket_has_the_commands_of_a_scheduler_only(directory):
    with scheduler(directory, runtime=True, RUNTIME_DIRECTORY=str(directory)) as started:
        assert json.loads(ask(directory, b"clients\n")) == {"clients": [], "more": 0}
        assert json.loads(ask(directory, b"configuration\n"))["drift"] == []
        assert ask(directory, b"drain 5\n") == b"not understood\n"
        started.process.terminate()
        assert started.process.wait(20) == 0
    assert not (directory / "control.sock").exists()


def test_scheduler_without_a_runtime_directory_has_no_socket(directory):
    with scheduler(directory, runtime=True):
        assert [path.name for path in directory.iterdir()] == ["scheduler.json"]
