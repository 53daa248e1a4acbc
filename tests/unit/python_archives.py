# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build archives of managed Pythons: a real one from the interpreter that runs the tests, and tiny ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import platform
import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

VERSION, MACHINE = platform.python_version(), platform.machine()
SKIPPED = ("dist-packages", "site-packages", "test", "tests", "idlelib", "lib2to3", "tkinter", "config-*", "ensurepip")


def build_relocatable(directory: Path) -> Path:
    """Copy the interpreter that runs the tests and its standard library into an archive, and return its path."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    top = directory / "python"
    (top / "bin").mkdir(parents=True)
    shutil.copy2(os.path.realpath(sys.executable), top / "bin" / name)
    (top / "bin/python3").symlink_to(name)
    # Times are kept, so the copied bytecode is valid.
    shutil.copytree(sysconfig.get_path("stdlib"), top / "lib" / name, ignore=shutil.ignore_patterns(*SKIPPED))
    archive = directory / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(top, "python")
    shutil.rmtree(top)
    return archive


def member(name: str, content: bytes = b"", **about: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of an archive, with the attributes of `tarfile.TarInfo` in ``about``."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in about.items():
        setattr(info, attribute, value)
    return info, content


def program(version: str = VERSION, machine: str = MACHINE) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the members of an archive with a program that reports the same data as an interpreter."""
    script = f"#!/bin/sh\necho {version} {machine}\n".encode()
    return [
        member("python", type=tarfile.DIRTYPE, mode=0o700),
        member("python/bin", type=tarfile.DIRTYPE, mode=0o700),
        member("python/bin/python3.1", script, mode=0o4777, uid=1000, gid=1000, uname="alice", gname="alice"),
        member("python/bin/python3", type=tarfile.SYMTYPE, linkname="python3.1"),
        member("python/lib/os.py", b"\n", mode=0o666),
    ]


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return an archive with members. The same members give the same archive."""
    output = io.BytesIO()
    with gzip.GzipFile(fileobj=output, mode="wb", mtime=0) as compressed, tarfile.open(
        fileobj=compressed, mode="w"
    ) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return output.getvalue()


def write_archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """Write an archive with members, and return its path."""
    path.write_bytes(packed(members))
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_name(version: str, tag: str = "20261129", machine: str = "x86_64", kind: str = "install_only_stripped") -> str:
    """Return the name of the archive of a build."""
    return f"cpython-{version}+{tag}-{machine}-unknown-linux-gnu-{kind}.tar.gz"
