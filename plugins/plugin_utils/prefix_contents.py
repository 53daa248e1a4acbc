# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the content of an unpacked environment, without running any of its programs, and prepare its bytecode."""

from __future__ import annotations

import glob
import importlib.metadata
import json
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.existing_environments import (
    NAME,
    PYTHON_VERSION,
    VERSION,
)
from ansible_collections.daskops.cluster.plugins.module_utils.releases import TESTS
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError
from ansible_collections.daskops.cluster.plugins.plugin_utils.prefixes import PROGRAM, longest_prefix, records

#: Architecture by its number in programs of Linux (ELF).
_ARCHITECTURES = {21: "ppc64le", 22: "s390x", 62: "x86_64", 183: "aarch64", 243: "riscv64"}

#: File in every archive of pixi-pack.
_PIXI = "pixi-pack.json"

#: Part of the modules without bytecode from which on an environment counts as not compiled. Templates never compile.
_UNCOMPILED = 0.05


def describe(tree: str) -> dict[str, Any]:
    """Return the content of an environment.

    Parameters
    ----------
    tree : str
        Directory of the environment.

    Returns
    -------
    dict
        ``venv``, whether it is a virtual environment, which needs an interpreter of the host; ``python``, its version, of
        which the third part may be missing; ``machine``, the architecture of its programs, empty if it has none;
        ``packages``, the versions of Python packages by name; ``conda``, the packages of conda, in the form of a bill of
        materials; ``longest_prefix``, the greatest length of the path of its directory in bytes, None for no limit.

    Raises
    ------
    ArchiveError
        If it is not an environment with Python and Dask for Linux.
    """
    _check_layout(tree)
    library = _library(tree)
    venv = os.path.isfile(os.path.join(tree, "pyvenv.cfg"))
    conda = list(_conda_packages(tree))
    program = os.path.join(tree, PROGRAM)
    if os.path.isdir(os.path.join(tree, "conda-meta")) and not os.path.isfile(program):
        raise ArchiveError(
            f"it is an environment of conda without {PROGRAM}, so its files have the directory in which it was made. Pack "
            "it with conda-pack, without --dest-prefix"
        )
    site_packages = os.path.join(library, "site-packages")
    packages = _packages(site_packages)
    for needed in ("distributed", "dask"):
        if needed not in packages:
            raise ArchiveError(f"it does not contain {needed}, which the services run. Install it, and pack again")
    return {
        "venv": venv,
        "python": _version(library, conda),
        "machine": _extension_machine(site_packages) if venv else _interpreter_machine(tree),
        "packages": packages,
        "conda": conda,
        "longest_prefix": longest_prefix(records(read_text(program))) if os.path.isfile(program) else None,
    }


def _check_layout(tree: str) -> None:
    """Raise ArchiveError if the directory is not the prefix of an environment for Linux."""
    names = os.listdir(tree)
    if _PIXI in names:
        raise ArchiveError(
            "it is an archive of pixi-pack, which contains packages and not an environment. Unpack it with 'pixi-unpack', "
            "on the architecture of the hosts, and pack the result with 'conda-pack --prefix env'"
        )
    if "Scripts" in names or "python.exe" in names:
        raise ArchiveError("it is for Windows. Pack an environment on Linux")
    if "bin" not in names:
        if len(names) == 1 and os.path.isdir(os.path.join(tree, names[0], "bin")):
            raise ArchiveError(
                f"its files are below '{names[0]}/'. Pack the content of that directory: tar -C {names[0]} -czf ARCHIVE ."
            )
        raise ArchiveError(
            "it has no directory bin, so it is not an environment. Pack the whole prefix of an environment"
        )


def _library(tree: str) -> str:
    """Return the directory of Python's modules."""
    found = [
        path for path in glob.glob(os.path.join(glob.escape(tree), "lib", "python3.*")) if not os.path.islink(path)
    ]
    if not found:
        raise ArchiveError(
            "it has no Python 3 (no lib/python3.*). Install Python and Dask in the environment, and pack again"
        )
    if len(found) > 1:
        names = ", ".join(sorted(map(os.path.basename, found)))
        raise ArchiveError(f"it has several versions of Python ({names}). Make a new environment, and pack that")
    name = os.path.basename(found[0])
    if not re.fullmatch(r"python3\.\d+", name, re.ASCII):  # such as python3.13t
        raise ArchiveError(
            f"it has {name}, which is not a regular build of CPython. Make an environment with another build of Python, and "
            "pack that"
        )
    return found[0]


def _packages(site_packages: str) -> dict[str, str]:
    """Return the version of each Python package, without those whose names or versions are none."""
    packages: dict[str, str] = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(site_packages), "*.*-info"))):
        try:
            about: Any = importlib.metadata.PathDistribution(Path(path)).metadata or {}
        except UnicodeDecodeError:
            raise ArchiveError(
                f"the metadata of {os.path.basename(path)} cannot be read. Install that package again, and pack again"
            ) from None
        name, version = str(about.get("Name") or ""), str(about.get("Version") or "")
        # They become parts of paths, and of a requirements file for clients.
        if NAME.fullmatch(name) and VERSION.fullmatch(version):
            packages.setdefault(name.lower(), version)
    return packages


def _version(library: str, conda: list[dict[str, Any]]) -> str:
    """Return the version of Python, which is complete only if conda has recorded it."""
    complete = [one["version"] for one in conda if one["name"] == "python" and PYTHON_VERSION.fullmatch(one["version"])]
    return str(complete[0]) if complete else os.path.basename(library).removeprefix("python")


def _conda_packages(tree: str) -> Iterator[dict[str, Any]]:
    """Yield the packages of conda: ``name``, ``version``, ``build``, ``subdir``, ``channel``, ``sha256`` and ``license``."""
    for path in sorted(glob.glob(os.path.join(glob.escape(tree), "conda-meta", "*.json"))):
        try:
            about = json.loads(read_text(path))
            yield {
                "name": str(about["name"]),
                "version": str(about["version"]),
                **{key: str(about.get(key) or "") for key in ("build", "subdir", "channel", "sha256", "license")},
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(
                f"conda-meta/{os.path.basename(path)} is damaged ({error}). Make the environment again, and pack it"
            ) from None


def read_text(path: str) -> str:
    """Return the text of a file. Bytes that are not UTF-8 are replaced."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _interpreter_machine(tree: str) -> str:
    """Return the architecture of the interpreter; raise ArchiveError if there is none for Linux."""
    path = os.path.join(tree, "bin", "python")
    if not os.path.isfile(path):
        raise ArchiveError("it has no bin/python. Install Python and Dask in the environment, and pack again")
    machine = _machine(path)
    if machine is None:
        raise ArchiveError(
            "bin/python is not a program of Linux. The archive is for another platform. Pack it on Linux"
        )
    return machine


def _extension_machine(site_packages: str) -> str:
    """Return the architecture of the first extension module; empty if there is none."""
    for parent, directories, names in os.walk(site_packages):
        directories.sort()
        for name in sorted(names):
            if re.search(r"\.(cpython-3\w+-.*|abi3)\.so$", name):
                machine = _machine(os.path.join(parent, name))
                if machine is None:
                    raise ArchiveError(
                        f"{name} is not a library of Linux. The archive is for another platform. Pack it on Linux"
                    )
                return machine
    return ""


def _machine(path: str) -> str | None:
    """Return the architecture of a program or library of Linux; None for other files."""
    with open(path, "rb") as file:
        header = file.read(20)
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    (number,) = struct.unpack("<H" if header[5] == 1 else ">H", header[18:20])
    return _ARCHITECTURES.get(number, f"number {number}")


def freeze_bytecode(tree: str) -> bool:
    """Make bytecode valid without a check of its source, and return whether almost all modules have bytecode.

    Bytecode with the time and size of its source becomes bytecode that is never compared (PEP 552), because the files of an
    environment never change, and times need not be shipped. Other bytecode is removed.
    """
    modules = missing = 0
    for parent, directories, names in os.walk(os.path.join(tree, "lib")):
        cached = os.path.join(parent, "__pycache__")
        compiled = {}
        if "__pycache__" in directories:
            directories.remove("__pycache__")
            for name in os.listdir(cached):
                found = re.fullmatch(r"(.+)\.(cpython-\d+)\.pyc", name)
                if found and _freeze(os.path.join(cached, name), os.path.join(parent, f"{found.group(1)}.py")):
                    compiled[f"{found.group(1)}.py"] = True
        if not re.search(TESTS, f"{parent}/"):
            sources = [name for name in names if name.endswith(".py")]
            modules += len(sources)
            missing += sum(name not in compiled for name in sources)
    return missing <= _UNCOMPILED * modules


def _freeze(path: str, source: str) -> bool:
    """Make bytecode valid without a check of its source, or remove it if it does not match the source."""
    with open(path, "r+b") as file:
        header = file.read(16)
        flags = int.from_bytes(header[4:8], "little")
        if len(header) == 16 and flags == 0 and os.path.isfile(source):
            about = os.stat(source)
            expected = struct.pack("<II", int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF)
            if header[8:] == expected:
                file.seek(4)
                file.write(struct.pack("<I8x", 1))
                return True
        if len(header) == 16 and flags in (1, 3) and os.path.isfile(source):
            return True  # by the hash of the source, or unchecked
    os.remove(path)
    return False
