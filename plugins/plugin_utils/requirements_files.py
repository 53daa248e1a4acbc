# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read locks in requirements format, as pip-compile, uv, Poetry, PDM and Pipenv write them."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import (
    InvalidRequirement,
    InvalidSdistFilename,
    Requirement,
    canonicalize_name,
    parse_sdist_filename,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.foreign_locks import foreign
from ansible_collections.daskops.cluster.plugins.plugin_utils.git import reference
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    ENCODE,
    HOW_TO_LOCK,
    Lock,
    Locked,
    LockError,
    is_git,
    is_url,
    redacted,
    shown,
    strong,
)

# Options with the origin of packages. They are passed on to pip and uv.
_ORIGIN = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--no-index")
# Options without effect here. They are always on, or choose between versions, which a lock pins.
_WITHOUT_EFFECT = (
    "-c",
    "--constraint",
    "--pre",
    "--prefer-binary",
    "--only-binary",
    "--require-hashes",
    "--use-feature",
    "--no-build-isolation",
)
_INCLUDE = ("-r", "--requirement")
_EDITABLE = ("-e", "--editable")
# The names that pip replaces by the values of environment variables.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SOURCE_ARCHIVE = re.compile(r"\.(tar(\.\w+)?|tgz|zip)$")


@dataclass
class _Reader:
    """What was read of a lock and the files that it includes."""

    packages: list[Locked] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    included: list[str] = field(default_factory=list)
    from_source: dict[str, str] = field(default_factory=dict)


def parse_requirements(text: str, directory: str | None = None) -> Lock:
    """Return the content of a lock in requirements format.

    Parameters
    ----------
    text : str
        Text of a requirements file in which every line pins one version and has its hashes, like the output of
        ``uv pip compile --generate-hashes`` or ``pip-compile --generate-hashes``.
    directory : str, optional
        Directory of the lock, to which paths in the lock are relative. Without it, relative paths are not changed, and
        no file can be included.

    Raises
    ------
    LockError
        If a line is not a requirement, does not pin one version, or has no hash.
    """
    reader = _Reader()
    _read(reader, text, directory, "", [])
    if not reader.packages:
        raise LockError(f"it contains no package. {HOW_TO_LOCK}")
    return Lock(reader.packages, reader.options, reader.included, reader.from_source)


def _read(reader: _Reader, text: str, directory: str | None, name: str, parents: list[str]) -> None:
    """Read the lines of a lock, or of the file ``name`` that it includes; ``parents`` are the files that are being read."""
    for number, line in _lines(text):
        where = f"{name}, line {number}" if name else f"line {number}"
        if line.startswith("-"):
            _read_option(reader, line, directory, where, parents)
        else:
            reader.packages.append(_package(line, directory, where))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the content of each line, with its continuations, and without comments, as pip reads them."""
    parts: list[str] = []
    number = 0
    for count, raw in enumerate([*text.splitlines(), ""], 1):
        number = number if parts else count
        continued = re.search(r"\\\s*$", raw)
        # A comment ends a continuation, also one that ends with a backslash.
        comment = raw.lstrip().startswith("#")
        parts.append("" if comment else raw[: continued.start()] if continued else raw)
        if continued and not comment:
            continue
        line = re.sub(r"(^|\s)#.*", "", " ".join(parts)).strip()
        parts = []
        if line:
            yield number, _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), line)


def _read_option(reader: _Reader, line: str, directory: str | None, where: str, parents: list[str]) -> None:
    """Read a line that is an option."""
    found = re.fullmatch(r"(-\w|--[\w-]+)([= ]\s*|(?<=^-\w))?(.*)", line)
    option, dummy, value = found.groups() if found else (line, "", "")
    if option in _WITHOUT_EFFECT:
        return
    if option in _EDITABLE:
        raise LockError(
            f"{where}: '{shown(line)}' is an editable project, whose files can change at any time. Leave the project out "
            "(uv export --no-emit-project), or build its wheel ('uv build --wheel') and list the wheel's path"
        )
    if option not in (*_ORIGIN, *_INCLUDE, "--no-binary"):
        raise LockError(f"{where}: '{shown(line)}' is an option that is not allowed in a lock: remove it")
    word = _unquoted(value)
    if not word and option != "--no-index":
        raise LockError(
            f"{where}: '{option}' needs one value: give one name, URL or path, in quotes if it contains a space"
        )
    is_index = option in ("-i", "--index-url", "--extra-index-url")
    if (is_index or option in ("-f", "--find-links") and "://" in word) and not is_url(word):
        raise LockError(f"{where}: '{option}' has no valid URL. {ENCODE}")
    if option in _INCLUDE:
        _include(reader, word, directory, where, parents)
    elif option == "--no-binary":
        _want_source(reader, word, where)
    elif option in ("-f", "--find-links"):
        if directory and "://" not in word:
            # Like pip, use the path relative to the lock or, if it does not exist, to the working directory.
            beside = os.path.join(directory, os.path.expanduser(word))
            word = beside if os.path.exists(beside) else word
        reader.options.append(f"--find-links {shlex.quote(word)}")
    else:
        reader.options.append(line)


def _include(reader: _Reader, name: str, directory: str | None, where: str, parents: list[str]) -> None:
    """Read a file that a lock includes."""
    if "://" in name or directory is None:
        raise LockError(
            f"{where}: a lock can include only files on the controller, not {shown(name)}: download it, and list its path"
        )
    path = os.path.normpath(os.path.join(directory, os.path.expanduser(name)))
    if path in parents:
        raise LockError(f"{where}: {name} includes itself. Remove the option")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LockError(
            f"{where}: {path} cannot be read: {error.strerror}. Correct the path, or remove the option"
        ) from None
    except UnicodeDecodeError:
        raise LockError(
            f"{where}: {path} is not a text file in UTF-8. Correct the path, or remove the option"
        ) from None
    if other := foreign(text):
        raise LockError(f"{where}: {name} is not a requirements file: {other}")
    reader.included.append(path)
    _read(reader, text, os.path.dirname(path), name, [*parents, path])


def _want_source(reader: _Reader, names: str, where: str) -> None:
    """Note the packages that a lock wants to be built from source."""
    for name in filter(None, map(str.strip, names.split(","))):
        if name == ":all:":
            raise LockError(
                f"{where}: '--no-binary :all:' asks for a build of every package. Remove the option, and list the packages "
                "that have no wheel in dask_environment_build"
            )
        if name == ":none:":
            reader.from_source.clear()
        else:
            reader.from_source[canonicalize_name(name)] = where


def _package(line: str, directory: str | None, where: str) -> Locked:
    """Return the package in a line of a lock."""
    hashes = strong(re.findall(r"--hash[= ](\S+)", line))
    named = re.sub(r"\s*--hash[= ]\S+", "", line)
    option = re.search(r"\s(--?[a-zA-Z][\w-]*)", named)
    if option:
        raise LockError(
            f"{where}: the option {option[1]} of '{shown(named.split()[0])}' changes how the package is built. Remove it, "
            "or build the wheel yourself, and list the wheel's path"
        )
    try:
        requirement = Requirement(_named_by_path(named, directory, where))
    except InvalidRequirement:
        raise LockError(
            f"{where}: '{shown(line)}' is not a requirement that a lock may contain. {HOW_TO_LOCK}"
        ) from None
    pinned = [one for one in requirement.specifier if one.operator in ("==", "===") and not one.version.endswith(".*")]
    if is_git(requirement.url):
        try:
            reference(requirement.name, str(requirement.url))
        except LockError as error:
            raise LockError(f"{where}: {error}") from None
        if hashes:
            raise LockError(f"{where}: a hash of '{requirement.name}' says nothing of a commit. Remove the hash")
        return Locked(requirement, [])
    if re.match(r"(hg|svn|bzr)\+", requirement.url or ""):
        raise LockError(
            f"{where}: {requirement.name} is in another version control system than git. Build its wheel ('pip wheel "
            "--no-deps'), and list the wheel's path"
        )
    if requirement.url and not is_url(requirement.url):
        raise LockError(f"{where}: '{requirement.name}' has no valid URL. {ENCODE}")
    if not pinned and not requirement.url:
        raise LockError(f"{where}: '{requirement}' does not pin a version. {HOW_TO_LOCK}")
    if not hashes:
        raise LockError(f"{where}: '{redacted(str(requirement))}' has no sha256, sha384 or sha512 hash. {HOW_TO_LOCK}")
    return Locked(requirement, hashes)


def _unquoted(text: str) -> str:
    """Return a word without its quotes, like pip reads it in a lock; empty if the text is not one word."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    return words[0] if len(words) == 1 else ""


def _named_by_path(line: str, directory: str | None, where: str) -> str:
    """Return a requirement that is the path of a wheel or a source archive as ``NAME @ URL``; others unchanged."""
    path, *marker = re.split(r"\s+;\s*", line.strip(), maxsplit=1)
    if not re.match(r"[./~]|file:", path):
        return line
    path = os.path.expanduser(unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", path)))
    name = ""
    if path.endswith(".whl"):
        name = os.path.basename(path).split("-")[0]
    elif _SOURCE_ARCHIVE.search(path):
        with contextlib.suppress(InvalidSdistFilename):
            name = parse_sdist_filename(os.path.basename(path))[0]
    if not name:
        raise LockError(f"{where}: '{shown(line)}' is not a wheel: build one ('uv build --wheel') and list its path")
    url = Path(os.path.abspath(os.path.join(directory or "", path))).as_uri()
    return " ; ".join([f"{name} @ {url}", *marker])
