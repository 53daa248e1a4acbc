# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of pip on the controller."""

import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import PackagesError
from ansible_collections.daskops.cluster.plugins.plugin_utils.pip import run_pip


@pytest.fixture
def called(monkeypatch):
    """Return the commands that were run, with their environment variables, instead of running them."""
    commands = []

    def run(command, env, **dummy):
        commands.append((command, env))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_index_is_passed_where_other_users_cannot_read_it(called):
    run_pip(["download", "dask"], "http://ada:canary@index.example:8080/simple", {"ONE": "more"})
    ((command, environment),) = called
    assert command[:5] == [sys.executable, "-m", "pip", "download", "dask"]
    assert "--trusted-host=index.example" in command and "canary" not in str(command)
    assert (
        environment["PIP_INDEX_URL"] == "http://ada:canary@index.example:8080/simple" and environment["ONE"] == "more"
    )


def test_index_with_tls_is_not_trusted_without_it(called):
    run_pip(["download", "dask"], "https://index.example/simple")
    assert "--trusted-host" not in str(called[0][0])


def test_settings_of_pip_are_kept_without_an_index(called, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://mine.example")
    run_pip(["download", "dask"], "")
    assert called[0][1]["PIP_INDEX_URL"] == "https://mine.example"


def test_output_of_a_failed_command_is_returned():
    done = run_pip(["no-such-command"], "")
    assert done.returncode != 0 and 'unknown command "no-such-command"' in done.stderr


def test_missing_pip_is_reported(monkeypatch, tmp_path):
    # A Python without packages, as distributions install it.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(PackagesError, match=f"the controller's Python .{python}. has no pip, which fetches packages"):
        run_pip(["--version"], "")
