# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock files in requirements form with hashes, and the wheels that they stand for. For the controller."""

from __future__ import annotations

import os
import re
import zipfile
from email.parser import Parser

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

# What ``uv pip compile`` and ``pip-compile`` may write above the requirements; they say where packages come from.
_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "-i ", "-f ")

# The versions of glibc 2 that uv knows platforms for.
_UV_MANYLINUX = (17, 28, *range(31, 41))


class LockError(ValueError):
    """A lock that no environment can be built from; the message names the line or the package."""


class PackagesError(ValueError):
    """Packages that cannot be had or installed, whatever their lock is like; the message says why."""


def parse_lock(text):
    """The requirements and index options of a lock.

    Parameters
    ----------
    text : str
        A requirements file whose every line pins one version and gives its hashes, as written by
        ``uv pip compile --generate-hashes`` or ``pip-compile --generate-hashes``.

    Returns
    -------
    tuple of (list of (packaging.requirements.Requirement, list of str), list of str)
        Requirements with their hashes (``sha256:…``), and the lines that say where packages come from.

    Raises
    ------
    LockError
        If a line is no requirement, pins no single version, or has no hash.
    """
    joined = re.sub(r"\\\s*\n", " ", text)
    requirements, options = [], []
    for line in joined.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        if line.startswith(_OPTIONS):
            options.append(line)
            continue
        hashes = re.findall(r"--hash[= ](sha256:[0-9a-f]{64})", line)
        try:
            requirement = Requirement(re.sub(r"\s*--hash[= ]\S+", "", line))
        except InvalidRequirement:
            raise LockError(f"'{line[:80]}' is no requirement that a lock may hold") from None
        pinned = [s for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
        if not pinned and not requirement.url:
            raise LockError(f"'{requirement}' pins no version")
        if not hashes:
            raise LockError(f"'{requirement}' has no sha256 hash")
        requirements.append((requirement, hashes))
    if not requirements:
        raise LockError("it names no package")
    return requirements, options


def marker_environment(python):
    """The environment that markers see on a host, from the ``python`` that `host_info` returned."""
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


def minor(version):
    """``3.11`` of ``3.11.2``."""
    return ".".join(version.split(".")[:2])


def select(requirements, python):
    """The lock's lines that apply to an interpreter, without markers, sorted.

    Raises
    ------
    LockError
        If none applies, or one package is pinned twice.
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


def platform_tags(machine, libc):
    """The platform tags of wheels that a host can run, from its architecture and its C library's name and version."""
    name, version = libc
    if name != "glibc":
        return [f"musllinux_1_{number}_{machine}" for number in range(5, -1, -1)]
    newest = int(version.split(".")[1])
    tags = [f"manylinux_2_{number}_{machine}" for number in range(newest, 4, -1)]
    aliases = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    return [*tags, *(f"{alias}_{machine}" for number, alias in aliases.items() if newest >= number), f"linux_{machine}"]


def uv_platform(machine, libc):
    """What uv calls the platform of a host, from its architecture and its C library's name and version.

    Raises
    ------
    PackagesError
        If uv has no name for it.
    """
    name, version = libc
    known = [number for number in _UV_MANYLINUX if name == "glibc" and number <= int(version.split(".")[1])]
    if machine not in ("x86_64", "aarch64") or (name == "glibc" and not known):
        raise PackagesError(
            f"the controller cannot install packages for {machine} with {' '.join(libc)}: set dask_environment_source to "
            "index, so that hosts do it themselves"
        )
    return f"{machine}-manylinux_2_{known[-1]}" if known else f"{machine}-unknown-linux-musl"


def check_wheels(paths, python):
    """Check that wheels are complete and fit an interpreter.

    Parameters
    ----------
    paths : list of str
        The wheels that are to be one environment.
    python : dict
        As `host_info` returned it.

    Raises
    ------
    LockError
        If a wheel wants another Python, or a package that is not among them.
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
            except InvalidRequirement:  # of a form from before the standard; uv looks at it on the host
                continue
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None:
                raise LockError(
                    f"{wheel['Name']} needs {requirement.name}, which the lock does not hold for Python "
                    f"{python['version']}: the lock is for another Python, or incomplete"
                )
            if not requirement.specifier.contains(version, prereleases=True):
                raise LockError(f"{wheel['Name']} needs {requirement}, the lock holds {version}")


def pins(paths):
    """What a lock says of each wheel, and its path."""
    for path in paths:
        metadata = _metadata(path)
        yield f"{canonicalize_name(metadata['Name'])}=={metadata['Version']}", path


def _fits(wanted, version):
    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:  # of a form from before the standard
        return True


def _metadata(path):
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if not names:
            raise LockError(f"{os.path.basename(path)} is no wheel: it has no metadata")
        return Parser().parsestr(wheel.read(names[0]).decode())
