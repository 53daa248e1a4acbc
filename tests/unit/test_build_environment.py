# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments of tiny packages, installed with the real uv and unpacked by the module under Ansible."""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.releases import read_usable_environment
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages, own_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.packed_environments import (
    PackedEnvironment,
    tools_archive,
)
from conftest import ROOT
from packed_prefixes import LIBRARY, VERSION, make_conda, make_venv, pack_conda
from python_archives import MACHINE, build_relocatable, sha256_of
from wheels import build_wheel, lock_line, repack

IMPORTS = "import dask\n"


@pytest.fixture
def tmp_path():
    """Return a directory that every user can enter, because Dask is imported as the services' user."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Return the paths of wheels of the collection's tools."""
    directory = tmp_path_factory.mktemp("tools")
    return [repack(directory, name) for name in ("uv", "fastjsonschema", "backports.zstd")]


@pytest.fixture
def pack(tools, tmp_path):
    """Return a function that packs an environment of tiny packages and returns the path of the archive."""

    def packed(distributed, more=None):
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        wheels = tmp_path / "index"
        wheels.mkdir()
        script = {"dask-1.0.dist-info/entry_points.txt": "[console_scripts]\nsay-dask = dask:main\n"}
        dask = build_wheel(wheels, "dask", source="def main():\n    print('dask')\n", more=script)
        packages = [dask, build_wheel(wheels, "distributed", source=distributed, more=more)]
        lock, tools_lock = ("".join(map(lock_line, some)) for some in (packages, tools))
        for wheel in tools:
            shutil.copy(wheel, wheels)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIP_NO_INDEX", "1")
            patch.setenv("PIP_FIND_LINKS", str(wheels))
            locks = parse_lock(lock), parse_lock(tools_lock)
            return Packages(*locks, own_python(), "controller").fetch(str(tmp_path / "cache"), "")

    return packed


def unpack(tmp_path, archive, paths=None, **about):
    """Build an environment from an archive, or with a managed Python; return the exit status and the output."""
    environment = {
        "id": "0f3c5e9a7b1d",
        "python": sys.executable,
        "archive": archive,
        "origin": {"lock": "0" * 64},
        "packages": {},
        "managed_python": {},
        "python_archive": "",
        **about,
    }
    name, shared = environment["id"], {key: environment.pop(key) for key in ("id", "origin", "packages")}
    plan = {
        "hosts": {"localhost": {"release": {"environment": name}, "environment": environment}},
        "environments": {name: shared},
        "plays": {"build": ["localhost"]},
    }
    arguments = {"home": str(tmp_path / "home"), "plan": plan}
    info = {"__dask_host": {"environments": {}, "current": {}, "environment_paths": paths or {}}, "dask_user": "nobody"}
    command = ["ansible", "localhost", "-m", "daskops.cluster.environment", "-a", json.dumps(arguments)]
    command += ["-e", json.dumps(info)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def build(pack, tmp_path):
    """Return a function that builds an environment of tiny packages and returns the exit status and the output."""
    return lambda *distributed: unpack(tmp_path, pack(*distributed))


def names(tmp_path):
    """Return the names of the finished environments."""
    return [path.name for path in (tmp_path / "home/environments").iterdir() if not path.name.startswith(".")]


def test_environment_is_named_after_a_successful_import(build, tmp_path):
    status, output = build(IMPORTS)
    assert status == 0, output
    assert names(tmp_path) == ["0f3c5e9a7b1d"]
    environment = tmp_path / "home/environments/0f3c5e9a7b1d"
    description = json.loads((environment / "environment.json").read_text())
    assert description["packages"] == {"dask": "1.0", "distributed": "1.0"}
    assert abs(description["built"] - time.time()) < 600
    # Scripts must work after the environment is moved from its build path.
    assert subprocess.check_output([environment / "bin/say-dask"], text=True) == "dask\n"
    assert not (environment / ".lock").exists()
    tools = json.loads((environment / "sbom.cdx.json").read_text())["metadata"]["tools"]["components"]
    assert [tool["name"] for tool in tools] == ["daskops.cluster", "backports-zstd", "fastjsonschema", "uv"]


def compiled(environment):
    """Return the flags of dask's bytecode file: 1 means that Python does not compare it with the source (PEP 552)."""
    (path,) = environment.glob("lib/*/site-packages/__pycache__/dask.*.pyc")
    return path.read_bytes()[4]


def test_hosts_compile_if_the_controller_cannot(build, tmp_path, monkeypatch):
    assert build(IMPORTS)[0] == 0
    assert compiled(tmp_path / "home/environments/0f3c5e9a7b1d") == 1
    shutil.rmtree(tmp_path / "home")
    monkeypatch.setattr(Packages, "_compiles_here", lambda self: False)
    assert build(IMPORTS)[0] == 0
    assert compiled(tmp_path / "home/environments/0f3c5e9a7b1d") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("compiles_here", [True, False])
def test_code_of_packages_never_runs_as_root(build, tmp_path, monkeypatch, compiles_here):
    monkeypatch.setattr(Packages, "_compiles_here", lambda self: compiles_here)
    (tmp_path / "ran").mkdir()
    (tmp_path / "ran").chmod(0o777)
    touch = f"import os; open(f'{tmp_path}/ran/{{os.geteuid()}}', 'w').close()\n"
    status, output = build(IMPORTS + touch, {"at_start.pth": touch})
    assert status == 0, output
    assert os.listdir(tmp_path / "ran") == [str(pwd.getpwnam("nobody").pw_uid)]


@pytest.mark.parametrize("more", ["print('hello')\n", "import atexit\natexit.register(print, 'bye')\n"])
def test_package_that_prints(build, tmp_path, more):
    status, output = build(IMPORTS + more)
    assert (status == 0) == ("hello" in more)
    assert status == 0 or "it printed something else than a list of packages" in output, output


def test_environment_without_its_interpreter_is_rebuilt(build, tmp_path):
    assert build(IMPORTS)[0] == 0
    environment = tmp_path / "home/environments/0f3c5e9a7b1d"
    (environment / "bin/python").unlink()
    (environment / "of-the-broken-one").touch()
    status, output = build(IMPORTS)
    assert status == 0, output
    assert subprocess.check_output([environment / "bin/say-dask"], text=True) == "dask\n"
    assert {path.name for path in environment.parent.iterdir()} == {".locks", "0f3c5e9a7b1d"}
    assert not (environment / "of-the-broken-one").exists()


def test_environment_is_discarded_if_distributed_cannot_be_imported(build, tmp_path):
    status, output = build(IMPORTS + "import a_library_that_this_host_lacks\n")
    assert status != 0
    assert "Importing Dask failed on this host, whose services were not changed" in output
    assert "No module named 'a_library_that_this_host_lacks'" in output
    assert names(tmp_path) == []
    # After the host is repaired, the next run builds everything again.
    status, output = build(IMPORTS)
    assert status == 0, output
    assert names(tmp_path) == ["0f3c5e9a7b1d"]


def change(archive, name):
    """Flip one bit in the middle of a member of the archive."""
    with tarfile.open(archive) as tar:
        member = tar.getmember(name)
    with open(archive, "r+b") as file:
        file.seek(member.offset_data + member.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def test_damaged_archive_is_rejected(pack, tmp_path):
    sound = pack(IMPORTS)
    damaged = tmp_path / "damaged.tar"
    with tarfile.open(sound) as tar:
        (unpacker,) = (name for name in tar.getnames() if name.startswith("tools/backports"))
    for damage in (
        lambda: change(damaged, "compiled.zst"),
        lambda: change(damaged, unpacker),
        lambda: os.truncate(damaged, os.path.getsize(sound) // 2),  # truncated, as after a power cut
    ):
        shutil.copy(sound, damaged)
        damage()
        status, output = unpack(tmp_path, str(damaged))
        assert status != 0
        assert "Unpacking the packages failed on this host, whose services were not changed: the archive is" in output
        assert "Remove it from dask_cache on the controller, and run again." in output
        assert names(tmp_path) == []
    assert unpack(tmp_path, sound)[0] == 0


NAME = f"{VERSION}+20261129-{MACHINE}"


@pytest.fixture(scope="session")
def relocatable(tmp_path_factory):
    """Return the path of an archive with a real interpreter."""
    return build_relocatable(tmp_path_factory.mktemp("relocatable"))


def with_managed_python(tmp_path, archive, relocatable, **changes):
    """Build an environment with a managed Python; return the exit status and the output."""
    about = {"name": NAME, "version": VERSION, "machine": MACHINE, "sha256": sha256_of(relocatable)}
    python = f"{tmp_path}/home/pythons/{NAME}/bin/python3"
    managed = {"managed_python": about, "python": python, "python_archive": str(relocatable)}
    return unpack(tmp_path, archive, **{**managed, **changes})


def test_environment_with_a_managed_python(pack, relocatable, tmp_path):
    archive = pack(IMPORTS)
    status, output = with_managed_python(tmp_path, archive, relocatable)
    assert status == 0, output
    environment = tmp_path / "home/environments/0f3c5e9a7b1d"
    prefix = "import sys, dask; print(sys.base_prefix)"
    assert subprocess.check_output([environment / "bin/python", "-c", prefix], text=True).strip() == str(
        tmp_path / "home/pythons" / NAME
    )
    assert subprocess.check_output([environment / "bin/say-dask"], text=True) == "dask\n"
    description = json.loads((environment / "environment.json").read_text())
    assert (description["python"], description["managed_python"]) == (VERSION, NAME)
    bill = json.loads((environment / "sbom.cdx.json").read_text())
    python = next(component for component in bill["components"] if component["name"] == "python")
    assert python["hashes"] == [{"alg": "SHA-256", "content": sha256_of(relocatable)}]
    # The next environment uses the Python that is there, and the plan then has neither its archive nor its hash.
    shutil.rmtree(environment)
    about = {"name": NAME, "version": VERSION, "machine": MACHINE, "sha256": ""}
    status, output = with_managed_python(tmp_path, archive, relocatable, managed_python=about, python_archive="")
    assert status == 0, output
    assert json.loads((environment / "sbom.cdx.json").read_text()) == bill


def test_damaged_archive_of_a_managed_python_is_rejected(pack, relocatable, tmp_path):
    archive, damaged = pack(IMPORTS), tmp_path / "damaged.tar.gz"
    damaged.write_bytes(relocatable.read_bytes()[:-1])
    status, output = with_managed_python(tmp_path, archive, relocatable, python_archive=str(damaged))
    assert status != 0
    assert (
        "Installing the managed Python failed on this host, whose services were not changed: the SHA-256 of the archive"
        in output
    )
    assert names(tmp_path) == [] and list((tmp_path / "home/pythons").iterdir()) == []


def test_plan_of_a_host_that_had_the_managed_python_is_rejected(pack, relocatable, tmp_path):
    status, output = with_managed_python(tmp_path, pack(IMPORTS), relocatable, python_archive="")
    assert status != 0
    assert f"The managed Python {NAME} does not exist on this host yet" in output


@pytest.fixture
def packed(tools, tmp_path, monkeypatch):
    """Return an archive for hosts of an environment like conda's, and the id of the environment."""
    (tmp_path / "index").mkdir()
    for wheel in tools:
        shutil.copy(wheel, tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheels = [build_wheel(tmp_path, "dask"), build_wheel(tmp_path, "distributed", source=IMPORTS)]
    prefix = make_conda(tmp_path / "conda", wheels, tmp_path / "caches")
    (prefix / LIBRARY / "site-packages/dask-1.0.dist-info/INSTALLER").write_text("conda\n")
    archive = pack_conda(prefix, tmp_path / "env.tar.gz")
    shutil.rmtree(prefix)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    cache = str(tmp_path / "cache")
    with PackedEnvironment(str(archive), sha256, parse_lock("".join(map(lock_line, tools))), cache, "") as environment:
        # Ansible's own Python unpacks it.
        name = environment.id({})
        return environment.archive_for({}, str(tmp_path / "home/environments")), name, sha256


def test_packed_environment_is_unpacked(packed, tmp_path):
    archive, name, sha256 = packed
    about = {"id": name, "python": "", "origin": {"archive": sha256}}
    status, output = unpack(tmp_path, archive, **about)
    assert status == 0, output
    assert names(tmp_path) == [name]
    environment = tmp_path / "home/environments" / name
    description = json.loads((environment / "environment.json").read_text())
    assert abs(description.pop("built") - time.time()) < 600
    assert description == {
        "id": name, "archive": sha256, "python": VERSION, "packages": {"dask": "1.0", "distributed": "1.0"}
    }  # fmt: skip
    assert f"PREFIX = '{environment}'" in (environment / LIBRARY / "site-packages/where.py").read_text()
    assert subprocess.check_output([environment / "bin/say"], text=True, env={"PATH": f"{environment}/bin"}) == "said\n"
    components = json.loads((environment / "sbom.cdx.json").read_text())["components"]
    urls = [component["purl"].partition("?")[0] for component in components]
    assert urls[1:] == ["pkg:pypi/distributed@1.0", "pkg:conda/liba@1.0", f"pkg:conda/python@{VERSION}"]
    # No other user can change it.
    for parent, directories, files in os.walk(environment):
        for entry in [*directories, *files]:
            about_entry = os.lstat(os.path.join(parent, entry))
            assert about_entry.st_uid == os.geteuid() and not about_entry.st_mode & 0o7000
            assert os.path.islink(os.path.join(parent, entry)) or not about_entry.st_mode & 0o022
    # A second run finds it.
    status, output = unpack(tmp_path, archive, **about)
    assert status == 0 and '"changed": false' in output


def test_interrupted_transfer_of_a_packed_environment_is_not_used(packed, tmp_path):
    archive, name, sha256 = packed
    cut = tmp_path / "cut.tar"
    shutil.copy(archive, cut)
    os.truncate(cut, os.path.getsize(cut) // 2)
    status, output = unpack(tmp_path, str(cut), id=name, python="", origin={"archive": sha256})
    assert status != 0 and "Unpacking the packages failed on this host" in output and "damaged" in output
    assert names(tmp_path) == []
    assert [path.name for path in (tmp_path / "home/environments").iterdir()] == [".locks"]


@pytest.fixture
def existing(tools, monkeypatch):
    """Return a directory with an environment that every user can read, and an archive with the tools for it."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    (directory / "index").mkdir()
    for wheel in tools:
        shutil.copy(wheel, directory / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory / "index"))
    wheels = [build_wheel(directory, "dask"), build_wheel(directory, "distributed", source=IMPORTS)]
    prefix = make_venv(directory / "env", wheels)
    yield prefix, tools_archive(parse_lock("".join(map(lock_line, tools))), str(directory / "cache"), "")
    shutil.rmtree(directory)


def test_environment_that_exists_is_linked(existing, tmp_path):
    prefix, archive = existing
    before = sorted(str(path) for path in prefix.rglob("*"))
    found = {"python": VERSION, "packages": {"dask": "1.0"}, "by_conda": [], "conda": ["libgdal-3.8-0"]}
    about = {
        "id": "e1",
        "python": "",
        "origin": {"path": str(prefix), "fingerprint": "f" * 32},
        "packages": {"dask": "1.0"},
    }
    status, output = unpack(tmp_path, archive, {str(prefix): found}, **about)
    assert status == 0, output
    environment = tmp_path / "home/environments/e1"
    assert sorted(path.name for path in environment.iterdir()) == [
        "environment.json", "fastjsonschema.whl", "prefix", "sbom.cdx.json"
    ]  # fmt: skip
    assert os.readlink(environment / "prefix") == str(prefix)
    description = read_usable_environment(str(environment))
    assert abs(description.pop("built") - time.time()) < 600
    assert description == {
        "id": "e1", "path": str(prefix), "fingerprint": "f" * 32, "python": VERSION, "packages": {"dask": "1.0"}
    }  # fmt: skip
    bill = json.loads((environment / "sbom.cdx.json").read_text())
    assert [one["purl"] for one in bill["components"]][1:] == ["pkg:pypi/dask@1.0", "pkg:conda/libgdal@3.8?build=0"]
    assert sorted(str(path) for path in prefix.rglob("*")) == before


def test_environment_that_exists_is_tried(existing, tmp_path):
    prefix, archive = existing
    (prefix / LIBRARY / "site-packages/distributed.py").write_text("import a_library_that_this_host_lacks\n")
    found = {"python": VERSION, "packages": {}, "by_conda": [], "conda": []}
    about = {"id": "e1", "python": "", "origin": {"path": str(prefix), "fingerprint": "f" * 32}}
    status, output = unpack(tmp_path, archive, {str(prefix): found}, **about)
    assert status != 0 and names(tmp_path) == []
    assert f"Importing Dask from {prefix} failed on this host" in output
    assert "No module named 'a_library_that_this_host_lacks'" in output
