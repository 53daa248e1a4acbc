# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client accounts: how Dask connects there, and how the files are installed and removed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.filter.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.modules import client_bundle
from client_accounts import EARLIER, LOCK, get_options, make_home, run_module
from wheels import build_wheel, lock_line

ADDRESS = "tls://10.0.0.1:8786"


@pytest.fixture(scope="module")
def home(certificates, tmp_path_factory):
    """Return the home of an account with the files for the cluster at `ADDRESS`."""
    return make_home(tmp_path_factory.mktemp("home"), certificates, ADDRESS)


def test_second_run_and_check_mode_change_nothing(home, certificates):
    directory = home / ".config/dask"
    options = get_options(certificates, ADDRESS)
    code, output = run_module(directory, **options)
    assert code == 0 and "SUCCESS" in output
    before = {path.name: path.read_text() for path in directory.glob("daskops*")}
    code, output = run_module(directory, check=True, **{**options, "dashboard": "https://other.example.org/status"})
    assert code == 0 and "CHANGED" in output and "https://other.example.org/status" in output
    code, output = run_module(directory, check=True, state="absent", address=ADDRESS)
    assert code == 0 and "CHANGED" in output
    assert before == {path.name: path.read_text() for path in directory.glob("daskops*")}


def test_all_files_are_removed(home, tmp_path):
    directory = Path(shutil.copytree(home / ".config/dask", tmp_path / "dask"))
    (directory / "__pycache__").mkdir(exist_ok=True)
    (directory / "__pycache__/daskops_client.cpython-311.pyc").touch()
    (directory / "own.yaml").write_text("{}")
    code, output = run_module(directory, state="absent", address="tls://other:8786")
    assert code == 0 and f'"other": "{ADDRESS}"' in output
    assert (directory / "daskops-client.pem").exists()
    code, output = run_module(directory, state="absent", address=ADDRESS)
    assert code == 0, output
    assert [path.name for path in directory.iterdir()] == ["own.yaml"]
    code, output = run_module(directory, state="absent", address=ADDRESS)
    assert code == 0 and "SUCCESS" in output


def test_files_of_an_earlier_version_are_removed(tmp_path):
    (tmp_path / "daskops.yaml").write_text(EARLIER.format(address="tls://10.0.0.1:8786"))
    (tmp_path / "daskops-environment.txt").write_text(LOCK)
    code, output = run_module(tmp_path, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0, output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["own: file\n", client_bundle.HEADER, f"{client_bundle.HEADER}\n  client: {{}}\n", "\0"]
)
def test_files_of_other_programs_are_kept(tmp_path, text):
    (tmp_path / "daskops.yaml").write_text(text)
    code, output = run_module(tmp_path, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0 and "SUCCESS" in output
    assert (tmp_path / "daskops.yaml").read_text() == text


def test_link_is_replaced_and_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("untouched")
    directory = tmp_path / "dask"
    directory.mkdir()
    (directory / "daskops.yaml").symlink_to(target)
    code, output = run_module(
        directory, address="tcp://10.0.0.1:8786", dashboard="http://10.0.0.1:8787", preload="", lock=LOCK
    )
    assert code == 0, output
    assert target.read_text() == "untouched" and not (directory / "daskops.yaml").is_symlink()
    assert yaml.safe_load((directory / "daskops.yaml").read_text())["daskops"]["client"]["security"] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write to another user's directory")
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("whose", ["another user's", "everybody's", "linked"])
def test_root_does_not_write_to_directories_that_others_can_change(tmp_path, whose, state):
    tmp_path.chmod(0o755)
    directory = tmp_path / "home/.config/dask"
    directory.mkdir(parents=True)
    if whose == "everybody's":
        (tmp_path / "home").chmod(0o777)
    else:
        os.chown(tmp_path / "home", 65534, 65534)
    if whose == "linked":
        (tmp_path / "link").symlink_to(directory)
        directory = tmp_path / "link"
    (directory / "daskops.yaml").write_text(EARLIER.format(address="tcp://10.0.0.1:8786"))
    options = {"address": "tcp://10.0.0.1:8786", "dashboard": "http://10.0.0.1:8787", "preload": "", "lock": LOCK}
    code, output = run_module(directory, state=state, **options)
    assert code != 0
    assert f"other users can change {tmp_path}/home, so root does not write there. Connect as the user" in output
    assert [path.name for path in directory.iterdir()] == ["daskops.yaml"]


def test_directory_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    options = {"address": "tcp://10.0.0.1:8786", "dashboard": "http://10.0.0.1:8787", "preload": "", "lock": LOCK}
    code, output = run_module(tmp_path / "file/dask", **options)
    assert code != 0
    assert "Not a directory" in output and "Traceback" not in output


def test_wheels_of_the_lock_are_installed_and_removed_with_it(certificates, tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"./{wheel.name} {lock_line(wheel).split(' ', 1)[1]}")
    directory = tmp_path / ".config/dask"
    options = {**get_options(certificates, "tls://10.0.0.1:8786"), **{"lock": client_lock(str(lock))["text"]}}
    code, output = run_module(directory, **options, wheels=client_lock(str(lock))["wheels"])
    assert code == 0, output
    program = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--require-hashes",
        "--target",
        str(tmp_path / "target"),
    ]
    subprocess.run([*program, "--requirement", str(directory / "daskops-environment.txt")], check=True, cwd="/")
    assert (tmp_path / "target/mycode.py").exists()
    code, output = run_module(directory, state="absent", address="tls://10.0.0.1:8786")
    assert code == 0, output
    assert list(directory.iterdir()) == []
