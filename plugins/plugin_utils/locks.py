# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: the packages in them that apply to an interpreter, and checks of their wheels, on the controller."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shlex
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import Parser
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import (
    InvalidRequirement,
    InvalidSdistFilename,
    InvalidSpecifier,
    InvalidWheelFilename,
    Marker,
    Requirement,
    SpecifierSet,
    UndefinedComparison,
    UndefinedEnvironmentName,
    Version,
    canonicalize_name,
    compatible_tags,
    cpython_tags,
    parse_sdist_filename,
    parse_wheel_filename,
)

#: The hash algorithms of a lock, and the number of hexadecimal digits of each: those that pip accepts.
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}

#: How to make a lock, the end of messages about texts that are none.
HOW_TO_LOCK = "Make it with: uv pip compile --universal --generate-hashes requirements.in -o LOCK"

# Minor versions of glibc 2 for which uv has platforms.
_UV_MANYLINUX = (17, 28, *range(31, 41))


class LockError(ValueError):
    """No environment can be built from the lock; the message names the line or the package, and what to do."""


class PackagesError(ValueError):
    """Packages of a valid lock cannot be fetched, built or installed; the message says why."""


@dataclass(frozen=True)
class Locked:
    """A package of a lock.

    Parameters
    ----------
    requirement : packaging.requirements.Requirement
        Name and marker, with one version or a URL. A wheel or source archive that is named by its path has a URL
        (``file:///…``). The version is missing if only the names of ``files`` have it.
    hashes : list of str
        The allowed hashes, such as ``sha256:…``. Empty for a commit of git, which identifies its content itself.
    files : tuple of (str, str)
        Name and hash of each wheel and source archive, if the lock lists them. One of them is chosen for an interpreter.
    requires_python : str
        The versions of Python that the lock says the package is for; empty for any.
    """

    requirement: Requirement
    hashes: list[str]
    files: tuple[tuple[str, str], ...] = ()
    requires_python: str = ""


@dataclass(frozen=True)
class Lock:
    """The content of a lock.

    Parameters
    ----------
    packages : list of Locked
        The packages.
    options : list of str
        Options with the origin of packages, as lines of a requirements file. They may contain passwords.
    included : list of str
        Paths of the files that the lock includes.
    from_source : dict of str
        By normalized name of a package that the lock wants to be built from source, the place in the lock.
    addresses : dict of str
        URL by hash of the files whose URLs the lock gives.
    indexes : list of str
        URLs of the indexes that the lock names for its files.
    requires_python : str
        The versions of Python that the lock is for; empty for any.
    environments : list of packaging.markers.Marker
        Markers, one of which an interpreter must satisfy; empty if the lock is for all.
    groups : frozenset of str
        The dependency groups that are installed.
    """

    packages: list[Locked]
    options: list[str] = field(default_factory=list)
    included: list[str] = field(default_factory=list)
    from_source: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    indexes: list[str] = field(default_factory=list)
    requires_python: str = ""
    environments: list[Marker] = field(default_factory=list)
    groups: frozenset[str] = frozenset()


# A user name and password in a URL. A password that is not encoded may contain "@" and "/".
_CREDENTIALS = re.compile(r"(?<=://)(?:(?!git@)[^\s/]*@|[^\s/@:]*:(?!\d+(?:/|\s|$))\S*@)")


def redacted(text: str) -> str:
    """Return a text without the user names and passwords of URLs in it."""
    return _CREDENTIALS.sub("****@", text)


def without_credentials(text: str) -> str:
    """Return a URL, or the option of a lock that names one, without user name and password."""
    return _CREDENTIALS.sub("", text)


#: The remedy for a text that is not a URL.
ENCODE = 'Correct it; in a password, write "/" as %2F, "@" as %40 and ":" as %3A'


def is_url(text: str) -> bool:
    """Return whether a text is a URL of a file or a web server that pip and uv accept.

    They show others in full in their messages, also with a password.
    """
    try:
        parts = urlsplit(text)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return usable and (parts.scheme == "file" or parts.scheme in ("http", "https") and bool(parts.hostname))


def shown(line: str) -> str:
    """Return the beginning of a line of a lock for a message."""
    return redacted(line)[:80]


def strong(hashes: Iterable[str]) -> list[str]:
    """Return the hashes that can be checked: those of an algorithm in `ALGORITHMS`, with as many digits as it has."""
    pattern = "|".join(f"{name}:[0-9a-f]{{{digits}}}" for name, digits in ALGORITHMS.items())
    return [one for one in hashes if re.fullmatch(pattern, one)]


def matches(path: str, hashes: Iterable[str]) -> bool:
    """Return whether a file has one of the hashes of a lock."""
    wanted = list(hashes)
    return any(f"{name}:{hash_of(path, name)}" in wanted for name in {one.partition(":")[0] for one in wanted})


def hash_of(path: str, algorithm: str = "sha256") -> str:
    """Return a hash of a file, in hexadecimal."""
    with open(path, "rb") as file:
        checksum = hashlib.new(algorithm)
        while chunk := file.read(1 << 20):
            checksum.update(chunk)
    return checksum.hexdigest()


def local_path(requirement: Requirement) -> str | None:
    """Return the path of the file on the controller that a requirement names; None if it names none."""
    parts = urlsplit(requirement.url or "")
    return unquote(parts.path) if parts.scheme == "file" else None


def is_git(url: str | None) -> bool:
    """Return whether a URL is that of a git repository."""
    return bool(url and url.startswith("git+"))


def is_wheel(url: str) -> bool:
    """Return whether a URL is that of a wheel. Other URLs are those of source code."""
    return urlsplit(url).path.endswith(".whl")


def file_version(name: str) -> str:
    """Return the version in the name of a wheel or a source archive; empty if it has none."""
    with contextlib.suppress(InvalidWheelFilename):
        return str(parse_wheel_filename(name)[1])
    with contextlib.suppress(InvalidSdistFilename):
        return str(parse_sdist_filename(name)[1])
    return ""


def kept_wheels(options: Iterable[str]) -> dict[str, dict[Version, list[str]]]:
    """Return the paths of the wheels in the local directories of options, by name and version."""
    places = [shlex.split(line)[1] for line in options if is_find_links(line)]
    kept: dict[str, dict[Version, list[str]]] = {}
    for directory in [unquote(urlsplit(place).path) if place.startswith("file:") else place for place in places]:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.whl"))):
            with contextlib.suppress(InvalidWheelFilename):
                name, version, *dummy = parse_wheel_filename(os.path.basename(path))
                kept.setdefault(name, {}).setdefault(version, []).append(path)
    return kept


def is_find_links(line: str) -> bool:
    """Return whether an option adds a directory of wheels."""
    return line.startswith("--find-links ")


def check_local_wheels(lock: Lock) -> None:
    """Check the wheels on the controller whose paths are in a lock, or which are in its directories of wheels.

    Finds wheels that were built again after they were locked, and locked packages of an index with the name of a wheel.

    Raises
    ------
    LockError
        If a wheel is missing, differs from the locked one, or was not locked because an index has a package of its name.
    """
    kept = kept_wheels(lock.options)
    for locked in lock.packages:
        requirement = locked.requirement
        path = local_path(requirement)
        if path:
            if not os.path.isabs(path):
                raise LockError(
                    f"'{requirement}' has no usable location: write only the path (./{path}), relative to the lock"
                )
            _check_file(requirement.name, [path], locked.hashes)
            continue
        versions = kept.get(canonicalize_name(requirement.name), {})
        paths = [
            path
            for version, found in versions.items()
            if requirement.specifier.contains(version, True)
            for path in found
        ]
        if paths:
            _check_file(requirement.name, paths, locked.hashes)
        elif versions and not requirement.url:
            (path, *dummy), *others = versions.values()
            raise LockError(
                f"'{requirement}' is not the version in {os.path.dirname(path)} ({', '.join(map(str, versions))}): a "
                "package of that name on an index was locked instead. Name the wheel by its path in requirements.in "
                f"(./{os.path.relpath(path)}), so that it is looked up nowhere, or remove it"
            )


def _check_file(name: str, paths: Sequence[str], hashes: Iterable[str]) -> None:
    """Raise LockError if none of the files on the controller is the one that a lock names."""
    if not os.path.isfile(paths[0]):
        raise LockError(
            f"{name} is locked as {paths[0]}, which does not exist. Correct the path, or make the lock again"
        )
    if not any(matches(path, hashes) for path in paths):
        raise LockError(
            f"{paths[0]} does not match its hash in the lock: it was built again, or a package of that name on an index was "
            "locked instead. Make the lock again"
        )


def marker_environment(python: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of environment markers on a host, from ``python`` in its result of `host_info`."""
    return {
        "implementation_name": python["implementation"],
        "implementation_version": python["version"],
        "os_name": "posix",
        "platform_machine": python["machine"],
        "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(python["implementation"], ""),
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python["version"],
        "python_version": minor(python["version"]),
        "sys_platform": "linux",
        "extra": "",
    }


def minor(version: str) -> str:
    """Return the minor version, such as ``3.11`` for ``3.11.2``."""
    return ".".join(version.split(".")[:2])


def wheel_tags(python: Mapping[str, Any]) -> list[str]:
    """Return the tags of the wheels that an interpreter can use, the best first."""
    version = tuple(map(int, minor(python["version"]).split(".")))
    own = f"cp{version[0]}{version[1]}"
    platforms = platform_tags(python["machine"], python["libc"])
    return [*map(str, cpython_tags(version, [own], platforms)), *map(str, compatible_tags(version, own, platforms))]


def described(python: Mapping[str, Any]) -> str:
    """Return an interpreter's version and platform for a message."""
    return f"Python {python['version']} on {python['machine']} with {' '.join(python['libc'])}"


def add_to_build(name: str) -> str:
    """Return the part of a message that says how to get a package that has no wheel."""
    return f"Add {name} to dask_environment_build, so that the controller builds its wheel"


def select(lock: Lock, python: Mapping[str, Any], build: Collection[str] = ()) -> list[str]:
    """Return the lines of a lock that apply to an interpreter, without markers, sorted.

    Parameters
    ----------
    lock : Lock
        The lock.
    python : dict
        The interpreter, as `host_info` returned it.
    build : collection of str
        Normalized names of the packages that are built from source.

    Raises
    ------
    LockError
        If the lock is for another Python or platform, no line applies, a package has two different pins, or none of a
        package's files fits.
    """
    environment: dict[str, str | frozenset[str]] = {
        **marker_environment(python),
        "extras": frozenset(),
        "dependency_groups": lock.groups,
    }
    if not _fits(lock.requires_python, python["version"]):
        raise LockError(
            f"it is for Python {lock.requires_python}, not {python['version']}. Set dask_python to another interpreter, or "
            "make the lock for this one"
        )
    if lock.environments and not any(_applies(marker, environment, "the lock") for marker in lock.environments):
        raise LockError(f"none of its environments is {described(python)}. Make the lock for this platform, too")
    applying: dict[str, Locked] = {}
    for locked in lock.packages:
        requirement = locked.requirement
        if requirement.marker and not _applies(requirement.marker, environment, requirement.name):
            continue
        package = canonicalize_name(requirement.name)
        applying[package] = _merged(applying[package], locked, python) if package in applying else locked
    lines: dict[str, str] = {}
    for name, locked in applying.items():
        requirement = locked.requirement
        if not _fits(locked.requires_python, python["version"]):
            raise LockError(
                f"{name} needs Python {locked.requires_python}, not {python['version']}. Make the lock for this Python"
            )
        if locked.files:
            lines[name] = _chosen(locked, lock, python, name in build)
        else:
            pin = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
            lines[name] = " ".join([name + pin, *(f"--hash={one}" for one in sorted(locked.hashes))])
    if not lines:
        raise LockError(f"no package in it is for Python {python['version']}. Make the lock for this Python")
    return [lines[name] for name in sorted(lines)]


def _merged(one: Locked, other: Locked, python: Mapping[str, Any]) -> Locked:
    """Return two equal pins of a package as one, with the hashes that both allow, as pip does.

    Raises
    ------
    LockError
        If the pins differ, or have no hash in common.
    """
    pins = [(locked.requirement.specifier, locked.requirement.url) for locked in (one, other)]
    hashes = [wanted for wanted in one.hashes if wanted in other.hashes]
    if one.files or other.files or pins[0] != pins[1] or bool(one.hashes) != bool(hashes):
        name = canonicalize_name(one.requirement.name)
        raise LockError(f"'{name}' is pinned twice for Python {python['version']}. Remove one of the two")
    return Locked(one.requirement, hashes)


def _applies(marker: Marker, environment: Mapping[str, Any], where: str) -> bool:
    """Return whether a marker applies to an interpreter; raise LockError if it cannot be evaluated."""
    try:
        return marker.evaluate(dict(environment))
    except (UndefinedComparison, UndefinedEnvironmentName):
        raise LockError(
            f"the marker '{marker}' of {where} compares what cannot be compared. Make the lock again"
        ) from None


def _chosen(locked: Locked, lock: Lock, python: Mapping[str, Any], from_source: bool) -> str:
    """Return the line of a package with the one of its files that an interpreter takes: its best wheel, or its source."""
    name = canonicalize_name(locked.requirement.name)
    ranks = {tag: rank for rank, tag in enumerate(wheel_tags(python))}
    fitting = []
    for file, one in locked.files:
        if not file.endswith(".whl"):
            if from_source:
                fitting.append((0, 0, file, one))
        elif not from_source:
            with contextlib.suppress(InvalidWheelFilename):
                build, tags = parse_wheel_filename(file)[2:]
                found = [ranks[str(tag)] for tag in tags if str(tag) in ranks]
                # Of equal wheels, the one with the highest build number is taken.
                number = -build[0] if build else 1
                fitting += [(min(found), number, file, one)] if found else []
    if not fitting:
        sources = [file for file, dummy in locked.files if not file.endswith(".whl")]
        if from_source:
            raise LockError(f"it has no source of {name}. Remove {name} from dask_environment_build")
        if sources:
            raise LockError(f"{name} exists only as source for {described(python)}. {add_to_build(name)}")
        raise LockError(f"it has no wheel of {name} for {described(python)}. Make the lock for this platform, too")
    file, one = min(fitting)[2:]
    address = lock.addresses.get(one, "")
    if address.startswith("file:"):
        _check_file(name, [unquote(urlsplit(address).path)], [one])
    pin = str(locked.requirement.specifier) or f"=={file_version(file)}"
    pin = f" @ {address}" if address.startswith("file:") else pin
    return f"{name}{pin} --hash={one}"


def to_build(lock: Lock, lines: Iterable[str], build: Collection[str]) -> list[str]:
    """Return the names of the packages that the controller builds from source.

    Parameters
    ----------
    lock : Lock
        The lock.
    lines : list of str
        What `select` returned.
    build : collection of str
        Normalized names of the packages that may be built.

    Raises
    ------
    LockError
        If another package has no wheel, the lock names a wheel of a package that is to be built, or a name is not in the
        lock.
    """
    unknown = sorted(set(build) - {canonicalize_name(locked.requirement.name) for locked in lock.packages})
    if unknown:
        raise LockError(
            f"it has no package {unknown[0]}. Remove {unknown[0]} from dask_environment_build, or correct it"
        )
    names = []
    for line in lines:
        requirement = requirement_of(line)
        if requirement.name in build:
            if requirement.url and is_wheel(requirement.url):
                raise LockError(
                    f"{requirement.name} is locked as a wheel, {shown(requirement.url)}, which needs no build. Remove "
                    f"{requirement.name} from dask_environment_build"
                )
            names.append(requirement.name)
        elif requirement.url and not is_wheel(requirement.url):
            raise LockError(
                f"{requirement.name} is locked as source, {shown(requirement.url)}, but hosts install only wheels. "
                f"{add_to_build(requirement.name)}"
            )
        elif requirement.name in lock.from_source:
            raise LockError(
                f"{lock.from_source[requirement.name]}: --no-binary asks for a build of {requirement.name}. "
                f"{add_to_build(requirement.name)}, or remove the option"
            )
    return names


def requirement_of(line: str) -> Requirement:
    """Return the requirement in a line of `select`."""
    return Requirement(line.partition(" --hash=")[0])


def with_addresses(lines: Iterable[str], addresses: Mapping[str, str]) -> list[str]:
    """Return lines of `select` with the URLs that the lock gives for their files."""
    found = []
    for line in lines:
        pin, dummy, one = line.partition(" --hash=")
        address = addresses.get(one)
        found.append(f"{pin.partition('==')[0]} @ {address} --hash={one}" if address and "==" in pin else line)
    return found


def identity(line: str) -> str:
    """Return a line of `select` without the origin of the package, which its hashes or its commit identify."""
    requirement = requirement_of(line)
    if not requirement.url:
        return line
    parts = urlsplit(requirement.url)
    name = parts.path.rpartition("@" if is_git(requirement.url) else "/")[2]
    return line.replace(requirement.url, f"{name}#{parts.fragment}" if parts.fragment else name)


def name_and_version(line: str) -> tuple[str, str]:
    """Return name and version of a line of `select`. If only a build can tell the version, it is the commit or the URL."""
    requirement = requirement_of(line)
    if not requirement.url:
        return requirement.name, next(iter(requirement.specifier)).version
    path = urlsplit(requirement.url).path
    if is_git(requirement.url):
        return requirement.name, f"git+{path.rpartition('@')[2][:12]}"
    return requirement.name, file_version(unquote(path.rpartition("/")[2])) or without_credentials(requirement.url)


def package_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the diff of an environment's packages for ``--diff``, with a line for each changed package.

    Parameters
    ----------
    before, after : dict of str
        Version by package. ``before`` is empty for a host without an environment.
    """
    old, new = ({str(canonicalize_name(name)): version for name, version in side.items()} for side in (before, after))
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if not changed:
        return []
    sides = ("".join(f"{name}=={side[name]}\n" for name in changed if name in side) for side in (old, new))
    return [dict(zip(("before", "after"), sides), before_header="packages", after_header="packages")]


def platform_tags(machine: str, libc: Sequence[str]) -> list[str]:
    """Return the platform tags of wheels for a host, from its architecture and its C library's name and version."""
    name, version = libc
    if name != "glibc":
        return [f"musllinux_1_{number}_{machine}" for number in range(5, -1, -1)]
    newest = int(version.split(".")[1])
    tags = [f"manylinux_2_{number}_{machine}" for number in range(newest, 4, -1)]
    aliases = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    return [*tags, *(f"{alias}_{machine}" for number, alias in aliases.items() if newest >= number), f"linux_{machine}"]


def uv_platform(machine: str, libc: Sequence[str]) -> str:
    """Return uv's name of the platform of a host, from its architecture and its C library's name and version.

    Raises
    ------
    PackagesError
        If uv has no name for the platform.
    """
    name, version = libc
    known = [number for number in _UV_MANYLINUX if name == "glibc" and number <= int(version.split(".")[1])]
    if machine not in ("x86_64", "aarch64") or (name == "glibc" and not known):
        raise PackagesError(
            f"the controller cannot install packages for {machine} with {' '.join(libc)}: set dask_environment_source to "
            "index, so that the hosts install them"
        )
    return f"{machine}-manylinux_2_{known[-1]}" if known else f"{machine}-unknown-linux-musl"


def check_wheels(paths: Iterable[str], python: Mapping[str, Any]) -> None:
    """Check that wheels are complete and fit an interpreter.

    Parameters
    ----------
    paths : list of str
        The wheels of one environment.
    python : dict
        ``python`` in the result of `host_info`.

    Raises
    ------
    LockError
        If a wheel needs another version of Python, or a package that is not among the wheels.
    """
    environment = marker_environment(python)
    metadata = [_metadata(path) for path in paths]
    versions = {canonicalize_name(wheel["Name"]): Version(wheel["Version"]) for wheel in metadata}
    for wheel in metadata:
        wanted = wheel["Requires-Python"]
        if wanted and not _fits(wanted, python["version"]):
            raise LockError(
                f"{wheel['Name']} {wheel['Version']} needs Python {wanted}, not {python['version']}: "
                f"the lock is for another Python. Make it for Python {minor(python['version'])}"
            )
        for text in wheel.get_all("Requires-Dist", []):
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # older than PEP 508: uv checks it when it installs the wheel
                continue
            try:
                if requirement.marker and not requirement.marker.evaluate(environment):
                    continue
            except (UndefinedComparison, UndefinedEnvironmentName):  # uv checks it, too
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None:
                raise LockError(
                    f"{wheel['Name']} needs {requirement.name}, which the lock does not contain for Python "
                    f"{python['version']}: the lock is for another Python, or incomplete. Make it again"
                )
            if not requirement.specifier.contains(version, prereleases=True):
                raise LockError(
                    f"{wheel['Name']} needs {requirement}, but the lock contains {version}. Make the lock again"
                )


def pins(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield ``NAME==VERSION`` and the path of each wheel."""
    for path in paths:
        metadata = _metadata(path)
        yield f"{canonicalize_name(metadata['Name'])}=={metadata['Version']}", path


def _fits(wanted: str, version: str) -> bool:
    """Return whether a version of Python is one that a lock or a wheel needs; an empty text allows all."""
    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:  # older than PEP 440
        return True


def _metadata(path: str) -> Message:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if not names:
            raise LockError(f"{os.path.basename(path)} is not a wheel: it has no metadata. Build it again")
        return Parser().parsestr(wheel.read(names[0]).decode())
