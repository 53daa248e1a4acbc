# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read locks in the form ``pylock.toml``, as uv, pip, PDM and Poetry write them.

The format is a standard: https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import (
    InvalidMarker,
    InvalidRequirement,
    InvalidVersion,
    Marker,
    Requirement,
    Version,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.git import reference
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    HOW_TO_LOCK,
    Lock,
    Locked,
    LockError,
    file_version,
    is_url,
    shown,
    strong,
)

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = None  # type: ignore[assignment]

#: The keys of a package that say where it comes from. A package has one of them, or files.
_SOURCES = ("vcs", "directory", "archive")


def is_pylock(text: str) -> bool:
    """Return whether a text is meant as a ``pylock.toml``."""
    return bool(re.search(r"^lock-version\s*=", text, re.MULTILINE))


def parse_pylock(text: str, directory: str | None = None) -> Lock:
    """Return the content of a ``pylock.toml``.

    Extras and dependency groups of the file are not installed, except its default groups.

    Parameters
    ----------
    text : str
        The file's text.
    directory : str, optional
        Directory of the file, to which paths in the lock are relative.

    Raises
    ------
    LockError
        If it has another version than 1, or a package has no hash, no full commit, or no file.
    """
    if tomllib is None:
        raise LockError(
            "it is a pylock.toml, which needs Python 3.11 or newer on the controller. Run Ansible with a newer Python, or "
            "make the lock in requirements format"
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LockError(f"it is not a valid pylock.toml: {error}. Make it again") from None
    except RecursionError:
        raise LockError("it is not a valid pylock.toml: it is nested too deeply. Make it again") from None
    try:
        return _lock(content, directory)
    except (AttributeError, KeyError, TypeError) as error:
        raise LockError(
            f"it is not a valid pylock.toml: a value is missing or of the wrong type ({error}). Make it again"
        ) from None


def _lock(content: Mapping[str, Any], directory: str | None) -> Lock:
    """Return the lock of a parsed file."""
    version = content["lock-version"]
    if version.split(".")[0] != "1":
        raise LockError(
            f"it is a pylock.toml of version {version}, and only version 1 is known. Make it with another tool"
        )
    addresses: dict[str, str] = {}
    packages = [_package(package, directory, addresses) for package in content["packages"]]
    if not packages:
        raise LockError(f"it contains no package. {HOW_TO_LOCK}")
    indexes = dict.fromkeys(package["index"] for package in content["packages"] if "index" in package)
    return Lock(
        packages,
        addresses=addresses,
        indexes=list(indexes),
        requires_python=str(content.get("requires-python", "")),
        environments=[_marker(text, "environments") for text in content.get("environments", [])],
        groups=frozenset(content.get("default-groups", [])),
    )


def _package(package: Mapping[str, Any], directory: str | None, addresses: dict[str, str]) -> Locked:
    """Return a package of a file, and add the URLs of its files to ``addresses``."""
    name = package["name"]
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise LockError(f"'{name[:80]}' is not a name of a package. Make the lock again")
    requires_python = str(package.get("requires-python", ""))
    sources = [key for key in (*_SOURCES, "wheels") if key in package]
    if "sdist" in package and "wheels" not in sources:
        sources.append("sdist")
    if len(sources) != 1:
        raise LockError(f"{name} has {' and '.join(sources) or 'no file'}, and needs one source. Make the lock again")
    if sources == ["directory"]:
        raise LockError(
            f"{name} is the directory {package['directory']['path']}, whose content no hash pins. Leave it out (uv export "
            "--no-emit-project, or --no-emit-package), or lock its wheel ('uv build --wheel') instead"
        )
    if sources == ["vcs"]:
        return Locked(_requirement(package, f" @ {_commit(name, package['vcs'], directory)}"), [], (), requires_python)
    if sources == ["archive"]:
        archive = package["archive"]
        url = _address(name, archive, directory)
        if archive.get("subdirectory"):
            url += f"#subdirectory={archive['subdirectory']}"
        return Locked(_requirement(package, f" @ {url}"), [_hash(name, archive)], (), requires_python)
    files = []
    for file in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]:
        address, one = _address(name, file, directory), _hash(name, file)
        files.append((_file_name(package, file, address), one))
        addresses[one] = address
    pin = f"=={package['version']}" if "version" in package else ""
    return Locked(_requirement(package, pin), [one for dummy, one in files], tuple(files), requires_python)


def _requirement(package: Mapping[str, Any], pin: str) -> Requirement:
    """Return a package's requirement, with its version or URL and its marker."""
    name = package["name"]
    try:
        requirement = Requirement(f"{name}{pin}")
    except InvalidRequirement:
        raise LockError(f"'{shown(name + pin)}' is not a requirement. Make the lock again") from None
    if "marker" in package:
        requirement.marker = _marker(package["marker"], name)
    return requirement


def _marker(text: str, where: str) -> Marker:
    """Return a marker of a file."""
    try:
        return Marker(text)
    except InvalidMarker:
        # packaging knows the markers of extras and groups from version 25 on.
        raise LockError(
            f"the marker '{text}' of {where} cannot be read. Install the Python package packaging, 25.0 or newer, on the "
            "controller, or export the lock without extras and groups"
        ) from None


def _commit(name: str, vcs: Mapping[str, Any], directory: str | None) -> str:
    """Return the URL of a commit of git, in the form of requirements files."""
    if vcs["type"] != "git":
        raise LockError(
            f"{name} is in {vcs['type']}, and only git is accepted. Build its wheel, and lock the wheel instead"
        )
    url = f"git+{_address(name, vcs, directory)}@{vcs['commit-id']}"
    if vcs.get("subdirectory"):
        url += f"#subdirectory={vcs['subdirectory']}"
    reference(name, url)
    return url


def _address(name: str, file: Mapping[str, Any], directory: str | None) -> str:
    """Return the URL of a file or a repository; relative paths start in the directory of the lock."""
    if "path" in file:
        return Path(os.path.abspath(os.path.join(directory or "", file["path"]))).as_uri()
    url: str = file["url"]
    if not re.fullmatch(r"(https?|ssh|file)://\S+", url) or not (is_url(url) or url.startswith("ssh:")):
        raise LockError(f"'{shown(url)}' of {name} is not a URL that a lock may contain. Make the lock again")
    return url


def _hash(name: str, file: Mapping[str, Any]) -> str:
    """Return the hash of a file that is checked; SHA-256 if it has several."""
    hashes = strong(sorted(f"{algorithm.lower()}:{value.lower()}" for algorithm, value in file["hashes"].items()))
    if not hashes:
        raise LockError(f"a file of {name} has no sha256, sha384 or sha512 hash. Make the lock again")
    return hashes[0]


def _file_name(package: Mapping[str, Any], file: Mapping[str, Any], address: str) -> str:
    """Return the name of a wheel or a source archive, and check that it is of the package's version."""
    name: str = file.get("name") or unquote(urlsplit(address).path).rpartition("/")[2]
    version = file_version(name)
    declared = package.get("version", version)
    try:
        fits = Version(version or declared) == Version(declared)
    except InvalidVersion:
        fits = False
    if not fits:
        raise LockError(
            f"{shown(name)} is not a file of {' '.join([package['name'], declared]).strip()}. Make the lock again"
        )
    return name
