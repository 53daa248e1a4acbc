# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel of the package for clients."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.client_package import PACKAGE, build_wheel

ROOT = Path(__file__).parents[2]


def test_wheel_is_reproducible_and_complete(tmp_path):
    name, content = build_wheel()
    assert (name, content) == build_wheel()
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert name == f"daskops-{version}-py3-none-any.whl"
    (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / name) as wheel:
        files = {one: wheel.read(one) for one in wheel.namelist()}
    info = f"daskops-{version}.dist-info"
    modules = {f"daskops/{path.name}" for path in (PACKAGE / "daskops").glob("*.py")}
    assert set(files) == modules | {f"{info}/{one}" for one in ("METADATA", "WHEEL", "RECORD")}
    about = Parser().parsestr(files[f"{info}/METADATA"].decode())
    assert (about["Name"], about["Version"], about["Requires-Dist"]) == ("daskops", version, "distributed")
    for line in files[f"{info}/RECORD"].decode().splitlines():
        path, digest, size = line.split(",")
        if path != f"{info}/RECORD":
            found = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={found}", str(len(files[path])))


def test_wheel_can_be_installed_from_the_lock_of_a_client(tmp_path):
    """uv installs the wheel with its hash, and the package works with the Dask of the environment."""
    name, content = build_wheel()
    found = client_lock("", requirements="# without hashes\n", more={name: content})
    assert found["text"] == f"# without hashes\ndaskops @ file:daskops-wheels/{name}\n"
    assert base64.b64decode(found["wheels"][name]) == content
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / name).write_bytes(content)
    lock = tmp_path / "lock.txt"
    lock.write_text(f"daskops @ {(tmp_path / name).as_uri()} --hash=sha256:{digest}\n")
    target = tmp_path / "installed"
    command = [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "install",
        "--offline",
        "--no-deps",
        "--target",
        target,
    ]
    subprocess.run(
        [*command, "--python", sys.executable, "--require-hashes", "-r", lock], check=True, capture_output=True
    )
    program = "import daskops; print(daskops.__file__, daskops.Cluster.adapt.__doc__)"
    said = subprocess.run(
        [sys.executable, "-P", "-c", program] if sys.version_info >= (3, 11) else [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"{target}/daskops/__init__.py")
