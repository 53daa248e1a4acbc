# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching an environment's packages and installing them, once, on the controller, into one archive that hosts unpack."""

from __future__ import annotations

import glob
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from urllib.parse import urlsplit

from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, locked
from ansible_collections.daskops.cluster.plugins.module_utils.releases import TESTS
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    LockError,
    PackagesError,
    check_local_wheels,
    check_wheels,
    local_path,
    minor,
    name_and_version,
    parse_lock,
    pins,
    platform_tags,
    select,
    sha256_of,
    uv_platform,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.manifest import digest

# Part of every environment's id: raise it when environments are built in another way.
RECIPE = 3
# Part of every archive's name: raise it when archives are written in another way, so that none from before is taken.
ARCHIVE = 3

# Seconds to wait while another run fetches packages.
PATIENCE = 1800

# The script that packs an environment's files here and unpacks them on hosts, which get it with them.
TREE = os.path.join(os.path.dirname(__file__), "tree.py")


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
    directory : str, optional
        Where the lock is: relative paths in it start there.

    Raises
    ------
    LockError
        If the lock cannot serve that interpreter.
    """

    def __init__(self, lock, tools_lock, python, source, directory=None):
        requirements, self.options = parse_lock(lock, directory)
        check_local_wheels(requirements, self.options)
        local = [requirement.name for requirement, dummy in requirements if local_path(requirement)]
        if local and source == "index":
            raise LockError(
                f"{local[0]} is a wheel on the controller, which hosts cannot fetch: set dask_environment_source to "
                "controller"
            )
        self.python = python
        self.source = source
        self.lines = select(requirements, python)
        #: Version by package, as far as the lock tells: a wheel's own version is in its name.
        self.versions = dict(map(name_and_version, self.lines))
        self.tools = parse_lock(tools_lock)[0]
        self.tools_lines = select(self.tools, python)
        # Where packages come from is no part of the id: the hashes make sure that they are the same.
        *kind, libc = _kind(python)
        lines = [re.sub(r" @ file:\S*/", " @ ", line) for line in self.lines]
        # Nor is the interpreter of the distribution, whose prefix is the same on every host.
        own = [python["prefix"]] if python.get("prefix", "/usr") not in ("/usr", "/") else []
        self.id = digest([RECIPE, [*kind, libc[0], *own], lines, self.tools_lines])

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
            Path of the archive: ``requirements.txt``, ``tools.txt``, the wheels of ``tools/`` and, with source
            ``controller``, ``tree.py`` and the files of the environment, ``packages.zst``, or ``compiled.zst`` where
            the controller's Python could compile them.

        Raises
        ------
        PackagesError
            If a package cannot be had or installed, or differs from its hash.
        LockError
            If what the lock holds is not for the interpreter.
        """
        os.makedirs(cache, exist_ok=True)
        # Hosts that fetch for themselves read in the archive where from.
        origin = [index_url, self.options] if self.source == "index" else None
        name = digest(
            [ARCHIVE, sha256_of(TREE), self.id, self.source, self.python["libc"], origin, self._compiles_here()]
        )
        archive = os.path.join(cache, f"environment-{name}.tar")
        try:
            # Two runs at a time fetch one after the other; the second finds the first one's archive.
            with locked("packages", PATIENCE, os.path.join(cache, "locks")):
                if not os.path.exists(archive):
                    with tempfile.TemporaryDirectory(dir=cache) as directory:
                        self._make_archive(archive, directory, index_url)
        except HostLockError as error:
            raise PackagesError(str(error)) from None
        return archive

    def _compiles_here(self):
        """Whether the controller's Python makes the bytecode that the host's reads, so that hosts need not."""
        return self.source == "controller" and _kind(own_python())[:2] == _kind(self.python)[:2]

    def _make_archive(self, archive, directory, index_url):
        # Options in a file of requirements go before those of pip's command line; here the caller's index does.
        options = [line for line in self.options if not (index_url and line.startswith(("--index-url", "-i ")))]
        requirements = os.path.join(directory, "requirements.txt")
        with open(requirements, "w", encoding="utf-8") as file:
            file.write("\n".join([*(options if self.source == "index" else []), *self.lines, ""]))
        members = [(requirements, "requirements.txt")]
        # What hosts unpack with, those that install for themselves do not need.
        lines = [
            line for line in self.tools_lines if self.source == "controller" or not line.startswith("backports-zstd=")
        ]
        tools = self._download(lines, directory, "tools", index_url)
        if self.source == "controller":
            wheels = self._download([*options, *self.lines], directory, "wheels", index_url)
            check_wheels(wheels, self.python)
            # Just these: whatever the lock says of where they come from, they are taken from here.
            _write_pins(requirements, wheels)
            own = tools
            if _kind(own_python()) != _kind(self.python):
                own = self._download(select(self.tools, own_python()), directory, "own", index_url, own_python())
            tree = self._install(own, directory)
            members += [(TREE, "tree.py"), (tree, os.path.basename(tree))]
            shipped = [path for path in tools if not _is_uv(path)]
            used = [*shipped, *filter(_is_uv, own)]
        else:
            used = shipped = tools
        # What the environment is made with, for its bill of materials.
        _write_pins(os.path.join(directory, "tools.txt"), used)
        members += [(os.path.join(directory, "tools.txt"), "tools.txt")]
        members += [(path, f"tools/{os.path.basename(path)}") for path in shipped]
        partial = os.path.join(directory, "archive.tar")
        with tarfile.open(partial, "w") as tar:
            for path, name in members:
                tar.add(path, name)
        os.replace(partial, archive)

    def _install(self, tools, directory):
        """Install the wheels as the host would, and pack the files that come of it; the path of the packed ones."""
        for wheel in tools:
            with zipfile.ZipFile(wheel) as zipped:
                zipped.extractall(os.path.join(directory, "library"))
        uv = glob.glob(os.path.join(directory, "library", "uv-*.data", "scripts", "uv"))[0]
        os.chmod(uv, 0o755)
        tree = os.path.join(directory, "tree")
        settings = {
            **os.environ,
            "UV_CACHE_DIR": os.path.join(directory, "cache"),
            "UV_LINK_MODE": "hardlink",
            "UV_NO_CONFIG": "1",  # whatever the controller is set up with, nothing but the wheels is taken
        }
        # Relocatable, because it is to stand elsewhere.
        _run(
            [uv, "venv", "--quiet", "--relocatable", "--no-python-downloads", "--python", sys.executable, tree],
            settings,
        )
        # fmt: off
        _run([
            uv, "pip", "install", "--quiet", "--python", os.path.join(tree, "bin", "python"), "--require-hashes",
            "--only-binary", ":all:", "--no-index", "--find-links", os.path.join(directory, "wheels"),
            "--python-version", self.python["version"],
            "--python-platform", uv_platform(self.python["machine"], self.python["libc"]),
            "--requirement", os.path.join(directory, "requirements.txt"),
        ], settings)
        # fmt: on
        # What follows from the interpreter, the host makes of its own.
        leftovers = [".lock", "lib64", "pyvenv.cfg", *glob.glob("bin/python*", root_dir=tree)]
        for name in leftovers:
            path = os.path.join(tree, name)
            if os.path.lexists(path):
                os.remove(path)
        (library,) = glob.glob(os.path.join(tree, "lib", "python*"))
        os.rename(library, os.path.join(tree, "lib", f"python{minor(self.python['version'])}"))
        packed = os.path.join(directory, "packages.zst")
        if self._compiles_here():
            packed = os.path.join(directory, "compiled.zst")
            _compile(tree)
        _run([sys.executable, "-I", TREE, os.path.join(directory, "library"), "pack", tree, packed], os.environ)
        return packed

    def _download(self, lines, directory, name, index_url, python=None):
        """The wheels that ``lines`` stand for, fetched into ``directory/name`` and checked against their hashes.

        They are for the host's interpreter, or for ``python``.
        """
        python = python or self.python
        wanted = os.path.join(directory, f"{name}.txt")
        with open(wanted, "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, ""]))
        version = minor(python["version"]).replace(".", "")
        tags = platform_tags(python["machine"], python["libc"])
        # fmt: off
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp",
            f"--python-version={minor(python['version'])}", f"--abi=cp{version}", "--abi=abi3", "--abi=none",
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
            missing = re.search(r"No matching distribution found for (\S+)", done.stderr)
            if missing:
                # Asked again for that package alone, pip says what it passed over.
                lines = [line for line in lines if line.startswith(("-", missing.group(1)))]
                with open(wanted, "w", encoding="utf-8") as file:
                    file.write("\n".join([*lines, ""]))
                command[command.index("--quiet")] = "-vv"
                done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            raise PackagesError(self._reason(done.stderr + done.stdout))
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
        version = missing.group(1).rpartition("==")[2] if missing else ""
        if version and re.search(rf"No sources permitted for \S+: \S+-{re.escape(version)}\.(tar\.\w+|zip)\b", errors):
            return (
                f"{missing.group(1)} exists only as source, and hosts install wheels alone: build its wheel "
                f"('pip wheel --no-deps {missing.group(1)}'), name the wheel's path in requirements.in, and make the lock "
                "again"
            )
        if missing:
            return (
                f"the index has no wheel of {missing.group(1)} for Python {self.python['version']} on "
                f"{self.python['machine']} with {' '.join(self.python['libc'])}: the lock is for another Python or "
                "platform, or the index is not the one it was made with"
            )
        lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("WARNING")]
        return "pip could not fetch the packages: " + " ".join(lines[-3:])


def own_python():
    """The controller's interpreter, as `host_info` returns a host's."""
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "machine": platform.machine(),
        "libc": list(platform.libc_ver()),
    }


def _kind(python):
    """What tells interpreters apart that need other wheels."""
    return [python["implementation"], minor(python["version"]), python["machine"], list(python["libc"])]


def _is_uv(wheel):
    return os.path.basename(wheel).startswith("uv-")


def _write_pins(path, wheels):
    """Write what a lock says of wheels."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{pin} --hash=sha256:{sha256_of(wheel)}\n" for pin, wheel in pins(wheels))


def _compile(tree):
    """Make bytecode, which Python need not compare with its source: files of an environment never change."""
    # fmt: off
    subprocess.run(
        [
            sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
            "-x", TESTS, os.path.join(tree, "lib"),
        ],
        # A module that does not compile, such as a template, is not imported either.
        capture_output=True, check=False,
    )
    # fmt: on


def _run(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise PackagesError(f"its packages could not be installed on the controller: {' '.join(done.stderr.split())}")
