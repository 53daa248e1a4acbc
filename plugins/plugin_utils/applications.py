# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own code: wheels that services import besides their environment, and the archive that hosts install."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import Parser
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.applications import DESCRIPTION, MODULES, content_id
from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import (
    InvalidRequirement,
    InvalidSpecifier,
    InvalidVersion,
    InvalidWheelFilename,
    Requirement,
    SpecifierSet,
    Tag,
    UndefinedComparison,
    UndefinedEnvironmentName,
    Version,
    canonicalize_name,
    parse_wheel_filename,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock, unreadable_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    LockError,
    described,
    marker_environment,
    wheel_tags,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import own_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.projects import (
    BUILD_LOCK,
    Builder,
    ProjectError,
    wheel_of,
)

#: Suffixes of modules.
SUFFIXES = (".py", ".so", ".pyc")

#: Names of modules of the collection's own package, and what starts them.
RESERVED = ("daskops_runtime",)


class ApplicationError(ValueError):
    """Services cannot run the application. ``problems`` has a sentence for each reason, with the remedy."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Wheel:
    """A wheel of the application.

    Parameters
    ----------
    path : str
        Its path on the controller.
    built : bool
        Whether it was built here from a project.
    name, version : str
        Of the distribution.
    tags : set of Tag
        The interpreters and platforms that it is for.
    metadata : Message
        Its metadata.
    files : dict of (str, bool, int)
        Member of the wheel, whether it is executable, and its CRC, by path below the directory that modules are imported
        from.
    """

    path: str
    built: bool
    name: str
    version: str
    tags: frozenset[Tag]
    metadata: Message = field(repr=False)
    files: Mapping[str, tuple[str, bool, int]] = field(repr=False)

    @property
    def file(self) -> str:
        """Return the name of its file."""
        return os.path.basename(self.path)


@dataclass(frozen=True)
class Application:
    """The wheels of ``dask_application``, in their order. No wheels are no application."""

    wheels: Sequence[Wheel] = ()

    @functools.cached_property
    def table(self) -> list[list[Any]]:
        """Return path, whether it is executable, and SHA-256 of each file."""
        found: dict[str, list[Any]] = {}
        for wheel in self.wheels:
            with zipfile.ZipFile(wheel.path) as zipped:
                for path, (member, executable, dummy) in wheel.files.items():
                    found[path] = [path, executable, hashlib.sha256(zipped.read(member)).hexdigest()]
        return [found[path] for path in sorted(found)]

    @property
    def id(self) -> str:
        """Return the id, which depends on the content of the files alone; empty without wheels."""
        return content_id(self.table) if self.wheels else ""

    @property
    def packages(self) -> dict[str, str]:
        """Return the version of each distribution by name."""
        return {wheel.name: wheel.version for wheel in self.wheels}

    @property
    def modules(self) -> list[str]:
        """Return the names of the modules and packages that can be imported, without their submodules."""
        return sorted({name for wheel in self.wheels for name in map(module_name, wheel.files) if name})


def module_name(path: str) -> str:
    """Return the top-level module that a file of a wheel belongs to; empty for a file that belongs to none."""
    first, separator, dummy = path.partition("/")
    if separator:
        return "" if first.endswith((".dist-info", ".data")) else first
    return first.partition(".")[0] if first.endswith(SUFFIXES) else ""


def read_wheel(path: str, built: bool) -> Wheel:
    """Return a wheel.

    Raises
    ------
    ApplicationError
        If the file is no wheel, or services would not find what it installs.
    """
    file = os.path.basename(path)
    try:
        name, version, dummy, tags = parse_wheel_filename(file)
        with zipfile.ZipFile(path) as zipped:
            members = [member for member in zipped.infolist() if not member.is_dir()]
            (metadata,) = (m for m in members if re.fullmatch(r"[^/]+\.dist-info/METADATA", m.filename))
            about = Parser().parsestr(zipped.read(metadata).decode())
    except (InvalidWheelFilename, OSError, UnicodeDecodeError, ValueError, zipfile.BadZipFile):
        raise ApplicationError(f"dask_application: {path} is no valid wheel. Build it again.") from None
    own = str(canonicalize_name(about["Name"] or "")), about["Version"] or ""
    if own[0] != name or not _same_version(own[1], str(version)):
        raise ApplicationError(
            f"dask_application: {path} is {' '.join(own)} by its metadata. Give it its own name back, or build it again."
        )
    files = {}
    for member in members:
        target = _installed_path(member.filename)
        if target is None:
            raise ApplicationError(
                f"dask_application: {path} has a file {member.filename} outside of its directory. Build it again."
            )
        if target:
            files[target] = (member.filename, bool(member.external_attr >> 16 & 0o100), member.CRC)
    for target in files:
        above = os.path.dirname(target)
        while above and above not in files:
            above = os.path.dirname(above)
        if above:
            raise ApplicationError(
                f"dask_application: {path} has {above} as a file and as a directory. Build it again."
            )
    links = [target for target in files if "/" not in target and target.endswith(".pth")]
    if links:
        raise ApplicationError(
            f"dask_application: {path} installs {links[0]}, which services do not read. Build a regular wheel instead of "
            "an editable one."
        )
    return Wheel(path, built, str(canonicalize_name(name)), str(version), tags, about, files)


def _same_version(one: str, other: str) -> bool:
    """Return whether two texts are the same version."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return False


def _installed_path(member: str) -> str | None:
    """Return where a member of a wheel is installed; empty if services do not need it, None if the wheel is not valid.

    Scripts, headers and data outside of packages belong to directories of an environment, which services do not search.
    """
    parts = member.split("/")
    if member.startswith("/") or "\\" in member or any(part in ("", ".", "..") for part in parts):
        return None
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1:2] in (["purelib"], ["platlib"]) else ""
    return member


def application_of(entries: Sequence[str], build_lock: str, index_url: str, cache: str) -> Application:
    """Return the application, whose projects are built if their sources are new.

    Parameters
    ----------
    entries, build_lock, index_url, cache
        Values of ``dask_application``, ``dask_application_build_lock``, ``dask_environment_index_url`` and ``dask_cache``.

    Raises
    ------
    ApplicationError
        If services cannot run it.
    """
    lock = BUILD_LOCK if build_lock == "default" else os.path.expanduser(build_lock)
    cache = os.path.expanduser(cache)

    @functools.cache
    def builder() -> Builder:
        try:
            return Builder(read_lock(lock)[0], read_lock(TOOLS_LOCK)[0], index_url, cache)
        except LockError as error:
            raise ProjectError(f"dask_application_build_lock ({build_lock}): {error}.") from None
        except (OSError, UnicodeDecodeError) as error:
            message = unreadable_lock(build_lock, error)
            raise ProjectError(message.replace("dask_environment_lock", "dask_application_build_lock")) from None

    problems: list[str] = []
    wheels = []
    for entry in dict.fromkeys(map(str, entries)):
        if not entry.strip():
            problems.append("dask_application has an entry without a path. Remove it, or give the path.")
            continue
        try:
            wheels.append(read_wheel(*wheel_of(entry, builder)))
        except (ApplicationError, ProjectError) as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"dask_application ({entry}): {error}. Correct this on the controller.")
    problems += _conflicts(wheels)
    if problems:
        raise ApplicationError(*problems)
    return Application(wheels)


def _conflicts(wheels: Sequence[Wheel]) -> Iterator[str]:
    """Yield a sentence for each problem of wheels together."""
    by_name: dict[str, Wheel] = {}
    by_path: dict[str, tuple[Wheel, int]] = {}
    for wheel in wheels:
        other = by_name.setdefault(wheel.name, wheel)
        if other is not wheel:
            yield f"dask_application: {other.file} and {wheel.file} are both {wheel.name}. Keep one of them."
            continue
        for path, about in wheel.files.items():
            # Packages that several distributions share have equal files.
            other, checksum = by_path.setdefault(path, (wheel, about[2]))
            if checksum != about[2]:
                yield (
                    f"dask_application: {other.name} and {wheel.name} both install {path}. Leave it out of one of their "
                    "wheels, or rename it."
                )
                break
        for name in sorted({name for name in map(module_name, wheel.files) if name in RESERVED}):
            yield f"dask_application: {wheel.name} has a module {name}, which is the collection's own. Rename it."


def misfits(application: Application, hosts: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]]) -> list[str]:
    """Return a sentence for each reason why hosts cannot run the application, with the hosts unless it is all of them.

    Parameters
    ----------
    application : Application
    hosts : dict of (dict, dict)
        By host the interpreter of its environment, in the form of `host_info`, and the environment's packages, version by
        name.
    """
    found: dict[str, list[str]] = {}
    known: dict[str, list[str]] = {}
    for host, (python, packages) in hosts.items():
        kind = json.dumps([python, packages], sort_keys=True, default=str)
        if kind not in known:
            known[kind] = [
                one for wheel in application.wheels for one in _misfits(wheel, application, python, packages)
            ]
        for sentence in known[kind]:
            found.setdefault(sentence, []).append(host)
    return [sentence if len(names) == len(hosts) else f"{join(names)}: {sentence}" for sentence, names in found.items()]


def _misfits(
    wheel: Wheel, application: Application, python: Mapping[str, Any], packages: Mapping[str, str]
) -> Iterator[str]:
    """Yield a sentence for each reason why an environment cannot run a wheel."""
    installed = {str(canonicalize_name(name)): version for name, version in packages.items()}
    where = f"dask_application: {wheel.name} {wheel.version}"
    version = python["version"]
    if wheel.name in installed:
        yield (
            f"{where} is also a package of the environment ({installed[wheel.name]}). Take it out of one of the two."
        )
    wanted = wheel.metadata["Requires-Python"]
    if wanted and not _contains(wanted, version):
        yield f"{where} needs Python {wanted}, and the environment has {version}. Use another Python, or change the project."
    if not _fits(wheel, python):
        yield (
            f"{where}: {wheel.file} is not for {described(python)}. Build its wheel on a machine like the hosts, and name "
            "that."
        )
    elif wheel.built and _needs_newer_libc(wheel, python["libc"]):
        yield (
            f"{where} was compiled here with {' '.join(own_python()['libc'])}, which is newer than "
            f"{' '.join(python['libc'])} on the hosts. Build its wheel on a machine like the hosts, and name that."
        )
    missing, others = _unmet(wheel, {**installed, **application.packages}, python)
    if missing:
        yield (
            f"{where} needs {join(missing)}, which the environment does not have. Add this to the environment, or change "
            "what the project requires."
        )
    if others:
        yield (
            f"{where} needs other versions than the environment has: {', '.join(others)}. Change the environment, or what "
            "the project requires."
        )


def _unmet(wheel: Wheel, packages: Mapping[str, str], python: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the requirements of a wheel that are missing, and those that are there in other versions."""
    missing, others = [], []
    environment = marker_environment(python)
    for text in wheel.metadata.get_all("Requires-Dist", []):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # a form older than PEP 508
            continue
        try:
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
        except (UndefinedComparison, UndefinedEnvironmentName):  # no tool can evaluate the marker
            continue
        has = packages.get(str(canonicalize_name(requirement.name)))
        if has is None:
            missing.append(f"{requirement.name}{requirement.specifier}")
        elif not _contains(str(requirement.specifier), has):
            others.append(f"{requirement.name}{requirement.specifier} instead of {has}")
    return missing, others


def _contains(specifier: str, version: str) -> bool:
    """Return whether a version fits a specifier; a version or specifier of an old form counts as fitting."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _fits(wheel: Wheel, python: Mapping[str, Any]) -> bool:
    """Return whether an interpreter can import a wheel."""
    return any(str(tag) in _tags(json.dumps(python)) for tag in wheel.tags)


@functools.lru_cache(maxsize=16)
def _tags(python: str) -> frozenset[str]:
    """Return the tags of the wheels that an interpreter, as JSON, can use."""
    return frozenset(wheel_tags(json.loads(python)))


def _needs_newer_libc(wheel: Wheel, libc: Sequence[str]) -> bool:
    """Return whether a wheel with compiled code was built for a newer C library than a host has."""
    own = own_python()["libc"]
    compiled = any(tag.platform.startswith("linux_") for tag in wheel.tags)
    return compiled and (own[0] != libc[0] or Version(own[1]) > Version(libc[1]))


def hidden_modules(application: Application, files: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each file of users' modules with the name of a module of the application, which it would hide."""
    names = {os.path.basename(path)[: -len(".py")]: path for path in files}
    for name in sorted(names.keys() & set(application.modules)):
        yield (
            f"{names[name]} has the name of a module of dask_application, {name}: services would import the file instead. "
            "Rename one of them, or name the module without its path."
        )


def pack(application: Application, cache: str) -> str:
    """Return the path of an archive with the application, which is created if ``cache`` does not have it.

    Raises
    ------
    ApplicationError
        If the archive cannot be written.
    """
    cache = os.path.expanduser(cache)
    archive = os.path.join(cache, f"application-{application.id}.tar.gz")
    try:
        os.makedirs(cache, exist_ok=True)
        if not os.path.exists(archive):
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                partial = os.path.join(directory, "archive.tar.gz")
                _write(application, partial)
                os.replace(partial, archive)
    except OSError as error:
        raise ApplicationError(f"dask_cache ({cache}) cannot be used on the controller: {error}.") from None
    return archive


def _write(application: Application, archive: str) -> None:
    """Write an archive with the application."""
    description = {"id": application.id, "packages": application.packages}
    with tarfile.open(archive, "w:gz") as tar:
        _add(tar, DESCRIPTION, json.dumps(description, indent=1, sort_keys=True).encode(), False)
        for wheel in application.wheels:
            with zipfile.ZipFile(wheel.path) as zipped:
                for path, (member, executable, dummy) in sorted(wheel.files.items()):
                    _add(tar, f"{MODULES}/{path}", zipped.read(member), executable)


def _add(tar: tarfile.TarFile, name: str, content: bytes, executable: bool) -> None:
    """Add a file to an archive."""
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), 0o755 if executable else 0o644
    tar.addfile(about, io.BytesIO(content))
