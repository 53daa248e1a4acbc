# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that stops a unit."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from conftest import environment


def stop(**variables):
    command = [sys.executable, "-m", "daskops_runtime.stop"]
    done = subprocess.run(command, env=environment({}, variables), capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_stop_without_a_worker(tmp_path):
    # systemd also runs ExecStop= after the main process has exited by itself.
    assert stop(RUNTIME_DIRECTORY=str(tmp_path)) == (0, "No worker listens: nothing to drain\n")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "control.sock"))
    assert stop(RUNTIME_DIRECTORY=str(tmp_path)) == (0, "No worker listens: nothing to drain\n")


def test_stop_fails_without_a_runtime_directory():
    code, output = stop()
    assert code == 1 and "RUNTIME_DIRECTORY" in output


@pytest.mark.parametrize("timeout", ["soon", "-1", "nan", ""])
def test_stop_replaces_an_invalid_timeout_with_the_default(tmp_path, timeout):
    code, output = stop(RUNTIME_DIRECTORY=str(tmp_path), DASKOPS_DRAIN_TIMEOUT=timeout)
    assert code == 0 and ("300" in output) == bool(timeout)


def test_stop_does_not_wait_for_a_hanging_worker(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "control.sock"))
        silent.listen()
        code, output = stop(RUNTIME_DIRECTORY=str(tmp_path), DASKOPS_DRAIN_TIMEOUT="0")
    assert code == 0 and "deadline" in output


def test_stop_imports_neither_dask_nor_slow_modules():
    code = "import sys, daskops_runtime.stop; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment({}, {}), capture_output=True, text=True)
    assert done.returncode == 0
    assert not {"distributed", "dask", "asyncio", "tornado", "json", "argparse", "logging"} & set(done.stdout.split())
