# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a service's journal, which a failed start reports."""

import os
import subprocess
import time
from types import SimpleNamespace

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import journals
from ansible_collections.daskops.cluster.plugins.modules.change_services import Host
from ansible_collections.daskops.cluster.plugins.modules.try_release import Trial
from ansible_collections.daskops.cluster.plugins.plugin_utils._services import ServicesAction

UNIT = "dask-worker@1.service"
LONG = "yes | tr -d '\\n' | head -c 20000000"


@pytest.fixture
def journalctl(tmp_path, monkeypatch):
    """Return a function that replaces journalctl by lines of shell."""

    def replace(text):
        (tmp_path / "journalctl").write_text(f'#!/bin/sh\n[ "$1" = --sync ] || {{ {text}; }}\n')
        (tmp_path / "journalctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return replace


def run(command, **_options):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert len(done.stdout) <= journals.LIMIT
    return done.returncode, done.stdout, done.stderr


def by_change_services():
    return Host.journal(SimpleNamespace(module=SimpleNamespace(run_command=run)), UNIT)


def by_try_release():
    trial = SimpleNamespace(module=SimpleNamespace(run_command=run), secrets={"hunter2"})
    return Trial.journal(trial, UNIT.removesuffix(".service"))


def by_the_controller():
    def execute(command, executable):
        return {"stdout": run([executable, "-c", command])[1]}

    return ServicesAction.journal(SimpleNamespace(_low_level_execute_command=execute), UNIT)


@pytest.mark.parametrize("read", [by_change_services, by_try_release, by_the_controller])
def test_long_entry_is_not_read_as_a_whole(journalctl, read):
    journalctl(f'{LONG}\necho; echo "the last words\x1b[2J"')
    assert read().endswith("yyy\nthe last words?[2J")


def test_secrets_are_not_in_the_journal_of_a_trial(journalctl):
    journalctl("echo the password is hunter2")
    assert by_try_release() == "the password is ********"


def test_options_name_the_unit_and_the_lines(journalctl):
    journalctl('echo "$@"; echo a hint >&2')
    assert journals.last_lines(UNIT, 15) == f"--no-pager --output=cat --lines=15 --unit={UNIT}"


def test_endless_journal_ends(journalctl, monkeypatch):
    monkeypatch.setattr(journals, "TIMEOUT", 1)
    journalctl("echo first; exec sleep 600")
    begin = time.monotonic()
    assert journals.last_lines(UNIT, 15) == "first" and time.monotonic() - begin < 5
