# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installation of the user's own code on a host."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import Application, pack, read_wheel
from conftest import ROOT
from wheels import build_wheel


@pytest.fixture
def made(tmp_path):
    """Return an application and its archive."""
    wheel = build_wheel(
        tmp_path, "analysis", "1.4", more={"analysis_data/x.txt": "1", "template.py": "{{ no python }}\n"}
    )
    application = Application([read_wheel(str(wheel), False)])
    return application, pack(application, str(tmp_path / "cache"))


def install(tmp_path, application, archive, current="", there=(), check=False):
    """Install an application on this host; return the exit status, the result, and the output."""
    environment = tmp_path / "home/environments/e1/bin"
    if not environment.exists():
        environment.mkdir(parents=True)
        (environment / "python").symlink_to(sys.executable)
    about = {"application_archive": archive, "release": {"environment": "e1"}}
    plan = {
        "application": {"id": application.id, "packages": application.packages},
        "hosts": {"localhost": about},
    }
    arguments = {"home": str(tmp_path / "home"), "plan": plan}
    known = {name: {"id": name, "packages": {"analysis": "1.3"}} for name in there}
    info = {"__dask_host": {"applications": known, "current": {"application": current} if current else {}}}
    command = ["ansible", "localhost", "-m", "daskops.cluster.application", "-a", json.dumps(arguments)]
    command += ["-e", json.dumps(info), *(["--check"] if check else []), "--diff"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    output = run.stdout + run.stderr
    return run.returncode, output


def names(tmp_path):
    """Return what is in the directory of applications."""
    directory = tmp_path / "home/applications"
    return sorted(os.listdir(directory)) if directory.exists() else []


def test_application_is_installed_once(tmp_path, made):
    application, archive = made
    status, output = install(tmp_path, application, archive, check=True)
    assert status == 0 and '"changed": true' in output and names(tmp_path) == [], output
    status, output = install(tmp_path, application, archive)
    assert status == 0 and '"changed": true' in output, output
    assert "+analysis==1.4 (in " in output
    assert names(tmp_path) == [".locks", application.id]
    directory = tmp_path / "home/applications" / application.id
    assert (directory / "modules/analysis_data/x.txt").read_text() == "1"
    # Services cannot write bytecode. A file that does not compile prevents nothing.
    assert list((directory / "modules/__pycache__").glob("analysis.*.pyc"))
    assert not list((directory / "modules/__pycache__").glob("template.*.pyc"))
    assert not os.stat(directory / "modules/analysis.py").st_mode & 0o022
    (directory / "modules/marked").touch()
    status, output = install(tmp_path, application, archive, application.id, [application.id])
    assert status == 0 and '"changed": false' in output and (directory / "modules/marked").exists(), output


def test_changed_wheels_are_shown(tmp_path, made):
    status, output = install(tmp_path, *made, current="a1", there=["a1"])
    assert status == 0 and "-analysis==1.3 (in a1)" in output and f"+analysis==1.4 (in {made[0].id})" in output, output


def test_incomplete_application_is_replaced(tmp_path, made):
    broken = tmp_path / "home/applications" / made[0].id
    broken.mkdir(parents=True)
    (broken / "of-the-broken-one").touch()
    (tmp_path / "home/applications/.partial-other").mkdir()
    assert install(tmp_path, *made)[0] == 0
    assert names(tmp_path) == [".locks", made[0].id] and not (broken / "of-the-broken-one").exists()


def with_member(archive, name, content=b"", **about):
    """Add a member to an archive."""
    with tarfile.open(archive) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(archive, "w:gz") as tar:
        for member, text in members:
            tar.addfile(member, io.BytesIO(text))
        added = tarfile.TarInfo(name)
        added.size = len(content)
        for attribute, value in about.items():
            setattr(added, attribute, value)
        tar.addfile(added, io.BytesIO(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: os.truncate(archive, os.path.getsize(archive) // 2),
        lambda archive: with_member(archive, "modules/more.py"),
        lambda archive: with_member(archive, "../../escaped.py"),
        lambda archive: with_member(archive, "/escaped.py"),
        lambda archive: with_member(archive, "modules/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        lambda archive: Path(archive).write_bytes(b"no archive"),
    ],
)
def test_damaged_archive_is_rejected(tmp_path, made, damage):
    application, archive = made
    damaged = shutil.copy(archive, tmp_path / "damaged.tar.gz")
    damage(damaged)
    status, output = install(tmp_path, application, str(damaged))
    assert status != 0 and "its archive is damaged" in output, output
    assert f"Remove application-{application.id}.tar.gz from dask_cache on the controller" in output
    assert names(tmp_path) == [".locks"] and not (tmp_path / "home/escaped.py").exists()
    assert install(tmp_path, application, archive)[0] == 0
