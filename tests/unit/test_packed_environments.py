# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packed environments on the controller, made with the real tools."""

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import packed_environments, tree
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import PackagesError
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import own_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.packed_environments import PackedEnvironment
from packed_prefixes import LIBRARY, PLACEHOLDER, VERSION, compile_modules, make_conda, make_venv, pack_conda, pack_venv
from wheels import build_wheel, lock_line, repack

try:
    from compression import zstd
except ImportError:
    from backports import zstd

DIRECTORY = "/opt/dask/environments"
PYTHON = {**own_python(), "executable": sys.executable, "prefix": "/usr"}
MINOR = LIBRARY.removeprefix("lib/python")


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """Return a directory of wheels of the collection's tools, and their lock."""
    directory = tmp_path_factory.mktemp("index")
    wheels = [repack(directory, name) for name in ("uv", "fastjsonschema", "backports.zstd")]
    return directory, "".join(map(lock_line, wheels))


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Return an archive of an environment of conda, and one of a virtual environment."""
    directory = tmp_path_factory.mktemp("packed")
    wheels = [build_wheel(directory, "dask"), build_wheel(directory, "distributed", source="import dask\n")]
    conda = make_conda(directory / "conda", wheels, directory / "caches")
    compile_modules(conda)
    venv = make_venv(directory / "venv", wheels)
    return {
        "conda": pack_conda(conda, directory / "conda.tar.gz"),
        "venv": pack_venv(venv, directory / "venv.tar.gz"),
    }


@pytest.fixture
def packed(index, tmp_path, monkeypatch):
    """Return a function that opens an archive, with a cache of the test's own."""
    directory, lock = index
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))

    def opened(path, sha256=None):
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        return PackedEnvironment(str(path), sha256 or found, parse_lock(lock), str(tmp_path / "cache"), "")

    return opened


def unpack(archive, directory):
    """Unpack an archive for hosts as a host does, and return the environment."""
    work = directory / "work"
    work.mkdir()
    with tarfile.open(archive) as tar:
        (stream,) = [name for name in tar.getnames() if name.endswith((".zst", ".gz"))]
        tar.extractall(work, [member for member in tar if member.name != stream])
    command = [sys.executable, "-I", work / "tree.py", "", "unpack", archive, stream, directory / "environment"]
    subprocess.run(command, check=True)
    return directory / "environment", stream, sorted(path.name for path in (work / "tools").iterdir())


def test_environment_of_conda_is_unpacked_with_its_prefix(packed, archives, tmp_path):
    with packed(archives["conda"]) as environment:
        about = environment.about
        name = environment.id(PYTHON)
        archive = environment.archive_for(PYTHON, DIRECTORY)
        assert environment.archive_for(PYTHON, DIRECTORY) == archive
    assert (about["venv"], about["python"], about["machine"]) == (False, VERSION, platform.machine())
    found, stream, tools = unpack(archive, tmp_path)
    # conda-pack keeps the bytecode, and its times.
    assert stream == "compiled.zst" and [tool.split("-")[0] for tool in tools] == ["backports_zstd", "fastjsonschema"]
    assert f"PREFIX = '{DIRECTORY}/{name}'" in (found / LIBRARY / "site-packages/where.py").read_text()
    assert f"home = {DIRECTORY}/{name}/share\n" == (found / "etc/a.conf").read_text()
    assert PLACEHOLDER.encode() not in (found / "lib/liba.so").read_bytes()
    shown = subprocess.check_output(
        [found / "bin/python", "-I", "-v", "-c", "import sys, distributed; print(sys.prefix)"],
        text=True, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert f"\n{found}\n" in shown and not re.search(r"code object from '[^']*\.py'", shown)
    with tarfile.open(archive) as tar:
        assert {one["name"] for one in json.load(tar.extractfile("conda.json"))} == {"python", "liba"}
        assert tar.extractfile("requirements.txt").read() == b""
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith("tmp")]


def test_virtual_environment_gets_the_interpreter_of_the_host(packed, archives, tmp_path):
    with packed(archives["venv"]) as environment:
        assert environment.about["venv"] and environment.about["python"] == MINOR
        archive = environment.archive_for(PYTHON, DIRECTORY)
        # Another prefix of the interpreter is another environment.
        assert environment.id(PYTHON) != environment.id({**PYTHON, "prefix": "/opt/python"})
    found, stream, _tools = unpack(archive, tmp_path)
    assert stream == "compiled.zst"  # by the controller, because venv-pack was given no bytecode
    command = [found / "bin/python", "-I", "-c", "import sys, distributed; print(sys.prefix)"]
    assert subprocess.check_output(command, text=True) == f"{found}\n"


def test_old_python_on_hosts_needs_no_library(packed, archives, tmp_path):
    with packed(archives["conda"]) as environment:
        archive = environment.archive_for({}, DIRECTORY)
        assert environment.id({}) == environment.id(PYTHON)
    found, stream, tools = unpack(archive, tmp_path)
    assert stream == "compiled.gz" and [tool.split("-")[0] for tool in tools] == ["fastjsonschema"]
    assert subprocess.run([found / "bin/python", "-I", "-c", "import distributed"]).returncode == 0


def test_zstandard_is_read(packed, archives, tmp_path):
    plain = gzip.decompress(archives["venv"].read_bytes())
    path = tmp_path / "env.tar.zst"
    path.write_bytes(zstd.compress(plain))
    with packed(path) as environment:
        assert environment.about["packages"] == {"dask": "1.0", "distributed": "1.0"}
    path.write_bytes(path.read_bytes()[:-100])
    with packed(path) as environment, pytest.raises(ArchiveError, match="it cannot be read: the archive is damaged"):
        print(environment.about)


def test_second_run_reads_only_the_cache(packed, archives, monkeypatch):
    with packed(archives["venv"]) as environment:
        about, archive = environment.about, environment.archive_for(PYTHON, DIRECTORY)
    monkeypatch.setattr(packed_environments, "unpack", None)
    with packed(archives["venv"]) as environment:
        assert environment.about == about and environment.archive_for(PYTHON, DIRECTORY) == archive
        # A virtual environment does not depend on its directory, and one of conda does.
        assert environment.archive_for(PYTHON, "/srv/dask/environments") == archive


def test_each_directory_gets_its_own_prefix(packed, archives, tmp_path):
    with packed(archives["conda"]) as environment:
        paths = [environment.archive_for(PYTHON, directory) for directory in (DIRECTORY, "/srv/environments")]
        name = environment.id(PYTHON)
    for number, (path, directory) in enumerate(zip(paths, (DIRECTORY, "/srv/environments"))):
        (tmp_path / str(number)).mkdir()
        found = unpack(path, tmp_path / str(number))[0]
        assert f"'{directory}/{name}'" in (found / LIBRARY / "site-packages/where.py").read_text()


def test_damaged_part_of_the_cache_is_made_again(packed, archives, tmp_path):
    with packed(archives["venv"]) as environment:
        about = environment.about
    (path,) = (tmp_path / "cache").glob("archive-*.json")
    path.write_text("{")
    with packed(archives["venv"]) as environment:
        assert environment.about == about
    assert json.loads(path.read_text()) == about


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_archive_that_is_replaced_after_its_hash_was_checked_is_not_used(packed, archives, tmp_path, suffix):
    path = tmp_path / f"env.tar{suffix}"
    content = archives["conda"].read_bytes()
    path.write_bytes(content if suffix == ".gz" else zstd.compress(gzip.decompress(content)))
    with packed(path) as environment:
        path.write_bytes(archives["venv"].read_bytes())
        with pytest.raises(ArchiveError, match="it was replaced or changed while it was read. Run again"):
            _ = environment.about
        assert [one.name for one in (tmp_path / "cache").iterdir() if one.is_file()] == []


def test_other_hash_is_rejected(packed, archives):
    with pytest.raises(ArchiveError) as error:
        packed(archives["venv"], "0" * 64)
    assert str(error.value).startswith("its SHA-256 is ") and f"dask_environment_archive_sha256 is {'0' * 64}" in str(
        error.value
    )
    sha256 = hashlib.sha256(archives["venv"].read_bytes()).hexdigest()
    assert packed(archives["venv"], sha256.upper()).sha256 == sha256


@pytest.mark.parametrize(
    ("kind", "python", "architecture", "directory", "said"),
    [
        ("conda", {}, platform.machine(), DIRECTORY, ""),
        (
            "conda",
            PYTHON,
            "riscv64",
            DIRECTORY,
            f"is for {platform.machine()}, but the host is riscv64. Pack an environment",
        ),
        ("conda", PYTHON, platform.machine(), f"/{'x' * 90}", "cannot be moved to /xxx"),
        (
            "venv",
            PYTHON,
            "riscv64",
            f"/{'x' * 90}",
            "",
        ),  # it has no libraries, and nothing that depends on the directory
        ("venv", {**PYTHON, "version": "3.99.1"}, platform.machine(), DIRECTORY, "Set dask_python to a Python 3."),
    ],
)
def test_host_that_cannot_use_it(packed, archives, kind, python, architecture, directory, said):
    with packed(archives[kind]) as environment:
        problem = environment.problem(python, architecture, directory)
    assert said in problem and bool(said) == bool(problem)


def test_old_python_in_the_archive_is_rejected(packed, archives, tmp_path):
    with tarfile.open(archives["venv"]) as tar:
        tar.extractall(tmp_path / "venv")
    os.rename(tmp_path / "venv" / LIBRARY, tmp_path / "venv/lib/python3.9")
    with tarfile.open(tmp_path / "old.tar", "w") as tar:
        tar.add(tmp_path / "venv", ".")
    with packed(tmp_path / "old.tar") as environment, pytest.raises(
        ArchiveError, match="it has Python 3.9, but Dask needs 3.10"
    ):
        print(environment.about)


def test_index_without_the_tools_is_an_error(packed, archives, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    with packed(archives["venv"]) as environment, pytest.raises(PackagesError, match="the index has no wheel of"):
        environment.archive_for(PYTHON, DIRECTORY)
    assert not list((tmp_path / "cache").glob("*.tar"))


def test_tree_is_the_script_that_hosts_get(packed, archives, tmp_path):
    with packed(archives["venv"]) as environment, tarfile.open(environment.archive_for(PYTHON, DIRECTORY)) as tar:
        assert tar.extractfile("tree.py").read() == open(tree.__file__, "rb").read()
    shutil.rmtree(tmp_path / "cache")
