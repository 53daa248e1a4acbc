# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a lock file of any accepted form on the controller, and write it for other machines."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import canonicalize_name
from ansible_collections.daskops.cluster.plugins.plugin_utils.foreign_locks import foreign, is_archive
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    HOW_TO_LOCK,
    Lock,
    Locked,
    LockError,
    file_version,
    hash_of,
    is_find_links,
    is_wheel,
    kept_wheels,
    local_path,
    matches,
    without_credentials,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.pylock import is_pylock, parse_pylock
from ansible_collections.daskops.cluster.plugins.plugin_utils.requirements_files import parse_requirements

#: The directory of the wheels of a lock for other machines.
_WHEELS = "file:daskops-wheels"


def unreadable_lock(path: str, error: OSError | UnicodeDecodeError) -> str:
    """Return the message for a lock whose file raised an ``OSError`` or a ``UnicodeDecodeError``.

    Parameters
    ----------
    path : str
        The path from the user.
    error : OSError or UnicodeDecodeError
    """
    where = f"dask_environment_lock ({path})"
    if isinstance(error, UnicodeDecodeError) and is_archive(error.object):
        return (
            f"{where} is an archive. If it is a packed environment, set dask_environment_archive to it, and remove "
            "dask_environment_lock."
        )
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


def parse_lock(text: str, directory: str | None = None) -> Lock:
    """Return the content of a lock.

    Parameters
    ----------
    text : str
        A requirements file in which every package has one version and its hashes, or a ``pylock.toml``.
    directory : str, optional
        Directory of the lock, to which paths in the lock are relative.

    Raises
    ------
    LockError
        If the text is a file of another tool, or a package has no version, no hash or no full commit.
    """
    # A poetry.lock has a lock-version, too.
    if other := foreign(text):
        raise LockError(other)
    if is_pylock(text):
        return parse_pylock(text, directory)
    return parse_requirements(text, directory)


def read_lock(path: str) -> tuple[Lock, str]:
    """Return the content of a lock file, and the SHA-256 of it and the files that it includes, one after the other.

    Raises
    ------
    OSError or UnicodeDecodeError
        If the file cannot be read.
    LockError
        As `parse_lock` does.
    """
    # Editors on Windows write a byte order mark.
    text = Path(path).read_text(encoding="utf-8-sig")
    lock = parse_lock(text, os.path.dirname(os.path.abspath(path)))
    content = b"".join(Path(one).read_bytes() for one in [path, *lock.included])
    return lock, hashlib.sha256(content).hexdigest()


def portable_lock(text: str, lock: Lock, built: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """Return a lock in requirements format for other machines, and the wheels that must be copied with it.

    Parameters
    ----------
    text, lock
        The text of the lock file, and its content.
    built : dict of str, optional
        By normalized name of a package, the wheel that this controller has built from the package's source.

    Returns
    -------
    tuple of (str, list of str)
        The lock, in which ``file:daskops-wheels`` stands for the directory of the wheels, and the paths of the wheels on the
        controller. It has no passwords, which are the administrator's. A lock in requirements format without options,
        passwords and such wheels is not changed.

    Raises
    ------
    LockError
        If a package is source code on the controller whose wheel was not built.
    """
    kept = kept_wheels(lock.options)
    lines, wheels = [], set()
    for locked in lock.packages:
        name = canonicalize_name(locked.requirement.name)
        local = local_path(locked.requirement)
        if local and not is_wheel(local):
            if name not in (built or {}):
                raise LockError(
                    f"{name} is the source {local}, whose wheel this controller has not built. Run site.yml first"
                )
            local = None
        paths = [path for found in kept.get(name, {}).values() for path in found]
        paths += [path for path in map(_local_wheel, map(lock.addresses.get, locked.hashes)) if path]
        found = [path for path in ([local] if local else paths) if matches(path, locked.hashes)]
        line, wheel = _portable_line(locked, local, (built or {}).get(name))
        lines.append(without_credentials(line))
        wheels.update([*found, *([wheel] if wheel else [])])
    plain = not is_pylock(text) and not re.search(r"^\s*-(?!-hash)|\$\{", text, re.MULTILINE)
    if plain and not wheels and without_credentials(text) == text:
        return text, []
    indexes = [f"--{'extra-' if number else ''}index-url {url}" for number, url in enumerate(lock.indexes)]
    options = [line for line in lock.options if not is_find_links(line) or re.search(r"(?<!file)://", line)]
    options += [*indexes, *([f"--find-links {_WHEELS}"] if wheels else [])]
    return "\n".join([*map(without_credentials, options), *lines, ""]), sorted(wheels)


def _local_wheel(address: str | None) -> str | None:
    """Return the path of a wheel on the controller that a URL names; None if it names none."""
    parts = urlsplit(address or "")
    path = unquote(parts.path)
    return path if parts.scheme == "file" and is_wheel(path) and os.path.isfile(path) else None


def _portable_line(locked: Locked, local: str | None, wheel: str | None) -> tuple[str, str | None]:
    """Return a package's line in a lock for other machines, and the built wheel that it needs.

    Parameters
    ----------
    locked : Locked
        The package.
    local : str, optional
        The wheel on the controller that the lock names by its path.
    wheel : str, optional
        The wheel that was built from the package's source.
    """
    requirement, hashes = locked.requirement, list(locked.hashes)
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    if requirement.url:
        # Other machines may have another platform: they can build the source themselves.
        if wheel and not (wheel.endswith("-none-any.whl") or local_path(requirement)):
            wheel = None
        path = local or wheel
        pin = f" @ {_WHEELS}/{os.path.basename(path)}" if path else f" @ {requirement.url}"
        hashes = [f"sha256:{hash_of(wheel)}"] if wheel else hashes
    else:
        pin = str(requirement.specifier) or f"=={file_version(locked.files[0][0])}"
        hashes += [f"sha256:{hash_of(wheel)}"] if wheel else []
    return " \\\n    ".join([f"{requirement.name}{pin}{marker}", *(f"--hash={one}" for one in hashes)]), wheel
