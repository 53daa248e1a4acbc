# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the environment of each host, and the archive from which hosts build it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    HOW_TO_LOCK,
    LockError,
    PackagesError,
    sha256_of,
    unreadable_lock,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages

_FILES = os.path.join(Path(__file__).parents[2], "roles", "environment", "files")
#: Lock file of the tools that build environments.
TOOLS_LOCK = os.path.join(_FILES, "tools.txt")


def lock_file(name: str) -> str:
    """Return the path of the lock file for a value of ``dask_environment_lock``."""
    return os.path.join(_FILES, "default.txt") if name == "default" else os.path.expanduser(name)


def _text(path: str) -> str:
    """Return the text of a lock file, without the byte order mark that editors on Windows write."""
    return Path(path).read_text(encoding="utf-8-sig")


def environments(
    hosts: Mapping[str, Mapping[str, Any]], lock: str, source: str, index_url: str, cache: str
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the environment of each host, and the problems.

    Fetches missing packages, once for all hosts with the same interpreter.

    Parameters
    ----------
    hosts : dict of dict
        Results of `host_info`, by host.
    lock, source, index_url, cache : str
        Values of ``dask_environment_lock``, ``dask_environment_source``, ``dask_environment_index_url`` and ``dask_cache``.

    Returns
    -------
    tuple of (dict, list of str)
        The environments by host, each with ``id``, ``python`` (path of the interpreter), ``lock`` (SHA-256), ``packages``
        (version by name) and ``archive`` (path on the controller, empty if the host already has the environment). Then a
        sentence for each problem.
    """
    path, cache = lock_file(lock), os.path.expanduser(cache)
    try:
        found = _environments(hosts, path, source, index_url, cache)
        if not re.search(r"^distributed[ =@\[]", _text(path), re.MULTILINE):
            raise LockError("it does not contain distributed, which the services run")
        return found, []
    except (FileNotFoundError, UnicodeDecodeError) as error:
        return {}, [unreadable_lock(path, error)]
    except OSError as error:
        return {}, [
            f"dask_environment_lock ({path}) or dask_cache ({cache}) cannot be used on the controller: {error}."
        ]
    except PackagesError as error:
        return {}, [f"dask_environment_lock ({path}): {error}."]
    except LockError as error:
        return {}, [f"dask_environment_lock ({path}): {error}. {HOW_TO_LOCK}"]


def _environments(
    hosts: Mapping[str, Mapping[str, Any]], lock: str, source: str, index_url: str, cache: str
) -> dict[str, dict[str, Any]]:
    texts = _text(lock), _text(TOOLS_LOCK)
    lock_sha256 = sha256_of(lock)
    kinds: dict[str, Packages] = {}
    archives: dict[str, str] = {}
    found = {}
    for host, info in hosts.items():
        # Reading a lock takes longer than comparing interpreters, and most hosts have the same one.
        kind = str([value for name, value in sorted(info["python"].items()) if name != "executable"])
        if kind not in kinds:
            kinds[kind] = Packages(*texts, info["python"], source, os.path.dirname(os.path.abspath(lock)))
        packages = kinds[kind]
        archive = ""
        if packages.id not in info["environments"]:
            if kind not in archives:
                archives[kind] = packages.fetch(cache, index_url)
            archive = archives[kind]
        found[host] = {
            "id": packages.id,
            "python": info["python"]["executable"],
            "lock": lock_sha256,
            "archive": archive,
            "packages": packages.versions,
        }
    return found
