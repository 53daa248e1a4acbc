# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The managed Pythons on a host: relocatable builds of CPython that the controller ships.

Each is a directory ``pythons/NAME`` in the collection's directory. It appears only when it is complete, belongs to root, and
never changes afterwards. Environments link to its interpreter.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Callable, Container, Iterator
from typing import Mapping

from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    directories_in_use,
    read,
    read_environment,
    replace_directory,
    set_aside,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable

#: File that describes a complete managed Python.
DESCRIPTION = "python.json"

#: Directory in an archive that contains all files.
TOP = "python"

#: Pattern of files that compileall skips: the tests of the standard library, which a cluster does not import.
TESTS = "/(test|tests|idle_test|turtledemo)/"

#: Code that prints the version and the architecture of an interpreter.
PROBE = "import platform; print(platform.python_version(), platform.machine())"

#: Runs a command, fails the module if the command fails, and returns its output. The first argument describes the operation.
Run = Callable[..., str]


class PythonError(Exception):
    """An archive cannot be installed. The message has the reason and the remedy, without control characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message).replace("\n", "?"))


def interpreter(home: str, name: str) -> str:
    """Return the path of the interpreter of a managed Python."""
    return os.path.join(home, "pythons", name, "bin", "python3")


def complete_pythons(home: str) -> list[str]:
    """Return the names of the complete managed Pythons on the host, sorted."""
    paths = glob.glob(os.path.join(home, "pythons", "*", DESCRIPTION))  # not the hidden ones, which are incomplete
    names = [os.path.basename(os.path.dirname(path)) for path in paths]
    return sorted(name for name in names if is_complete(home, name))


def is_complete(home: str, name: str) -> bool:
    """Return whether a managed Python was installed completely and its interpreter still exists."""
    return describe(home, name)["name"] == name and os.access(interpreter(home, name), os.X_OK)


def describe(home: str, name: str) -> dict[str, str]:
    """Return ``name``, ``version``, ``machine`` and ``sha256`` of a managed Python; empty strings if it is not complete."""
    try:
        found = json.loads(read(os.path.join(home, "pythons", name, DESCRIPTION)))
        return {key: str(found[key]) for key in ("name", "version", "machine", "sha256")}
    except (KeyError, OSError, TypeError, ValueError):  # the file is missing or damaged, so the run installs it again
        return dict.fromkeys(("name", "version", "machine", "sha256"), "")


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive to extract into an empty directory, without their directory ``python``.

    Root extracts them. Their owner is root, and they have only the mode bits for reading and executing. Only directories,
    files and links inside of the directory are allowed.

    Raises
    ------
    PythonError
        If a member would be written or lead outside of the directory, or is a device or similar.
    """
    for member in tar:
        path = posixpath.normpath(member.name)
        if path == TOP and member.isdir():
            continue
        top, dummy, inner = path.partition("/")
        if top != TOP or not inner or ".." in inner.split("/"):
            raise PythonError(f"the archive has '{member.name}', which is not in its directory {TOP}")
        if member.issym():
            leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(inner), member.linkname))
        elif member.islnk():
            top, dummy, leads_to = posixpath.normpath(member.linkname).partition("/")
            leads_to = leads_to if top == TOP else ".."
            member.linkname = leads_to
        elif member.isfile() or member.isdir():
            leads_to = inner
        else:
            raise PythonError(f"the archive has '{member.name}', which is neither a file, a directory nor a link")
        if posixpath.isabs(member.linkname) or leads_to.split("/")[0] in ("..", ""):
            raise PythonError(f"the archive has '{member.name}', a link that leads out of its directory {TOP}")
        member.name = inner
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        yield member


def extract(archive: str, directory: str) -> None:
    """Extract an archive into a new directory; raise PythonError if it is damaged or not allowed (see `members`)."""
    os.makedirs(directory)
    links: set[str] = set()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in members(tar):
                # Do not write a member, or link to one, through a link of an earlier member, because links may form a chain.
                below(member.name, member.name, links)
                if member.islnk():
                    below(member.name, f"{member.linkname}/", links)
                if member.name in links:
                    raise PythonError(f"the archive has '{member.name}' twice, once as a link")
                tar.extract(member, directory, numeric_owner=True)
                if member.issym():
                    links.add(member.name)
    except (EOFError, tarfile.TarError, zlib.error) as error:
        raise PythonError(f"the archive is damaged ({error})") from None
    # By its text alone, a link over other links can lead elsewhere than it does.
    root = os.path.realpath(directory)
    for name in sorted(links):
        if os.path.commonpath([root, os.path.realpath(os.path.join(root, name))]) != root:
            raise PythonError(f"the archive has '{name}', a link that leads out of its directory {TOP}")


def below(member: str, path: str, links: Container[str]) -> None:
    """Raise PythonError if a path of a member is below one of the links."""
    parents = path.split("/")
    if any("/".join(parents[:number]) in links for number in range(1, len(parents))):
        raise PythonError(f"the archive has '{member}', which is below a link")


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    checksum = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            checksum.update(chunk)
    return checksum.hexdigest()


def install(home: str, build: Mapping[str, str], archive: str, run: Run, relabel: Callable[[str], None]) -> None:
    """Install a managed Python from an archive. The caller holds the lock of builds.

    Parameters
    ----------
    home : str
        Directory of the collection.
    build : dict of str
        ``name``, ``version``, ``machine``, and ``sha256`` of the archive.
    archive : str
        Path of the archive on this host.
    run : callable
        Runs a command; see `Run`.
    relabel : callable
        Sets the SELinux contexts of the files in a directory.

    Raises
    ------
    PythonError
        If the archive is not the expected one.
    """
    root = os.path.join(home, "pythons")
    os.makedirs(root, exist_ok=True)
    for leftover in glob.glob(f"{root}/.partial-*"):  # of interrupted installations
        shutil.rmtree(leftover)
    if sha256_of(archive) != build["sha256"]:
        raise PythonError(
            "the SHA-256 of the archive differs. It was damaged on its way, or in dask_cache on the controller. Remove "
            f"python-{build['name']}.tar.gz there, and run again"
        )
    partial, final = os.path.join(root, f".partial-{build['name']}"), os.path.join(root, build["name"])
    try:
        extract(archive, partial)
        python = os.path.join(partial, "bin", "python3")
        found = run("Starting the managed Python", python, "-I", "-B", "-c", PROBE).split()
        if found != [build["version"], build["machine"]]:
            raise PythonError(
                f"the archive has Python {' for '.join(found)}, not {build['version']} for {build['machine']}. Correct "
                "its name"
            )
        # Services cannot write bytecode there, so without this they would compile the standard library at each start.
        run("Compiling the standard library", python, "-I", "-m", "compileall", "-q", "-j", "0", "-x", TESTS,
            os.path.join(partial, "lib"))  # fmt: skip
        with open(os.path.join(partial, DESCRIPTION), "w", encoding="utf-8") as file:
            json.dump(dict(build), file, indent=1, sort_keys=True)
        relabel(partial)
        os.sync()  # after a power cut the directory must not exist without its files
        replace_directory(final, partial)  # an existing directory without a valid description is damaged
    except BaseException:  # fail_json raises SystemExit; remove the files, since the disk may be full
        shutil.rmtree(partial, ignore_errors=True)
        raise


def prune_pythons(home: str) -> list[str]:
    """Remove the managed Pythons that no environment on the host and no process uses, and return their paths."""
    root = os.path.join(home, "pythons")
    for path in glob.glob(f"{root}/.removed-*"):  # left by an interrupted run
        shutil.rmtree(path, ignore_errors=True)
    names = {os.path.basename(path) for path in glob.glob(f"{root}/*")}
    if not names:
        return []
    paths = glob.glob(os.path.join(home, "environments", "*", "environment.json"))
    needed = {read_environment(os.path.dirname(path)).get("managed_python") for path in paths}
    removed = [os.path.join(root, name) for name in sorted(names - needed - directories_in_use(root))]
    for path in removed:
        shutil.rmtree(set_aside(path), ignore_errors=True)
    return removed
