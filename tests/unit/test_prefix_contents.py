# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of an unpacked environment, and its bytecode."""

import importlib.util
import json
import platform
import py_compile
import shutil
import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError
from ansible_collections.daskops.cluster.plugins.plugin_utils.prefix_contents import describe, freeze_bytecode
from packed_prefixes import LIBRARY, PLACEHOLDER, VERSION, make_conda, make_venv
from wheels import build_wheel

SITE = f"{LIBRARY}/site-packages"
MINOR = LIBRARY.removeprefix("lib/python")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheels")
    return [build_wheel(directory, name) for name in ("dask", "distributed", "Other_Name")]


@pytest.fixture
def venv(tmp_path, wheels):
    return make_venv(tmp_path / "venv", wheels)


@pytest.fixture
def conda(tmp_path, wheels):
    prefix = make_conda(tmp_path / "conda", wheels, tmp_path / "caches")
    # As conda-pack writes it.
    (prefix / "bin/conda-unpack").write_text(f"_prefix_records = [('lib/liba.so', '{PLACEHOLDER}', 'binary')]\n")
    return prefix


def elf(machine, order="little"):
    """Return the beginning of a program of Linux."""
    return b"\x7fELF\x02" + (b"\1" if order == "little" else b"\2") + bytes(12) + machine.to_bytes(2, order)


PACKAGES = {"dask": "1.0", "distributed": "1.0", "other_name": "1.0"}


def test_virtual_environment_needs_an_interpreter(venv):
    assert describe(str(venv)) == {
        "venv": True, "python": MINOR, "machine": "", "packages": PACKAGES, "conda": [], "longest_prefix": None
    }  # fmt: skip
    (venv / SITE / "a").mkdir()
    (venv / SITE / "a/b.cpython-311-aarch64-linux-gnu.so").write_bytes(elf(183))
    assert describe(str(venv))["machine"] == "aarch64"


def test_environment_of_conda_has_its_own(conda):
    about = describe(str(conda))
    assert (about["venv"], about["python"], about["packages"]) == (False, VERSION, PACKAGES)
    assert about["machine"] == platform.machine() and about["longest_prefix"] == len(PLACEHOLDER)
    assert {one["name"]: (one["version"], one["channel"]) for one in about["conda"]} == {
        "liba": ("1.0", "conda-forge"),
        "python": (VERSION, "conda-forge"),
    }


def remove(*names):
    def change(prefix):
        for name in names:
            path = prefix / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def write(name, content=b""):
    def change(prefix):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).unlink(missing_ok=True)
        (prefix / name).write_bytes(content)

    return change


BAD = {
    "pixi-pack": (
        write("pixi-pack.json"),
        "it is an archive of pixi-pack, which contains packages and not an environment. Unpack it with",
    ),
    "Windows": (write("Scripts/python.exe"), "it is for Windows. Pack an environment on Linux"),
    "macOS": (write("bin/python", b"\xcf\xfa\xed\xfe" + bytes(20)), "bin/python is not a program of Linux"),
    "wrapper": (write("bin/python", b"#!/bin/sh\n"), "bin/python is not a program of Linux"),
    "no prefix": (remove("bin"), "it has no directory bin, so it is not an environment"),
    "no Python": (remove("bin/python"), "it has no bin/python. Install Python and Dask"),
    "no library": (remove(LIBRARY), "it has no Python 3 (no lib/python3.*)"),
    "two versions": (write("lib/python3.9/os.py"), f"several versions of Python (python{MINOR}, python3.9)"),
    "no distributed": (
        remove(f"{SITE}/distributed-1.0.dist-info"),
        "it does not contain distributed, which the services",
    ),
    "no dask": (remove(f"{SITE}/dask-1.0.dist-info"), "it does not contain dask, which the services run"),
    "--dest-prefix": (remove("bin/conda-unpack"), "without bin/conda-unpack, so its files have the directory in which"),
    "damaged": (write("conda-meta/liba-1.0-0.json", b"{"), "conda-meta/liba-1.0-0.json is damaged"),
    "other conda-unpack": (write("bin/conda-unpack", b"x"), "bin/conda-unpack has an unknown form"),
}


@pytest.mark.parametrize("name", BAD)
def test_no_environment_with_dask_for_linux_is_rejected(conda, name):
    change, said = BAD[name]
    change(conda)
    with pytest.raises(ArchiveError) as error:
        describe(str(conda))
    assert said in str(error.value)


def test_prefix_below_a_directory_is_rejected_with_the_command(tmp_path, venv):
    (tmp_path / "outer").mkdir()
    venv.rename(tmp_path / "outer/env")
    with pytest.raises(ArchiveError, match=r"its files are below 'env/'. .*: tar -C env -czf ARCHIVE \."):
        describe(str(tmp_path / "outer"))


@pytest.mark.parametrize(
    ("content", "machine"),
    [(elf(62), "x86_64"), (elf(183), "aarch64"), (elf(22, "big"), "s390x"), (elf(8), "number 8")],
)
def test_architecture_is_that_of_the_interpreter(conda, content, machine):
    write("bin/python", content)(conda)
    assert describe(str(conda))["machine"] == machine


def test_library_of_another_system_is_rejected(venv):
    (venv / SITE / "b.abi3.so").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(20))
    with pytest.raises(ArchiveError, match="b.abi3.so is not a library of Linux. The archive is for another platform"):
        describe(str(venv))


def test_bytecode_becomes_independent_of_its_source(tmp_path):
    library = tmp_path / LIBRARY
    library.mkdir(parents=True)
    for name in ("same", "changed", "gone"):
        (library / f"{name}.py").write_text("value = 1\n")
        py_compile.compile(str(library / f"{name}.py"))
    (library / "changed.py").write_text("value = 22\n")
    (library / "gone.py").unlink()
    assert not freeze_bytecode(str(tmp_path))
    cached = {path.name.split(".")[0]: path for path in (library / "__pycache__").iterdir()}
    assert list(cached) == ["same"]
    # Python runs it, although the source is newer and differs.
    (library / "same.py").write_text("value = 333\n")
    shown = subprocess.check_output([sys.executable, "-c", "import same; print(same.value)"], cwd=library, text=True)
    assert shown == "1\n"
    assert cached["same"].read_bytes()[:4] == importlib.util.MAGIC_NUMBER
    # A second time, it is left as it is.
    (library / "changed.py").unlink()
    assert freeze_bytecode(str(tmp_path)) and list((library / "__pycache__").iterdir()) == [cached["same"]]


def test_tests_of_packages_need_no_bytecode(tmp_path):
    tests = tmp_path / SITE / "package/tests"
    tests.mkdir(parents=True)
    (tests / "test_a.py").write_text("")
    assert freeze_bytecode(str(tmp_path))
    (tests.parent / "a.py").write_text("")
    assert not freeze_bytecode(str(tmp_path))


def test_names_and_versions_that_are_no_names_and_versions_are_left_out(conda):
    site = conda / SITE
    # They become lines of the requirements file of clients.
    for number, (name, version) in enumerate(
        {"--index-url": "1", "a": "1\n --hash=x", "b": "1 -r x", "é": "1"}.items()
    ):
        (site / f"odd{number}.dist-info").mkdir()
        (site / f"odd{number}.dist-info/METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (site / "empty.dist-info").mkdir()
    assert describe(str(conda))["packages"] == PACKAGES


def test_metadata_that_is_not_text_is_rejected(conda):
    (conda / SITE / "odd.dist-info").mkdir()
    (conda / SITE / "odd.dist-info/METADATA").write_bytes(b"Name: caf\xe9\n")
    with pytest.raises(ArchiveError, match="the metadata of odd.dist-info cannot be read. Install that package again"):
        describe(str(conda))


def test_version_of_conda_that_is_no_version_is_not_used(conda):
    (path,) = (conda / "conda-meta").glob("python-*.json")
    path.write_text(json.dumps({"name": "python", "version": "3.11.2; rm -rf ~"}))
    assert describe(str(conda))["python"] == MINOR


def test_free_threaded_python_is_rejected(conda):
    (conda / LIBRARY).rename(conda / "lib/python3.13t")
    with pytest.raises(ArchiveError, match="it has python3.13t, .* Make an environment with another build of Python"):
        describe(str(conda))
