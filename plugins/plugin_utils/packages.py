# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch and install the packages of an environment on the controller, and pack them into an archive for the hosts."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, locked
from ansible_collections.daskops.cluster.plugins.module_utils.releases import TESTS
from ansible_collections.daskops.cluster.plugins.plugin_utils.builds import BUILDS, build_wheel, built_wheel
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    Lock,
    LockError,
    PackagesError,
    add_to_build,
    check_local_wheels,
    check_wheels,
    described,
    hash_of,
    identity,
    local_path,
    minor,
    name_and_version,
    pins,
    platform_tags,
    redacted,
    requirement_of,
    select,
    to_build,
    uv_platform,
    with_addresses,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.pip import run_pip
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins

# Part of the id of every environment. Increase it when environments are built in another way.
RECIPE = 3
# Part of the name of every archive. Increase it when the content of archives changes, so that older ones are not used.
ARCHIVE = 3

# Seconds to wait while another run fetches packages.
PATIENCE = 1800

# The script that packs the files of an environment. The archive contains it, and hosts unpack the files with it.
TREE = os.path.join(os.path.dirname(__file__), "tree.py")


class Packages:
    """The packages of one environment.

    Parameters
    ----------
    lock, tools_lock : Lock
        The user's lock, and the lock of the collection's own tools.
    python : dict
        ``python`` in the host's result of `host_info`.
    source : str
        With ``controller``, the archive contains the packages. With ``index``, it contains only the tools, and hosts fetch
        the packages.
    build : collection of str
        Normalized names of the packages that the controller builds from source.

    Raises
    ------
    LockError
        If the lock is not for that interpreter.
    """

    def __init__(
        self, lock: Lock, tools_lock: Lock, python: Mapping[str, Any], source: str, build: Collection[str] = ()
    ) -> None:
        check_local_wheels(lock)
        self.lock = lock
        self.python = python
        self.source = source
        self.lines = select(lock, python, build)
        #: Names of the packages that are built from source.
        self.built = to_build(lock, self.lines, build)
        here = [f"{name} is built" for name in self.built]
        here += [f"{line.partition(' ')[0]} is a wheel" for line in self.lines if local_path(requirement_of(line))]
        if here and source == "index":
            raise LockError(
                f"{here[0]} on the controller, which hosts cannot fetch. Set dask_environment_source to controller"
            )
        #: Version by package. For the path of a wheel, it is the version in the file name.
        self.versions = dict(map(name_and_version, self.lines))
        self.tools = tools_lock
        self.tools_lines = select(self.tools, python)
        *kind, libc = _kind(python)
        # A package that is built has other files than its wheel on an index.
        lines = [
            f"{identity(line)} built {BUILDS}" if requirement_of(line).name in self.built else identity(line)
            for line in self.lines
        ]
        # The prefix of the distribution's interpreter is not part of the id, because it is the same on every host. A managed
        # Python has a name.
        own = [python["prefix"]] if python.get("prefix", "/usr") not in ("/usr", "/") else []
        own = [python["managed"]] if python.get("managed") else own
        self.id = digest([RECIPE, [*kind, libc[0], *own], lines, self.tools_lines])

    def fetch(self, cache: str, index_url: str) -> str:
        """Return the path of the archive. Makes the archive if ``cache`` does not contain it.

        Parameters
        ----------
        cache : str
            Directory on the controller.
        index_url : str
            URL of the package index. Empty for the index in pip's own configuration.

        Returns
        -------
        str
            Path of the archive. It contains ``requirements.txt``, ``tools.txt`` and the wheels of ``tools/``. With source
            ``controller``, it also contains ``tree.py`` and the files of the environment, in ``packages.zst`` or, if the
            controller's Python could compile them, ``compiled.zst``.

        Raises
        ------
        PackagesError
            If a package cannot be fetched or installed, or does not match its hash.
        LockError
            If the packages are for another interpreter.
        """
        os.makedirs(cache, exist_ok=True)
        # The archive has the index options for hosts that fetch packages themselves.
        origin = [index_url, self._for_hosts(index_url)] if self.source == "index" else None
        name = digest(
            [ARCHIVE, hash_of(TREE), self.id, self.source, self.python["libc"], origin, self._compiles_here()]
        )
        archive = os.path.join(cache, f"environment-{name}.tar")
        try:
            # Of two simultaneous runs, the second one waits and then finds the archive of the first.
            with locked("packages", PATIENCE, os.path.join(cache, "locks")):
                if not os.path.exists(archive):
                    with tempfile.TemporaryDirectory(dir=cache) as directory:
                        self._make_archive(archive, directory, index_url, cache)
        except HostLockError as error:
            raise PackagesError(str(error)) from None
        return archive

    def _compiles_here(self) -> bool:
        """Return whether the host's Python can read bytecode of the controller's, so that hosts need not compile."""
        return self.source == "controller" and _kind(own_python())[:2] == _kind(self.python)[:2]

    def _options(self, index_url: str) -> list[str]:
        """Return the lock's options about the origin of packages."""
        # Options in a requirements file override pip's command line. Remove them if the caller gives an index.
        return [line for line in self.lock.options if not (index_url and line.startswith(("--index-url", "-i")))]

    def _lines(self, index_url: str) -> list[str]:
        """Return the lines of the packages, with the URLs that the lock gives unless the caller names an index."""
        return self.lines if index_url else with_addresses(self.lines, self.lock.addresses)

    def _for_hosts(self, index_url: str) -> str:
        """Return the requirements file of hosts that fetch packages themselves."""
        return "\n".join([*self._options(index_url), *self._lines(index_url), ""])

    def _make_archive(self, archive: str, directory: str, index_url: str, cache: str) -> None:
        begins("fetching the packages of the environment")
        requirements = os.path.join(directory, "requirements.txt")
        members = [(requirements, "requirements.txt")]
        # Hosts that install packages themselves do not need the package for unpacking.
        lines = [
            line for line in self.tools_lines if self.source == "controller" or not line.startswith("backports-zstd=")
        ]
        tools = download(lines, self.python, os.path.join(directory, "tools"), index_url)
        if self.source == "controller":
            wheels = self._provide(directory, index_url, cache)
            check_wheels(wheels, self.python)
            # Pin the fetched wheels without their origin, because they are installed from a directory of the controller.
            write_pins(requirements, wheels)
            own = tools
            if _kind(own_python()) != _kind(self.python):
                python = own_python()
                own = download(select(self.tools, python), python, os.path.join(directory, "own"), index_url)
            tree = self._install(own, directory)
            members += [(TREE, "tree.py"), (tree, os.path.basename(tree))]
            shipped = [path for path in tools if not _is_uv(path)]
            used = [*shipped, *filter(_is_uv, own)]
        else:
            with open(requirements, "w", encoding="utf-8") as file:
                file.write(self._for_hosts(index_url))
            used = shipped = tools
        # The bill of materials lists the tools that build the environment.
        write_pins(os.path.join(directory, "tools.txt"), used)
        members += [(os.path.join(directory, "tools.txt"), "tools.txt")]
        members += [(path, f"tools/{os.path.basename(path)}") for path in shipped]
        partial = os.path.join(directory, "archive.tar")
        with tarfile.open(partial, "w") as tar:
            for path, name in members:
                tar.add(path, name)
        if self.source == "index":
            # The options may contain a password.
            os.chmod(partial, 0o600)
        os.replace(partial, archive)

    def _provide(self, directory: str, index_url: str, cache: str) -> list[str]:
        """Fetch or build the wheels of the packages into ``directory/wheels``, and return their paths."""
        options, lines = self._options(index_url), self._lines(index_url)
        sources = [line for line in lines if requirement_of(line).name in self.built]
        # Build first: this fails more often, and takes longer, than fetching.
        built = [build_wheel(line, options, cache, index_url, self.python, own_python()) for line in sources]
        fetched = [line for line in lines if line not in sources]
        if fetched:
            download([*options, *fetched], self.python, os.path.join(directory, "wheels"), index_url)
        os.makedirs(os.path.join(directory, "wheels"), exist_ok=True)
        for wheel in built:
            shutil.copy(wheel, os.path.join(directory, "wheels"))
        return sorted(glob.glob(f"{glob.escape(directory)}/wheels/*.whl"))

    def _install(self, tools: Iterable[str], directory: str) -> str:
        """Install the wheels like a host, pack the installed files, and return the path of the packed files."""
        uv = unpack_uv(tools, directory)
        tree = os.path.join(directory, "tree")
        settings = {
            **os.environ,
            "UV_CACHE_DIR": os.path.join(directory, "cache"),
            "UV_LINK_MODE": "hardlink",
            "UV_NO_CONFIG": "1",  # ignore the controller's configuration, to install only the fetched wheels
        }
        # The environment must be relocatable, because it is unpacked in another directory.
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
        # Remove files that depend on the interpreter. The host creates its own.
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
            compile_modules(tree)
        _run([sys.executable, "-I", TREE, os.path.join(directory, "library"), "pack", tree, packed], os.environ)
        return packed


def download(lines: Sequence[str], python: Mapping[str, Any], directory: str, index_url: str) -> list[str]:
    """Fetch the wheels for an interpreter, check their hashes, and return their paths.

    Parameters
    ----------
    lines : list of str
        Requirements with hashes, and options with the origin of packages.
    python : dict
        The interpreter, in the form of `host_info`.
    directory : str
        Directory for the wheels.
    index_url : str
        URL of the package index. Empty for the index in pip's own configuration.

    Raises
    ------
    PackagesError
        If a wheel cannot be fetched, or does not match its hash.
    """
    version = minor(python["version"]).replace(".", "")
    tags = platform_tags(python["machine"], python["libc"])
    # fmt: off
    command = [
        "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp",
        f"--python-version={minor(python['version'])}", f"--abi=cp{version}", "--abi=abi3", "--abi=none",
        *(f"--platform={tag}" for tag in tags), f"--dest={directory}",
    ]
    # fmt: on
    done = _run_pip(command, lines, index_url)
    if done.returncode != 0:
        missing = re.search(r"No matching distribution found for (\S+)", done.stderr)
        if missing:
            # Repeat the command for this package alone with -vv, so that pip reports the files that it ignored.
            lines = [line for line in lines if line.startswith(("-", missing.group(1)))]
            command[command.index("--quiet")] = "-vv"
            done = _run_pip(command, lines, index_url)
        raise PackagesError(redacted(_reason(done.stderr + done.stdout, python)))
    return sorted(glob.glob(f"{directory}/*.whl"))


def _run_pip(command: Sequence[str], lines: Iterable[str], index_url: str) -> subprocess.CompletedProcess[str]:
    """Run a command of pip with requirements, in a file that no other account can read: options may have passwords."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write("\n".join([*lines, ""]))
        file.flush()
        return run_pip([*command, f"--requirement={file.name}"], index_url)


def _reason(errors: str, python: Mapping[str, Any]) -> str:
    """Return the reason for an error of pip and the remedy, in terms of the lock and the hosts."""
    if "DO NOT MATCH THE HASHES" in errors:
        package = re.search(r"^\s+(\S+==\S+)", errors, re.MULTILINE)
        return (
            f"{package.group(1) if package else 'a package'} does not match its hash in the lock: find out why before "
            "you use it, and make the lock again if the file on the index is right"
        )
    # pip treats an index that does not answer like an index without packages.
    broken = re.search(r"Retrying .* after connection broken by (.+?): /", errors)
    if broken:
        return f"the package index does not answer ({broken.group(1)}): set dask_environment_index_url to one that does"
    missing = re.search(r"No matching distribution found for (\S+)", errors)
    version = missing.group(1).rpartition("==")[2] if missing else ""
    source = rf"No sources permitted for \S+: \S+-{re.escape(version)}\.(tar\.\w+|zip)\b"
    if missing and version and re.search(source, errors):
        return f"{missing.group(1)} exists only as source. {add_to_build(missing.group(1).rpartition('==')[0])}"
    if missing:
        return (
            f"the index has no wheel of {missing.group(1)} for {described(python)}: the lock is for another Python or "
            "platform, or was made with another index"
        )
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("WARNING")]
    return "pip could not fetch the packages: " + " ".join(lines[-3:])


def built_wheels(lock: Lock, build: Collection[str], cache: str, python: Mapping[str, Any]) -> dict[str, str]:
    """Return the wheels that this controller has built, by name of the package.

    Parameters
    ----------
    lock, build, python
        As for `Packages`.
    cache : str
        As for `Packages.fetch`.

    Raises
    ------
    LockError
        As `Packages` does.
    """
    lines = select(lock, python, build)
    names = to_build(lock, lines, build)
    by_name = {requirement_of(line).name: line for line in lines}
    found = {name: built_wheel(cache, by_name[name], own_python()) for name in names}
    return {name: wheel for name, wheel in found.items() if wheel}


def unpack_uv(wheels: Iterable[str], directory: str) -> str:
    """Extract wheels, one of which is that of uv, into ``directory/library``, and return the path of uv's executable."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as zipped:
            zipped.extractall(os.path.join(directory, "library"))
    uv = glob.glob(os.path.join(directory, "library", "uv-*.data", "scripts", "uv"))[0]
    os.chmod(uv, 0o755)
    return uv


def own_python() -> dict[str, Any]:
    """Return the controller's interpreter in the form of `host_info`."""
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "machine": platform.machine(),
        "libc": list(platform.libc_ver()),
    }


def _kind(python: Mapping[str, Any]) -> list[Any]:
    """Return the properties of an interpreter on which the choice of wheels depends."""
    return [python["implementation"], minor(python["version"]), python["machine"], list(python["libc"])]


def _is_uv(wheel: str) -> bool:
    """Return whether a wheel contains uv."""
    return os.path.basename(wheel).startswith("uv-")


def write_pins(path: str, wheels: Iterable[str]) -> None:
    """Write the pins and hashes of wheels."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{pin} --hash=sha256:{hash_of(wheel)}\n" for pin, wheel in pins(wheels))


def compile_modules(tree: str) -> None:
    """Compile modules to bytecode that Python does not compare with the source, which never changes."""
    # fmt: off
    subprocess.run(
        [
            sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
            "-x", TESTS, os.path.join(tree, "lib"),
        ],
        # Ignore errors, because modules that do not compile, such as templates, are not imported.
        capture_output=True, check=False,
    )
    # fmt: on


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command; raise PackagesError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        why = redacted(" ".join(done.stderr.split()))
        raise PackagesError(f"the packages could not be installed on the controller: {why}")
