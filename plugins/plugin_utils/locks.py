# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read lock files in requirements format with hashes, and check their wheels, on the controller."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shlex
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any, Tuple
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

#: A requirement and its hashes (``sha256:…``).
Locked = Tuple[Requirement, "list[str]"]

# Options with the origin of packages. They are passed on to pip and uv.
_ORIGIN = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--no-index")
# Options without effect here. They are always on, or choose between versions, which a lock pins.
_WITHOUT_EFFECT = (
    "--pre",
    "--prefer-binary",
    "--only-binary",
    "--require-hashes",
    "--use-feature",
    "--no-build-isolation",
)
_REJECTED = {
    ("-r", "--requirement", "-c", "--constraint"): "list every package in the lock itself",
    ("-e", "--editable"): "build a wheel of the project ('uv build --wheel') and list the wheel's path",
    ("--no-binary",): "remove the option, because only wheels are installed. Build a wheel of a package that has none",
}

# Files of other tools that a user could give instead of a lock: a pattern of the text, and how to make a lock from it.
_FOREIGN = (
    (
        r"(?m)^@EXPLICIT$|^(channels|dependencies|prefix):|^(version: 1\nmetadata:|metadata:\n)|^\s*- (conda|pypi): ",
        "it is a file of conda, whose packages cannot be installed. List the packages in a requirements.in; some have other "
        "names on a package index than in conda",
    ),
    (
        r"(?m)^\[\[package\]\]$",
        "it is a lock of uv or Poetry. Export it in requirements format: uv export --format requirements-txt",
    ),
    (r"(?m)^lock-version = ", "it is a pylock.toml. Make the lock in requirements format instead"),
    (
        r"(?m)^\[(project|build-system)\]$",
        "it is a pyproject.toml, which does not pin versions. Compile it: uv pip compile pyproject.toml",
    ),
    (r'^\s*\{\s*"', "it is JSON, like the lock of Pipenv. Make a requirements.in from its packages"),
)

# Minor versions of glibc 2 for which uv has platforms.
_UV_MANYLINUX = (17, 28, *range(31, 41))


#: Remedy for a text that is not a lock.
HOW_TO_LOCK = "Make it with: uv pip compile --universal --generate-hashes requirements.in -o LOCK"


class LockError(ValueError):
    """No environment can be built from the lock. The message has the line or the package."""


class PackagesError(ValueError):
    """Packages of a valid lock cannot be fetched or installed. The message has the reason."""


def unreadable_lock(path: str, error: OSError | UnicodeDecodeError) -> str:
    """Return the message for a lock whose file raised an ``OSError`` or a ``UnicodeDecodeError``.

    Parameters
    ----------
    path : str
        The path from the user.
    error : OSError or UnicodeDecodeError
    """
    where = f"dask_environment_lock ({path})"
    if isinstance(error, UnicodeDecodeError):
        return f"{where} is not a text file in UTF-8. {HOW_TO_LOCK}"
    if not isinstance(error, FileNotFoundError):
        return (
            f"{where} cannot be read on the controller: {error.strerror}. Set it to a file that your account can read."
        )
    relative = ""
    if not os.path.isabs(os.path.expanduser(path)):
        relative = f" The path is relative to {os.getcwd()}, the working directory of ansible-playbook."
    return f"{where} does not exist on the controller.{relative} Correct the path."


def parse_lock(text: str, directory: str | None = None) -> tuple[list[Locked], list[str]]:
    """Return the requirements and the index options of a lock.

    Parameters
    ----------
    text : str
        Text of a requirements file in which every line pins one version and has its hashes, like the output of
        ``uv pip compile --generate-hashes`` or ``pip-compile --generate-hashes``.
    directory : str, optional
        Directory of the lock, to which paths in the lock are relative. Without it, relative paths are not changed.

    Returns
    -------
    tuple of (list of (packaging.requirements.Requirement, list of str), list of str)
        Requirements with their hashes (``sha256:…``), and the options with the origin of packages. The path of a wheel
        becomes a requirement with a URL (``file:///…``).

    Raises
    ------
    LockError
        If a line is not a requirement, does not pin one version, or has no hash.
    """
    for pattern, remedy in _FOREIGN:
        if re.search(pattern, text):
            raise LockError(remedy)
    joined = re.sub(r"\\\s*\n", " ", text)
    requirements, options = [], []
    for line in joined.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        if line.startswith("-"):
            options += _option(line, directory)
            continue
        hashes = re.findall(r"--hash[= ](sha256:[0-9a-f]{64})", line)
        named = re.sub(r"\s*--hash[= ]\S+", "", line)
        try:
            requirement = Requirement(_named_by_path(named, directory))
        except InvalidRequirement:
            raise LockError(f"'{line[:80]}' is not a requirement that a lock may contain") from None
        pinned = [s for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
        if not pinned and not requirement.url:
            raise LockError(f"'{requirement}' does not pin a version")
        if not hashes:
            raise LockError(f"'{requirement}' has no sha256 hash")
        requirements.append((requirement, hashes))
    if not requirements:
        raise LockError("it contains no package")
    return requirements, options


def _option(line: str, directory: str | None) -> list[str]:
    """Return an option of a lock in the form for pip and uv, in a list; an empty list if it has no effect."""
    found = re.fullmatch(r"(-\w|--[\w-]+)([= ]\s*|(?<=^-\w))?(.*)", line)
    name, dummy, value = found.groups() if found else (line, "", "")
    if name in _WITHOUT_EFFECT:
        return []
    for names, remedy in _REJECTED.items():
        if name in names:
            raise LockError(f"'{line[:80]}' is not allowed in a lock: {remedy}")
    if name not in _ORIGIN:
        raise LockError(f"'{line[:80]}' is an option that is not allowed in a lock: remove it")
    if name == "--no-index":
        return [line]
    value = _unquoted(value)
    if not value:
        raise LockError(f"'{line[:80]}' has no location: give one URL or path, in quotes if it contains a space")
    if name in ("-f", "--find-links"):
        if directory and "://" not in value:
            # Like pip, use the path relative to the lock or, if it does not exist, to the working directory.
            beside = os.path.join(directory, os.path.expanduser(value))
            value = beside if os.path.exists(beside) else value
        return [f"--find-links {shlex.quote(value)}"]
    return [line]


def _unquoted(text: str) -> str:
    """Return a word without its quotes, like pip reads it in a lock; empty if the text is not one word."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    return words[0] if len(words) == 1 else ""


def _named_by_path(line: str, directory: str | None) -> str:
    """Return the path of a wheel, a form that uv writes, as ``NAME @ URL``; other requirements unchanged."""
    path, *marker = re.split(r"\s+;\s*", line.strip(), maxsplit=1)
    if not re.match(r"[./~]|file:", path):
        return line
    path = os.path.expanduser(unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", path)))
    if not path.endswith(".whl"):
        raise LockError(f"'{line[:80]}' is not a wheel: build one ('uv build --wheel') and list its path")
    name = os.path.basename(path).split("-")[0]
    url = Path(os.path.abspath(os.path.join(directory or "", path))).as_uri()
    return " ; ".join([f"{name} @ {url}", *marker])


def local_path(requirement: Requirement) -> str | None:
    """Return the path of a requirement's wheel on the controller; None if the requirement has no such path."""
    parts = urlsplit(requirement.url or "")
    return unquote(parts.path) if parts.scheme == "file" else None


def _kept_wheels(options: Iterable[str]) -> dict[str, dict[Version, list[str]]]:
    """Return the paths of the wheels in the local directories of options, by name and version."""
    places = [shlex.split(line)[1] for line in options if _is_find_links(line)]
    kept: dict[str, dict[Version, list[str]]] = {}
    for directory in [unquote(urlsplit(place).path) if place.startswith("file:") else place for place in places]:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.whl"))):
            with contextlib.suppress(InvalidWheelFilename):
                name, version, *dummy = parse_wheel_filename(os.path.basename(path))
                kept.setdefault(name, {}).setdefault(version, []).append(path)
    return kept


def _is_find_links(line: str) -> bool:
    """Return whether an option adds a directory of wheels."""
    return line.startswith("--find-links ")


def portable_lock(text: str, directory: str) -> tuple[str, list[str]]:
    """Return a lock that can be used on another machine, and the wheels that must be copied with it.

    Parameters
    ----------
    text, directory : str
        See `parse_lock`.

    Returns
    -------
    tuple of (str, list of str)
        The lock and the paths of the wheels on the controller. In the lock, ``file:daskops-wheels`` stands for the directory
        of the wheels. A lock without such wheels is not changed.
    """
    requirements, options = parse_lock(text, directory)
    kept = _kept_wheels(options)
    lines, wheels = [], []
    for requirement, hashes in requirements:
        pin = str(requirement)
        path = local_path(requirement)
        versions = kept.get(canonicalize_name(requirement.name), {})
        paths = [path] if path else [one for found in versions.values() for one in found]
        wheels += [one for one in paths if f"sha256:{sha256_of(one)}" in hashes]
        if path:
            marker = f" ; {requirement.marker}" if requirement.marker else ""
            pin = f"{requirement.name} @ file:daskops-wheels/{os.path.basename(path)}{marker}"
        lines.append(" \\\n    ".join([pin, *(f"--hash={one}" for one in hashes)]))
    if not wheels:
        return text, []
    passed_on = [line for line in options if not _is_find_links(line) or re.search(r"(?<!file)://", line)]
    return "\n".join([*passed_on, "--find-links file:daskops-wheels", *lines, ""]), sorted(set(wheels))


def check_local_wheels(requirements: Iterable[Locked], options: Iterable[str]) -> None:
    """Check the wheels on the controller whose paths are in a lock, or which are in its directories of wheels.

    Finds wheels that were built again after they were locked, and locked packages of an index with the name of a wheel.

    Parameters
    ----------
    requirements, options
        Result of `parse_lock`.

    Raises
    ------
    LockError
        If a wheel is missing, differs from the locked one, or was not locked because an index has a package of its name.
    """
    kept = _kept_wheels(options)
    for requirement, hashes in requirements:
        path = local_path(requirement)
        if path:
            if not os.path.isabs(path):
                raise LockError(
                    f"'{requirement}' has no usable location: write only the path (./{path}), relative to the lock"
                )
            if not os.path.isfile(path):
                raise LockError(f"{requirement.name} is locked as {path}, which does not exist")
            paths = [path]
        else:
            versions = kept.get(canonicalize_name(requirement.name), {})
            paths = [
                path
                for version, found in versions.items()
                if requirement.specifier.contains(version, True)
                for path in found
            ]
            if versions and not paths and not requirement.url:
                (path, *dummy), *others = versions.values()
                raise LockError(
                    f"'{requirement}' is not the version in {os.path.dirname(path)} ({', '.join(map(str, versions))}): a "
                    "package of that name on an index was locked instead. Write the path of the wheel in requirements.in "
                    f"(./{os.path.relpath(path)}), so that no index is searched, or remove the wheel"
                )
        if paths and not any(f"sha256:{sha256_of(path)}" in hashes for path in paths):
            raise LockError(
                f"{paths[0]} does not match its hash in the lock: it was built again, or a package of that name on an index "
                "was locked instead. Make the lock again"
            )


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        checksum = hashlib.sha256()
        while chunk := file.read(1 << 20):
            checksum.update(chunk)
    return checksum.hexdigest()


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


def select(requirements: Iterable[Locked], python: Mapping[str, Any]) -> list[str]:
    """Return the lines of a lock that apply to an interpreter, without markers, sorted.

    Raises
    ------
    LockError
        If no line applies, or if a package is pinned twice.
    """
    environment = marker_environment(python)
    lines = {}
    for requirement, hashes in requirements:
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        if name in lines:
            raise LockError(f"'{name}' is pinned twice for Python {python['version']}")
        pin = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
        lines[name] = " ".join([name + pin, *(f"--hash={h}" for h in sorted(hashes))])
    if not lines:
        raise LockError(f"no package in it is for Python {python['version']}")
    return [lines[name] for name in sorted(lines)]


def name_and_version(line: str) -> tuple[str, str]:
    """Return name and version in a line of `select`. If a URL has no version, the version is the URL."""
    requirement = Requirement(line.partition(" --hash=")[0])
    if not requirement.url:
        return requirement.name, next(iter(requirement.specifier)).version
    with contextlib.suppress(InvalidWheelFilename):
        return requirement.name, str(parse_wheel_filename(unquote(requirement.url.rpartition("/")[2]))[1])
    return requirement.name, requirement.url


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
                "the lock is for another Python"
            )
        for text in wheel.get_all("Requires-Dist", []):
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # older than PEP 508: uv checks it when it installs the wheel
                continue
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None:
                raise LockError(
                    f"{wheel['Name']} needs {requirement.name}, which the lock does not contain for Python "
                    f"{python['version']}: the lock is for another Python, or incomplete"
                )
            if not requirement.specifier.contains(version, prereleases=True):
                raise LockError(f"{wheel['Name']} needs {requirement}, but the lock contains {version}")


def pins(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield ``NAME==VERSION`` and the path of each wheel."""
    for path in paths:
        metadata = _metadata(path)
        yield f"{canonicalize_name(metadata['Name'])}=={metadata['Version']}", path


def _fits(wanted: str, version: str) -> bool:
    """Return whether a version of Python satisfies the specifier of a wheel."""
    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:  # older than PEP 440
        return True


def _metadata(path: str) -> Message:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if not names:
            raise LockError(f"{os.path.basename(path)} is not a wheel: it has no metadata")
        return Parser().parsestr(wheel.read(names[0]).decode())
