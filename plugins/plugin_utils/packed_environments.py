# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare a packed environment on the controller, so that hosts only have to write its files.

The user's archive is read once for each content and each directory on hosts. What hosts get is in the form of the archives
of `packages.Packages`, which a host unpacks with `tree.py`.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, locked
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError, is_zstandard, unpack
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import OLDEST_PYTHON
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    Lock,
    PackagesError,
    hash_of,
    minor,
    select,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import (
    PATIENCE,
    TREE,
    compile_modules,
    download,
    own_python,
    write_pins,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.prefix_contents import (
    describe,
    freeze_bytecode,
    read_text,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.prefixes import PROGRAM, records, set_prefix
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins

# Part of the id of every environment. Increase it when the files on hosts change for the same archive.
RECIPE = 1
# Part of the names of files in the cache. Increase it when their content changes.
CACHED = 1


class PackedEnvironment:
    """An archive of a whole environment on the controller. A context manager that removes the unpacked files at its end.

    Parameters
    ----------
    path : str
        The archive.
    sha256 : str
        Its expected SHA-256.
    tools : Lock
        The lock of the collection's tools.
    cache : str
        Directory on the controller.
    index_url : str
        Package index for the tools; empty for the index that pip is configured with.

    Raises
    ------
    ArchiveError
        If the archive is another one.
    """

    def __init__(self, path: str, sha256: str, tools: Lock, cache: str, index_url: str) -> None:
        self.path = path
        found = hash_of(path)
        if found != sha256.lower():
            raise ArchiveError(
                f"its SHA-256 is {found}, but dask_environment_archive_sha256 is {sha256}: it is another archive, or was "
                "damaged or truncated on its way. Copy it again, or correct the variable"
            )
        self.sha256 = found
        self.tools = tools
        self.cache, self.index_url = cache, index_url
        self._stack = ExitStack()
        self._tree = self._library = ""
        self._about: dict[str, Any] | None = None

    def __enter__(self) -> PackedEnvironment:
        return self

    def __exit__(self, *dummy: object) -> None:
        self._stack.close()

    @property
    def about(self) -> dict[str, Any]:
        """Return the content of the archive; see `prefix_contents.describe`. Unpacks it if the cache lacks the result."""
        if self._about is None:
            path = os.path.join(self.cache, f"archive-{digest([CACHED, self.sha256])}.json")
            try:
                with open(path, encoding="utf-8") as file:
                    self._about = json.load(file)
            except (FileNotFoundError, ValueError):
                self._about = describe(self._unpacked())
                _check_python(self._about["python"])
                with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
                    json.dump(self._about, file)
                os.replace(f"{path}.{os.getpid()}", path)
        return self._about

    def id(self, python: Mapping[str, Any]) -> str:
        """Return the id of the environment on a host with an interpreter, in the form of `host_info`."""
        # A virtual environment has links to the host's interpreter.
        prefix = python["prefix"] if self.about["venv"] else ""
        return digest([RECIPE, "archive", self.sha256, prefix])

    def problem(self, python: Mapping[str, Any], architecture: str, directory: str) -> str:
        """Return why a host cannot use the environment, as the end of a sentence, and what to do; empty if it can.

        Parameters
        ----------
        python : dict
            The host's interpreter, in the form of `host_info`.
        architecture : str
            Architecture of the host.
        directory : str
            Directory of environments on the host.
        """
        about = self.about
        if about["machine"] not in ("", architecture):
            return (
                f"is for {about['machine']}, but the host is {architecture}. Pack an environment on a machine of that "
                "architecture"
            )
        if about["venv"] and minor(python["version"]) != minor(about["python"]):
            return (
                f"is a virtual environment of Python {minor(about['python'])}, but dask_python ({python['executable']}) is "
                f"{python['version']}. Set dask_python to a Python {minor(about['python'])}, or pack an environment that "
                "contains its Python, with conda-pack"
            )
        length = len(os.fsencode(os.path.join(directory, self.id(python))))
        if about["longest_prefix"] is not None and length > about["longest_prefix"]:
            return (
                f"cannot be moved to {directory}: its files have space for a path of {about['longest_prefix']} bytes, but "
                f"{length} are needed. Choose a shorter dask_home"
            )
        return ""

    def archive_for(self, python: Mapping[str, Any], directory: str) -> str:
        """Return the path of the archive for a host. Makes the archive if it is not in the cache.

        Parameters
        ----------
        python : dict
            The host's interpreter that unpacks it, in the form of `host_info`; empty for Ansible's own.
        directory : str
            Directory of environments on the host.
        """
        prefix = "" if self.about["venv"] else os.path.join(directory, self.id(python))
        # Ansible's own interpreter may be older than those for which there is a library for Zstandard.
        needless = ("uv=",) if python else ("uv=", "backports-zstd=")
        target = python or own_python()
        lines = [line for line in select(self.tools, target) if not line.startswith(needless)]
        codec = "zst" if python else "gz"
        kind = [python["machine"], python["libc"]] if python else []
        name = digest([CACHED, hash_of(TREE), self.sha256, prefix, codec, lines, kind, self._compiles_here()])
        archive = os.path.join(self.cache, f"environment-{name}.tar")
        os.makedirs(self.cache, exist_ok=True)
        try:
            # Of two simultaneous runs, the second one waits and then finds the archive of the first.
            with locked("packages", PATIENCE, os.path.join(self.cache, "locks")):
                if not os.path.exists(archive):
                    with tempfile.TemporaryDirectory(dir=self.cache) as work:
                        stream = self._pack(work, prefix, codec)
                        tools = download(lines, target, os.path.join(work, "tools"), self.index_url)
                        _write_archive(archive, work, stream, tools, self.about["conda"])
        except HostLockError as error:
            raise PackagesError(str(error)) from None
        return archive

    def _compiles_here(self) -> bool:
        """Return whether the environment's Python can read bytecode of the controller's."""
        own = own_python()
        return own["implementation"] == "cpython" and minor(own["version"]) == minor(self.about["python"])

    def _unpacked(self) -> str:
        """Return a directory with the environment as it is in the archive."""
        if not self._tree:
            begins(f"unpacking {self.path}")
            work = self._directory()
            archive = self._copied(work)
            if is_zstandard(archive):
                decompressed = os.path.join(work, "archive.tar")
                self._run_tree("decompress", archive, decompressed)
                os.remove(archive)
                archive = decompressed
            self._tree = os.path.join(work, "tree")
            unpack(archive, self._tree)
            os.remove(archive)
        return self._tree

    def _copied(self, directory: str) -> str:
        """Copy the archive, so that it cannot be replaced between the check of its hash and its use; return the copy."""
        copy = os.path.join(directory, "archive")
        shutil.copyfile(self.path, copy)
        if hash_of(copy) != self.sha256:
            raise ArchiveError("it was replaced or changed while it was read. Run again when it is complete")
        return copy

    def _directory(self) -> str:
        """Return a new directory that exists as long as this object."""
        os.makedirs(self.cache, exist_ok=True)
        return self._stack.enter_context(tempfile.TemporaryDirectory(dir=self.cache))

    def _run_tree(self, *arguments: str) -> None:
        """Run `tree.py` with the controller's Python and, if it needs one, a library for Zstandard."""
        if not self._library:
            python, work = own_python(), self._directory()
            lines = [line for line in select(self.tools, python) if line.startswith("backports-zstd=")]
            self._library = os.path.join(work, "library")
            for wheel in download(lines, python, os.path.join(work, "own"), self.index_url) if lines else []:
                with zipfile.ZipFile(wheel) as zipped:
                    zipped.extractall(self._library)
        command = [sys.executable, "-I", TREE, self._library, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ArchiveError(f"it cannot be read: {' '.join(done.stderr.split())}")

    def _pack(self, work: str, prefix: str, codec: str) -> str:
        """Pack the files in the form for hosts into a stream, and return its path."""
        tree, self._tree = self._unpacked(), ""  # the next stream needs the files as they are in the archive
        program = os.path.join(tree, PROGRAM)
        if prefix and os.path.isfile(program):
            changed = set_prefix(tree, records(read_text(program)), prefix)
            for path in changed:  # their bytecode has the old prefix
                parent, name = os.path.split(os.path.join(tree, path))
                for bytecode in glob.glob(f"{glob.escape(os.path.join(parent, '__pycache__', name[:-3]))}.*.pyc"):
                    os.remove(bytecode)
        if self.about["venv"]:
            # Remove files that depend on the interpreter. The host creates its own.
            for path in ["pyvenv.cfg", "lib64", *glob.glob("bin/python*", root_dir=tree)]:
                if os.path.lexists(os.path.join(tree, path)):
                    os.remove(os.path.join(tree, path))
        compiled = freeze_bytecode(tree)
        if not compiled and self._compiles_here():
            compile_modules(tree)
            compiled = True
        stream = os.path.join(work, f"{'compiled' if compiled else 'packages'}.{codec}")
        self._run_tree("pack", tree, stream)
        return stream


def tools_archive(tools: Lock, cache: str, index_url: str) -> str:
    """Return an archive for hosts that have an environment, with the collection's tools alone; make it if it is missing.

    Parameters are those of `PackedEnvironment`.
    """
    # The only tool is not for a certain version of Python.
    python = own_python()
    lines = [line for line in select(tools, python) if line.startswith("fastjsonschema=")]
    archive = os.path.join(cache, f"environment-{digest([CACHED, lines])}.tar")
    os.makedirs(cache, exist_ok=True)
    try:
        with locked("packages", PATIENCE, os.path.join(cache, "locks")):
            if not os.path.exists(archive):
                with tempfile.TemporaryDirectory(dir=cache) as work:
                    wheels = download(lines, python, os.path.join(work, "tools"), index_url)
                    _write_archive(archive, work, "", wheels, [])
    except HostLockError as error:
        raise PackagesError(str(error)) from None
    return archive


def _write_archive(archive: str, work: str, stream: str, tools: list[str], conda: list[dict[str, Any]]) -> None:
    """Write the archive for hosts, with a stream of files, if there is one, and the wheels of tools."""
    texts = {"requirements.txt": "", "conda.json": json.dumps(conda)}
    for name, text in texts.items():
        with open(os.path.join(work, name), "w", encoding="utf-8") as file:
            file.write(text)
    write_pins(os.path.join(work, "tools.txt"), tools)
    partial = os.path.join(work, "archive.tar")
    with tarfile.open(partial, "w") as tar:
        tar.add(TREE, "tree.py")
        for path in [*filter(None, [stream]), *(os.path.join(work, name) for name in (*texts, "tools.txt"))]:
            tar.add(path, os.path.basename(path))
        for path in tools:
            tar.add(path, f"tools/{os.path.basename(path)}")
    os.replace(partial, archive)


def _check_python(version: str) -> None:
    """Raise ArchiveError if Dask does not support a version of Python."""
    if tuple(map(int, version.split(".")[:2])) < OLDEST_PYTHON:
        least = ".".join(map(str, OLDEST_PYTHON))
        raise ArchiveError(f"it has Python {version}, but Dask needs {least} or newer. Make and pack a new environment")
