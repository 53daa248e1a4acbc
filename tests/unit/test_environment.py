"""The module that builds an environment, run by Ansible, with the real uv and tiny packages."""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT
from wheels import build_wheel, lock_line

IMPORTS = "import dask\n"


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """A directory with uv, as its wheel holds it, and what stands for the other tool."""
    directory = tmp_path_factory.mktemp("tools")
    with zipfile.ZipFile(directory / "uv-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(shutil.which("uv"), "uv-1.0.data/scripts/uv")
    build_wheel(directory, "fastjsonschema")
    return directory


@pytest.fixture
def build(tools, tmp_path):
    """A function that builds an environment from what ``distributed`` does when it is imported; its home, its result."""

    def built(distributed):
        wheels = [build_wheel(tmp_path, "dask"), build_wheel(tmp_path, "distributed", source=distributed)]
        (tmp_path / "requirements.txt").write_text("".join(lock_line(wheel).replace("\\\n", "") for wheel in wheels))
        archive = tmp_path / "archive.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tools, "tools")
            tar.add(tmp_path / "requirements.txt", "requirements.txt")
            for wheel in wheels:
                tar.add(wheel, f"wheels/{wheel.name}")
        arguments = {
            "home": str(tmp_path / "home"),
            "id": "0f3c5e9a7b1d",
            "python": sys.executable,
            "archive": str(archive),
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "lock": "0" * 64,
        }
        command = ["ansible", "localhost", "-m", "daskops.cluster.environment", "-a", json.dumps(arguments)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        return run.returncode, run.stdout + run.stderr

    return built


def names(tmp_path):
    """What is visible in the directory of environments."""
    return [path.name for path in (tmp_path / "home/environments").iterdir() if not path.name.startswith(".")]


def test_an_environment_that_imports_gets_its_name(build, tmp_path):
    status, output = build(IMPORTS)
    assert status == 0, output
    assert names(tmp_path) == ["0f3c5e9a7b1d"]
    description = json.loads((tmp_path / "home/environments/0f3c5e9a7b1d/environment.json").read_text())
    assert description["packages"] == {"dask": "1.0", "distributed": "1.0"}


def test_an_environment_whose_distributed_cannot_be_imported_gets_no_name(build, tmp_path):
    status, output = build(IMPORTS + "import a_library_that_this_host_lacks\n")
    assert status != 0
    assert "Importing Dask failed on this host, which keeps running what it ran" in output
    assert "No module named 'a_library_that_this_host_lacks'" in output
    assert names(tmp_path) == []
    # The host is put right, and the next run takes nothing of the one that failed for finished.
    status, output = build(IMPORTS)
    assert status == 0, output
    assert names(tmp_path) == ["0f3c5e9a7b1d"]
