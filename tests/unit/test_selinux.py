# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux contexts of files, with stand-ins for the tools of a host with SELinux."""

import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import selinux


class Module:
    """The part of AnsibleModule that `selinux` uses; its tools are scripts in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.warnings = []

    def get_bin_path(self, name):
        return str(self.directory / name) if (self.directory / name).exists() else None

    def run_command(self, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture
def module(tmp_path):
    return Module(tmp_path)


@pytest.fixture
def enforce(tmp_path, monkeypatch):
    """Return a function that sets whether SELinux is enforced; without a call, the host has no SELinux."""
    monkeypatch.setattr(selinux, "ENFORCE", str(tmp_path / "enforce"))
    return (tmp_path / "enforce").write_text


def script(module, name, text):
    (module.directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (module.directory / name).chmod(0o755)


def test_type_is_that_of_the_policy(module, enforce):
    script(module, "matchpathcon", '[ "$*" = "-n -m file /opt/dask/bin/python" ] && echo system_u:object_r:bin_t:s0')
    assert selinux.type_of(module, "/opt/dask/bin/python") == ""
    for value in ("0\n", "1\n"):
        enforce(value)
        assert selinux.type_of(module, "/opt/dask/bin/python") == ("bin_t" if value == "1\n" else "")
    assert selinux.type_of(module, "/srv/python") == ""


@pytest.mark.parametrize("text", ["echo '<<none>>'", "exit 1"])
def test_type_of_a_path_without_context_is_empty(module, enforce, text):
    script(module, "matchpathcon", text)
    enforce("1")
    assert selinux.type_of(module, "/srv/python") == ""


def test_new_files_get_the_contexts_of_the_policy(module, enforce):
    script(module, "restorecon", f'echo "$*" >>{module.directory}/log')
    selinux.relabel(module, "/opt/dask/environments/a")
    assert not (module.directory / "log").exists()
    for value in ("0", "1"):
        enforce(value)
        selinux.relabel(module, "/opt/dask/environments/a")
    assert (module.directory / "log").read_text() == "-R /opt/dask/environments/a\n" * 2
    assert module.warnings == []


def test_failed_relabelling_is_a_warning(module, enforce):
    script(module, "restorecon", "echo 'restorecon: not permitted' >&2; exit 1")
    enforce("1")
    selinux.relabel(module, "/opt/dask/environments/a")
    assert module.warnings == [
        "The SELinux contexts of /opt/dask/environments/a could not be set, so services may not start: restorecon: not "
        "permitted. Run this on the host: restorecon -R /opt/dask/environments/a"
    ]


def test_host_without_the_tools_is_left_alone(module, enforce):
    enforce("1")
    assert selinux.type_of(module, "/opt/dask/bin/python") == ""
    selinux.relabel(module, "/opt/dask/environments/a")
    assert module.warnings == []
