# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and fetch the builds of CPython that the controller ships to hosts.

They are those of python-build-standalone, which uv lists and fetches, or have their form. uv contains the SHA-256 of each
build that it knows; ``dask_python_sha256`` has those of other builds.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, locked
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import OLDEST_PYTHON, numbers
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    PackagesError,
    hash_of,
    redacted,
    select,
    without_credentials,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import download, own_python, unpack_uv
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins

#: Seconds to wait while another run fetches a build.
PATIENCE = 1800

#: The name of a build's archive. Releases of Python have no letters in their version.
_FILE = re.compile(
    r"cpython-(?P<version>3\.\d+\.\d+)\+(?P<tag>\d{8})-(?P<machine>\w+)-unknown-linux-gnu-install_only(_stripped)?\.tar\.gz"
)

#: uv's source without a mirror. uv replaces this part of a URL by the mirror.
_SOURCE = "https://github.com/astral-sh/python-build-standalone/releases/download"


class BuildError(Exception):
    """There is no such build, or it cannot be fetched. The message has the reason and the remedy."""


@dataclass(frozen=True)
class Build:
    """A build of CPython for one architecture.

    Parameters
    ----------
    version, tag, machine : str
        Full version, date of the build, and architecture.
    file : str
        Name of its archive.
    sha256 : str
        SHA-256 from ``dask_python_sha256``; empty if uv knows the build and no other hash is given.
    known : bool
        Whether uv knows the build.
    path : str
        Path of its archive on the controller; empty if it must be fetched.
    """

    version: str
    tag: str
    machine: str
    file: str
    sha256: str = ""
    known: bool = False
    path: str = ""

    @property
    def name(self) -> str:
        """Return its name on hosts. A build of that name never changes, because uv has its hash, or the name contains it."""
        return f"{self.version}+{self.tag}-{self.machine}{'' if self.known else '-' + self.sha256[:12]}"

    @property
    def newness(self) -> tuple[tuple[int, ...], str, bool]:
        """Return a key that is greater for newer builds and, of one build, for the archive that uv knows."""
        return numbers(self.version), self.tag, self.known

    def satisfies(self, wanted: str) -> bool:
        """Return whether this is a version such as 3.13, 3.13.5 or 3.13.5+20261129; empty for all that Dask supports."""
        version, dummy, tag = wanted.partition("+")
        given = numbers(version) or numbers(self.version)[:2]
        return (
            numbers(self.version)[: len(given)] == given
            and numbers(self.version)[:2] >= OLDEST_PYTHON
            and tag in ("", self.tag)
        )


def build_of(file: str) -> Build | None:
    """Return the build whose archive has a name; None if the name has another form."""
    found = _FILE.fullmatch(unquote(file))
    return Build(found["version"], found["tag"], found["machine"], unquote(file)) if found else None


def newest(builds: Collection[Build], wanted: Sequence[str], machines: Collection[str]) -> dict[str, Build]:
    """Return the newest build that exists for all architectures, by architecture; empty if there is none.

    Parameters
    ----------
    builds : collection of Build
        The builds to choose from.
    wanted : sequence of str
        Versions, the best one first; see `Build.satisfies`.
    machines : collection of str
        The architectures.
    """
    for version in wanted:
        by_version: dict[tuple[Any, ...], dict[str, Build]] = {}
        for build in sorted(filter(lambda one: one.satisfies(version), builds), key=lambda one: one.newness):
            by_version.setdefault(build.newness[:2], {})[build.machine] = build
        for key in sorted(by_version, reverse=True):
            if set(machines) <= set(by_version[key]):
                return {machine: by_version[key][machine] for machine in machines}
    return {}


@dataclass(frozen=True)
class Source:
    """The source of builds.

    Parameters
    ----------
    mirror : str
        Value of ``dask_python_mirror``.
    sha256 : dict of str
        Value of ``dask_python_sha256``.
    cache : str
        Directory on the controller.
    index_url : str
        Package index, for uv; empty for the index that pip is configured with.
    """

    mirror: str
    sha256: Mapping[str, str]
    cache: str
    index_url: str

    @property
    def directory(self) -> str:
        """Return the mirror's directory on the controller; empty if the mirror is a URL."""
        if not self.mirror or re.match(r"https?:", self.mirror):
            return ""
        path = unquote(urlsplit(self.mirror).path) if self.mirror.startswith("file:") else self.mirror
        return os.path.abspath(os.path.expanduser(path))

    @property
    def place(self) -> str:
        """Return the description of the source in messages, without a password."""
        url = self.mirror or os.environ.get("UV_PYTHON_INSTALL_MIRROR", "")
        return self.directory or without_credentials(url) or "the internet"

    def find(self, wanted: Sequence[str], machines: Collection[str]) -> dict[str, Build]:
        """Return the build for each architecture, like `newest`; raise BuildError if there is none."""
        # uv is needed only for its hashes.
        known = {} if self.directory and set(machines) <= set(self.sha256) else self._known()
        if self.directory:
            offered = [replace(build, known=build.file in known) for build in _in_directory(self.directory)]
        else:
            offered = [*known.values(), *_named(wanted, machines, known)]
        found = newest(offered, wanted, machines)
        if not found:
            raise BuildError(self._missing(wanted, machines, offered))
        found = {machine: replace(build, sha256=self.sha256.get(machine, "")) for machine, build in found.items()}
        for build in found.values():
            if not build.known and not build.sha256:
                raise BuildError(
                    f"uv does not know the hash of {build.file}. Set dask_python_sha256 to its SHA-256, by architecture: "
                    f"{{{build.machine}: ...}}"
                )
        return found

    def _missing(self, wanted: Sequence[str], machines: Collection[str], offered: Iterable[Build]) -> str:
        """Return the message if there is no build."""
        version = next(filter(None, wanted))
        needs = " and ".join(sorted(machines))
        if not self.directory:
            return f"there is no CPython {version} for {needs}. Choose another version, or give a build: VERSION+DATE"
        if not os.path.isdir(self.directory):
            return f"{self.place} is not a directory on the controller. Correct dask_python_mirror, or create it"
        there = sorted({f"{build.version}+{build.tag} for {build.machine}" for build in offered})
        return (
            f"{self.place} has no CPython {version} for {needs}, but {', '.join(there) or 'no build at all'}. Add archives "
            f"with the name cpython-VERSION+DATE-{min(machines)}-unknown-linux-gnu-install_only_stripped.tar.gz, with or "
            "without a directory DATE"
        )

    def _known(self) -> dict[str, Build]:
        """Return the names of the archives of builds that uv knows. Cached for each version of uv."""
        path = os.path.join(self.cache, f"python-builds-{digest([_locked_uv()])}.json")
        if not os.path.exists(path):
            with self._scratch() as directory:
                listed = _run(
                    [_uv(directory, self.index_url), "python", "list", "--only-downloads", "--all-versions",
                     "--all-platforms", "--all-arches", "--show-urls", "--output-format", "json", "--offline",
                     "--no-config"],
                    directory,
                )  # fmt: skip
                urls = [entry["url"] for entry in json.loads(listed) if entry["variant"] == "default"]
                partial = os.path.join(directory, "builds.json")
                with open(partial, "w", encoding="utf-8") as file:
                    json.dump(
                        [name for name in (unquote(url.rpartition("/")[2]) for url in urls) if build_of(name)], file
                    )
                os.replace(partial, path)
        with open(path, encoding="utf-8") as file:
            builds = filter(None, map(build_of, json.load(file)))
        return {build.file: replace(build, known=True) for build in builds}

    def fetch(self, build: Build) -> tuple[str, str]:
        """Return the path of a build's archive on the controller, and its SHA-256. Fetches it if it is not in the cache.

        Raises
        ------
        BuildError
            If it cannot be fetched, or has another hash.
        """
        os.makedirs(self.cache, exist_ok=True)
        try:
            # Of two simultaneous runs, the second one waits and then finds the archive of the first.
            with locked("pythons", PATIENCE, os.path.join(self.cache, "locks")):
                there = glob.glob(os.path.join(glob.escape(self.cache), f"python-{glob.escape(build.name)}-*.tar.gz"))
                return self._cached(build, there[0]) if there else self._fetch(build)
        except HostLockError as error:
            raise BuildError(str(error)) from None

    def _cached(self, build: Build, path: str) -> tuple[str, str]:
        """Return the path of a build's archive in the cache, and its SHA-256, with which its name ends."""
        found = path[: -len(".tar.gz")].rpartition("-")[2]
        if build.sha256 not in ("", found):
            raise BuildError(
                f"{os.path.basename(path)} in dask_cache has the SHA-256 {found}, but dask_python_sha256 has another one. "
                "Find out why before you use it, and remove the wrong one"
            )
        return path, found

    def _fetch(self, build: Build) -> tuple[str, str]:
        begins(f"fetching CPython {build.version} for {build.machine}")
        with self._scratch() as directory:
            if build.path and not build.known:
                archive = os.path.join(directory, build.file)
                shutil.copyfile(build.path, archive)
            else:
                archive = self._fetch_with_uv(build, directory)
            found = hash_of(archive)
            if build.sha256 not in ("", found):
                raise BuildError(
                    f"{build.file} of {self.place} has the SHA-256 {found}, but dask_python_sha256 has another one. Find "
                    "out why before you use it"
                )
            final = os.path.join(self.cache, f"python-{build.name}-{found}.tar.gz")
            os.replace(archive, final)
        return final, found

    def _fetch_with_uv(self, build: Build, directory: str) -> str:
        """Return the path of the archive that uv has fetched, and checked with the hash that it contains or is given."""
        archives = os.path.join(directory, "archives")
        settings = {"UV_CACHE_DIR": os.path.join(directory, "cache"), "UV_PYTHON_CACHE_DIR": archives}
        if build.path:
            # uv reads this copy, so that the file cannot be replaced after the check.
            copy = os.path.join(directory, "mirror", build.tag, build.file)
            os.makedirs(os.path.dirname(copy))
            shutil.copyfile(build.path, copy)
            settings["UV_PYTHON_INSTALL_MIRROR"] = f"file://{quote(os.path.join(directory, 'mirror'))}"
        elif self.mirror:  # the URL may contain a password, which must not appear in the list of processes
            settings["UV_PYTHON_INSTALL_MIRROR"] = self.mirror.rstrip("/")
        key = f"cpython-{build.version}-linux-{build.machine}-gnu"
        options = [] if build.known else ["--python-downloads-json-url", _described(build, key, directory)]
        # fmt: off
        command = [
            _uv(directory, self.index_url), "python", "install", "--no-bin",
            "--install-dir", os.path.join(directory, "installed"), *options, key,
        ]
        # fmt: on
        try:
            _run(command, directory, **settings)
        except BuildError as error:
            raise BuildError(self._reason(build, str(error))) from None
        (archive,) = glob.glob(os.path.join(glob.escape(archives), "*"))
        return archive

    def _reason(self, build: Build, errors: str) -> str:
        """Return the reason for an error of uv, and the remedy."""
        if "Hash mismatch" in errors:
            return (
                f"{build.file} of {self.place} does not match its hash in "
                f"{'uv' if build.known else 'dask_python_sha256'}. Find out why before you use it"
            )
        # The last cause is the most specific one.
        cause = re.split(r"\bcause: ", " ".join(errors.split()))[-1]
        cause = redacted(re.sub(r"( for url)? \(?[a-z]+://\S+", "", cause).strip(" .:`"))
        return (
            f"CPython {build.version} for {build.machine} cannot be fetched from {self.place} ({cause}). Set "
            f"dask_python_mirror to a mirror, or to a directory on the controller with {build.file}, or install one "
            "version of Python on all hosts, and set dask_python to its name or path"
        )

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        """Return a temporary directory in the cache."""
        os.makedirs(self.cache, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self.cache)


def _in_directory(directory: str) -> Iterator[Build]:
    """Yield the builds whose archives are in a directory, or in a subdirectory with the name of their date."""
    for path in [*glob.glob(os.path.join(glob.escape(directory), "*")), *glob.glob(f"{glob.escape(directory)}/*/*")]:
        build = build_of(os.path.basename(path))
        if build and os.path.basename(os.path.dirname(path)) in (build.tag, os.path.basename(directory)):
            yield replace(build, path=path)


def _named(wanted: Iterable[str], machines: Iterable[str], known: Mapping[str, Build]) -> Iterator[Build]:
    """Yield the builds in complete versions that uv does not know."""
    for version in wanted:
        for machine in machines:
            build = build_of(f"cpython-{version}-{machine}-unknown-linux-gnu-install_only_stripped.tar.gz")
            if build and build.file not in known:
                yield build


def _described(build: Build, key: str, directory: str) -> str:
    """Write the description of a build that uv does not know, and return the path of the file."""
    major, minor, patch = numbers(build.version)
    about = {
        "name": "cpython",
        "arch": {"family": build.machine, "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{_SOURCE}/{build.tag}/{quote(build.file)}",
        "sha256": build.sha256,
        "variant": None,
        "build": build.tag,
    }
    path = os.path.join(directory, "downloads.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({key: about}, file)
    return path


def _locked_uv() -> str:
    """Return the line of the lock for uv, which pins its version, for the controller's interpreter."""
    lines = select(read_lock(TOOLS_LOCK)[0], own_python())
    return next(line for line in lines if line.startswith("uv=="))


def _uv(directory: str, index_url: str) -> str:
    """Fetch the locked version of uv, and return the path of its executable."""
    try:
        return unpack_uv(download([_locked_uv()], own_python(), os.path.join(directory, "uv"), index_url), directory)
    except PackagesError as error:
        raise BuildError(f"uv, which fetches CPython, is missing: {error}") from None


def _run(command: Sequence[str], directory: str, **settings: str) -> str:
    """Run uv in a directory, and return its output; raise BuildError with its errors."""
    environment = {**os.environ, "NO_COLOR": "1", **settings}
    environment.pop("UV_PYTHON_DOWNLOADS_JSON_URL", None)  # the user's setting would replace the builds that uv knows
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=environment)
    if done.returncode != 0:
        raise BuildError(done.stderr)
    return done.stdout


@dataclass(frozen=True)
class Wanted:
    """The managed Python that a host needs.

    Parameters
    ----------
    versions : tuple of str
        Suitable versions, starting with the best one.
    machine : str
        Its architecture.
    there : collection of str
        Names of the managed Pythons that the host already has.
    """

    versions: tuple[str, ...]
    machine: str
    there: Collection[str]


def provide(hosts: Mapping[str, Wanted], source: Source) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the managed Python of each host, and a sentence for each problem. Fetches missing builds.

    Hosts with the same versions get the same build, each for its architecture.

    Returns
    -------
    tuple of (dict, list of str)
        By host ``name``, ``version``, ``machine``, ``sha256`` and ``archive``, a file on the controller. The last two are
        empty for a host that has the build.
    """
    found: dict[str, dict[str, str]] = {}
    problems = []
    for versions in dict.fromkeys(wanted.versions for wanted in hosts.values()):
        having = {host: wanted for host, wanted in hosts.items() if wanted.versions == versions}
        try:
            builds = source.find(versions, {wanted.machine for wanted in having.values()})
            lacking = {wanted.machine for wanted in having.values() if builds[wanted.machine].name not in wanted.there}
            archives = {machine: source.fetch(builds[machine]) for machine in sorted(lacking)}
        except (BuildError, OSError) as error:
            problems.append(f"dask_python ({versions[0]}): {str(error).rstrip('.')}.")
            continue
        for host, wanted in having.items():
            build = builds[wanted.machine]
            archive, sha256 = archives.get(wanted.machine, ("", "")) if build.name not in wanted.there else ("", "")
            about = {"name": build.name, "version": build.version, "machine": build.machine}
            found[host] = {**about, "sha256": sha256, "archive": archive}
    return found, problems
