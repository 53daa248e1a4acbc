# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching an environment's packages, once, by the controller, into one archive that hosts build from."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from urllib.parse import urlsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    LockError,
    check_wheels,
    minor,
    parse_lock,
    pins,
    platform_tags,
    select,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.manifest import digest

# Part of every environment's id: raise it when the way that hosts build environments changes.
RECIPE = 2
# Part of every archive's name: raise it when archives are written in another way, so that none from before is taken.
ARCHIVE = 2


class Packages:
    """The packages of one environment.

    Parameters
    ----------
    lock, tools_lock : str
        Texts of the user's lock and of the lock of the collection's own tools.
    python : dict
        The host's interpreter, as `host_info` returned it.
    source : str
        ``controller``: the archive holds every wheel; ``index``: it holds the tools alone, hosts fetch for themselves.

    Raises
    ------
    LockError
        If the lock cannot serve that interpreter.
    """

    def __init__(self, lock, tools_lock, python, source):
        requirements, self.options = parse_lock(lock)
        self.python = python
        self.source = source
        self.lines = select(requirements, python)
        self.tools_lines = select(parse_lock(tools_lock)[0], python)
        # Where packages come from is no part of the id: the hashes make sure that they are the same.
        platform = [python["implementation"], minor(python["version"]), python["machine"], python["libc"][0]]
        self.id = digest([RECIPE, platform, self.lines, self.tools_lines])

    def fetch(self, cache, index_url):
        """Make the archive, unless ``cache`` has it.

        Parameters
        ----------
        cache : str
            Directory on the controller.
        index_url : str
            Package index; empty for the one that pip is configured with.

        Returns
        -------
        str
            Path of the archive: ``requirements.txt``, ``tools/….whl`` and, by source, ``wheels/…`` with, where the
            controller's Python can make it, their ``bytecode.zip``.

        Raises
        ------
        LockError
            If a package cannot be had, differs from its hash, or is not for the interpreter.
        """
        os.makedirs(cache, exist_ok=True)
        # Hosts that fetch for themselves read in the archive where from.
        origin = [index_url, self.options] if self.source == "index" else None
        name = digest([ARCHIVE, self.id, self.source, self.python["libc"], origin, self._compiles_here()])
        archive = os.path.join(cache, f"environment-{name}.tar")
        with open(os.path.join(cache, "lock"), "w", encoding="utf-8") as lock:
            # Two runs at a time fetch one after the other; the second finds the first one's archive.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(archive):
                with tempfile.TemporaryDirectory(dir=cache) as directory:
                    self._make_archive(archive, directory, index_url)
        return archive

    def _compiles_here(self):
        """Whether the controller's Python makes the bytecode that the host's reads, so that hosts need not."""
        here = [sys.implementation.name, "{}.{}".format(*sys.version_info)]
        return self.source == "controller" and here == [self.python["implementation"], minor(self.python["version"])]

    def _make_archive(self, archive, directory, index_url):
        # Options in a file of requirements go before those of pip's command line; here the caller's index does.
        options = [line for line in self.options if not (index_url and line.startswith(("--index-url", "-i ")))]
        requirements = os.path.join(directory, "requirements.txt")
        with open(requirements, "w", encoding="utf-8") as file:
            file.write("\n".join([*(options if self.source == "index" else []), *self.lines, ""]))
        members = [(requirements, "requirements.txt")]
        tools = self._download(self.tools_lines, directory, "tools", index_url)
        members += [(path, f"tools/{os.path.basename(path)}") for path in tools]
        if self.source == "controller":
            wheels = self._download([*options, *self.lines], directory, "wheels", index_url)
            check_wheels(wheels, self.python)
            # Just these: whatever the lock says of where they come from, hosts take them from here.
            with open(requirements, "w", encoding="utf-8") as file:
                file.writelines(f"{pin} --hash=sha256:{sha256_of(path)}\n" for pin, path in pins(wheels))
            members += [(path, f"wheels/{os.path.basename(path)}") for path in wheels]
            if self._compiles_here():
                members.append((_compile(wheels, directory), "bytecode.zip"))
        partial = os.path.join(directory, "archive.tar")
        with tarfile.open(partial, "w") as tar:
            for path, name in members:
                tar.add(path, name)
        os.replace(partial, archive)

    def _download(self, lines, directory, name, index_url):
        """The wheels that ``lines`` stand for, fetched into ``directory/name`` and checked against their hashes."""
        wanted = os.path.join(directory, f"{name}.txt")
        with open(wanted, "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, ""]))
        version = minor(self.python["version"]).replace(".", "")
        tags = platform_tags(self.python["machine"], self.python["libc"])
        # fmt: off
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp",
            f"--python-version={minor(self.python['version'])}", f"--abi=cp{version}", "--abi=abi3", "--abi=none",
            *(f"--platform={tag}" for tag in tags), f"--dest={directory}/{name}", f"--requirement={wanted}",
        ]
        # fmt: on
        environment = dict(os.environ)
        if index_url:
            # It may hold a password, which nobody must see in the list of processes.
            environment["PIP_INDEX_URL"] = index_url
            if index_url.startswith("http:"):
                # pip passes over an index without TLS unless told; the hashes vouch for what comes from it.
                command.append(f"--trusted-host={urlsplit(index_url).hostname}")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise LockError(self._reason(done.stderr))
        return sorted(glob.glob(f"{directory}/{name}/*.whl"))

    def _reason(self, errors):
        """What pip complains of, in the words of somebody who has a lock and hosts."""
        if "No module named pip" in errors:
            return f"the controller's Python ({sys.executable}) has no pip to fetch packages with: install pip there"
        if "DO NOT MATCH THE HASHES" in errors:
            package = re.search(r"^\s+(\S+==\S+)", errors, re.MULTILINE)
            return (
                f"{package.group(1) if package else 'a package'} differs from its hash in the lock: do not use it "
                "before you know why; make the lock again if the index is right"
            )
        # To pip, an index that does not answer is one without packages.
        broken = re.search(r"Retrying .* after connection broken by (.+?): /", errors)
        if broken:
            return f"the package index does not answer ({broken.group(1)}): set dask_environment_index_url to one that does"
        missing = re.search(r"No matching distribution found for (\S+)", errors)
        if missing:
            return (
                f"the index has no wheel of {missing.group(1)} for Python {self.python['version']} on "
                f"{self.python['machine']} with {' '.join(self.python['libc'])}: the lock is for another Python or "
                "platform, or the index is not the one it was made with"
            )
        lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("WARNING")]
        return "pip could not fetch the packages: " + " ".join(lines[-3:])


def _compile(wheels, directory):
    """An archive of the bytecode of all modules in ``wheels``, by path below site-packages."""
    library = os.path.join(directory, "library")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as zipped:
            for member in zipped.infolist():
                # Nobody imports the packages' own tests on a cluster, and they are almost half of all modules.
                if not member.filename.endswith(".py") or re.search(r"/tests?/", member.filename):
                    continue
                # Some wheels keep what belongs in site-packages in a directory of its own.
                member.filename = re.sub(r"^[^/]+[.]data/(purelib|platlib)/", "", member.filename)
                zipped.extract(member, library)
    # Files of an environment never change: Python need not compare bytecode with its source.
    # fmt: off
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", library],
        capture_output=True, check=False,  # a module that does not compile, such as a template, is not imported either
    )
    # fmt: on
    archive = os.path.join(directory, "bytecode.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(glob.glob(f"{library}/**/__pycache__/*.pyc", recursive=True)):
            zipped.write(path, os.path.relpath(path, library))
    return archive


def sha256_of(path):
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        checksum = hashlib.sha256()
        while chunk := file.read(1 << 20):
            checksum.update(chunk)
    return checksum.hexdigest()
