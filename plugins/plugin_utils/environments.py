# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the environment of each host, and the archive from which hosts build it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import canonicalize_name
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import (
    ARCHIVE,
    LOCK,
    PATH,
    kind_of,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import unfit_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import numbers, own_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import (
    RECIPE as EXISTING_RECIPE,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import (
    fingerprint,
    prefixes,
    unusable,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock, unreadable_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    ENCODE,
    HOW_TO_LOCK,
    Lock,
    LockError,
    PackagesError,
    is_url,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages
from ansible_collections.daskops.cluster.plugins.plugin_utils.packed_environments import (
    PackedEnvironment,
    tools_archive,
)

Hosts = Mapping[str, Mapping[str, Any]]

_FILES = os.path.join(Path(__file__).parents[2], "roles", "environment", "files")
#: Lock file of the tools that build environments.
TOOLS_LOCK = os.path.join(_FILES, "tools.txt")


def lock_file(name: str) -> str:
    """Return the path of the lock file for a value of ``dask_environment_lock``."""
    return os.path.join(_FILES, "default.txt") if name == "default" else os.path.expanduser(name)


def environments(hosts: Hosts, values: Hosts) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the environment of each host, and the problems.

    Fetches missing packages, or prepares the archive, once for all hosts with the same interpreter.

    Parameters
    ----------
    hosts : dict of dict
        Results of `host_info`, by host.
    values : dict of dict
        The variables of these hosts, complete.

    Returns
    -------
    tuple of (dict, list of str)
        The environments by host, each with ``id``, ``python`` (path of the interpreter that builds it, empty for that of
        Ansible), ``prefixes`` and ``boot_python`` (see `model.Environment`), ``python_version``, ``origin`` (SHA-256 of the
        ``lock`` or the ``archive``), ``packages`` (version by name) and ``archive`` (path on the controller, empty if the
        host already has the environment). Then a sentence for each problem.
    """
    common = next(iter(values.values()))
    return _OF_KIND[kind_of(common)](hosts, values, common)


def _from_lock(hosts: Hosts, values: Hosts, common: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    path, cache = lock_file(common["dask_environment_lock"]), os.path.expanduser(common["dask_cache"])
    index_url = common["dask_environment_index_url"]
    if index_url and not is_url(index_url):
        return {}, [f"dask_environment_index_url is not a valid URL. {ENCODE}."]
    build = {canonicalize_name(str(name)) for name in common["dask_environment_build"]}
    try:
        lock, lock_sha256 = read_lock(path)
        if not any(canonicalize_name(locked.requirement.name) == "distributed" for locked in lock.packages):
            raise LockError(f"it does not contain distributed, which the services run. {HOW_TO_LOCK}")
        return _environments(hosts, lock, lock_sha256, common["dask_environment_source"], index_url, cache, build), []
    except (FileNotFoundError, UnicodeDecodeError) as error:
        return {}, [unreadable_lock(path, error)]
    except OSError as error:
        return {}, [
            f"dask_environment_lock ({path}) or dask_cache ({cache}) cannot be used on the controller: {error}."
        ]
    except (PackagesError, LockError) as error:
        # The command at the end of some messages has no full stop.
        stop = "" if str(error).endswith(HOW_TO_LOCK) else "."
        return {}, [f"dask_environment_lock ({path}): {error}{stop}"]


def _from_archive(
    hosts: Hosts, values: Hosts, common: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    try:
        with packed_environment(common) as packed:
            return _packed(hosts, values, packed, f"dask_environment_archive ({common['dask_environment_archive']})")
    except (ArchiveError, OSError, PackagesError) as error:
        return {}, [_archive_problem(common, error)]


def _from_path(hosts: Hosts, values: Hosts, common: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    path, cache = common["dask_environment_path"], os.path.expanduser(common["dask_cache"])
    where = f"dask_environment_path ({path})"
    abouts = {host: info["environment_paths"][path] for host, info in hosts.items()}
    problems = [sentence for host, about in abouts.items() for sentence in unusable(host, where, about)]
    problems += [
        f"{host} has no safe Python with which root can create scratch directories. Set dask_python to one that only root "
        "can change, such as /usr/bin/python3."
        for host, info in hosts.items()
        if not info["python"] or info["python"].get("changeable")
    ]
    found = {}
    for host, about in {} if problems else abouts.items():
        name = digest([EXISTING_RECIPE, "path", path, fingerprint(about)])
        archive = ""
        if name not in hosts[host]["environments"]:
            try:
                archive = tools_archive(read_lock(TOOLS_LOCK)[0], cache, common["dask_environment_index_url"])
            except OSError as error:
                return {}, [f"dask_cache ({cache}) cannot be used on the controller: {error}."]
            except PackagesError as error:
                return {}, [f"{where}: the tools that hosts need could not be fetched: {error}."]
        found[host] = {
            "id": name,
            "python": "",
            "prefixes": prefixes(path, about),
            "boot_python": hosts[host]["python"]["executable"],
            "python_version": about["python"],
            "origin": {"path": path, "fingerprint": fingerprint(about)},
            "archive": archive,
            "packages": about["packages"],
        }
    return found, problems


def packed_environment(common: Mapping[str, Any]) -> PackedEnvironment:
    """Return the packed environment in the variables. Raises OSError and ArchiveError like `PackedEnvironment`."""
    return PackedEnvironment(
        os.path.expanduser(common["dask_environment_archive"]),
        common["dask_environment_archive_sha256"],
        read_lock(TOOLS_LOCK)[0],
        os.path.expanduser(common["dask_cache"]),
        common["dask_environment_index_url"],
    )


def client_packages(common: Mapping[str, Any], hosts: Hosts) -> tuple[dict[str, Any], list[str]]:
    """Return the packages of an environment without a lock for clients, and the problems.

    Parameters
    ----------
    common : dict
        The variables of a host, complete.
    hosts : dict of dict
        Results of `host_info`, of at least one host.

    Returns
    -------
    tuple of (dict, list of str)
        ``python``, its version; ``requirements``, a requirements file without hashes; and an empty ``lock``.
    """
    if kind_of(common) == PATH:
        path = common["dask_environment_path"]
        host, about = next((host, info["environment_paths"][path]) for host, info in hosts.items())
        problems = list(unusable(host, f"dask_environment_path ({path})", about))
        origin = f"the directory {path} of its hosts"
    else:
        try:
            with packed_environment(common) as packed:
                about, problems = packed.about, []
        except (ArchiveError, OSError, PackagesError) as error:
            return {}, [_archive_problem(common, error)]
        origin = f"the archive with the SHA-256 {packed.sha256}"
    lines = [
        f"# The packages of the cluster, from {origin}.",
        "# The list has no hashes. An index may lack some of these versions, or have other builds of them.",
        *(f"{name}=={version}" for name, version in sorted(about["packages"].items())),
    ]
    return {"python": about["python"], "requirements": "\n".join([*lines, ""]), "lock": ""}, problems


def _archive_problem(common: Mapping[str, Any], error: Exception) -> str:
    """Return the sentence about an error with a packed environment."""
    where = f"dask_environment_archive ({common['dask_environment_archive']})"
    if isinstance(error, FileNotFoundError):
        return f"{where}: {error.filename} does not exist on the controller. Correct the path."
    if isinstance(error, OSError):
        return f"{where} or dask_cache ({common['dask_cache']}) cannot be used on the controller: {error}."
    if isinstance(error, PackagesError):
        return f"{where}: the tools that hosts need could not be fetched: {error}."
    return f"{where}: {str(error).rstrip('.')}."


def _packed(
    hosts: Hosts, values: Hosts, packed: PackedEnvironment, where: str
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the environments of hosts from an archive, and the problems."""
    venv = packed.about["venv"]
    found, problems, archives = {}, [], {}
    for host, info in hosts.items():
        settings = {"python": own_python(values[host]["dask_python"])}
        unfit = list(unfit_python(host, info, settings)) if venv else []
        directory = os.path.join(values[host]["dask_home"], "environments")
        wrong = "" if unfit else packed.problem(info["python"], info["architecture"], directory)
        problems += [*unfit, *([f"{host}: {where} {wrong}."] if wrong else [])]
        # Root must not run an interpreter that others can change, and older ones have no library for Zstandard. A managed
        # Python is not installed for an environment that does not use it.
        aside = list(unfit_python(host, info, settings)) or (info["python"].get("managed") and not venv)
        python = {} if aside else info["python"]
        own = {} if venv or info["python"].get("changeable") or info["python"].get("managed") else info["python"]
        if problems:
            continue
        name = packed.id(python)
        archive = ""
        if name not in info["environments"]:
            kind = str([value for key, value in sorted(python.items()) if key not in ("executable", "usable")])
            if (kind, directory) not in archives:
                archives[kind, directory] = packed.archive_for(python, directory)
            archive = archives[kind, directory]
        found[host] = {
            "id": name,
            "python": python.get("executable", ""),
            "prefixes": [python["prefix"]] if venv else [],
            # Root creates scratch directories with it, if it can with the host's own Python.
            "boot_python": own.get("executable", ""),
            "python_version": packed.about["python"],
            "origin": {"archive": packed.sha256},
            "archive": archive,
            "packages": packed.about["packages"],
        }
    return found, problems


def _environments(
    hosts: Hosts, lock: Lock, lock_sha256: str, source: str, index_url: str, cache: str, build: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    tools = read_lock(TOOLS_LOCK)[0]
    kinds: dict[str, Packages] = {}
    archives: dict[str, str] = {}
    found = {}
    for host, python in with_oldest_libc({host: info["python"] for host, info in hosts.items()}).items():
        info = hosts[host]
        # Selecting packages takes longer than comparing interpreters, and most hosts have the same one.
        kind = kind_of_python(python)
        if kind not in kinds:
            kinds[kind] = Packages(lock, tools, python, source, build)
        packages = kinds[kind]
        archive = ""
        if packages.id not in info["environments"]:
            if kind not in archives:
                archives[kind] = packages.fetch(cache, index_url)
            archive = archives[kind]
        found[host] = {
            "id": packages.id,
            "python": info["python"]["executable"],
            "prefixes": [info["python"]["prefix"]],
            "boot_python": "",
            "python_version": info["python"]["version"],
            "origin": {"lock": lock_sha256},
            "archive": archive,
            "packages": packages.versions,
        }
    return found


def kind_of_python(python: Mapping[str, Any]) -> str:
    """Return the properties of an interpreter on which an environment depends, as text."""
    # A managed Python may have another path on other hosts, but its name identifies it.
    without = {"executable", "prefix"} if python.get("managed") else {"executable"}
    return str([value for name, value in sorted(python.items()) if name not in without])


def with_oldest_libc(pythons: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the interpreters by host, each with the oldest version of the C library that hosts of its kind have.

    So hosts of different distributions can use the same packages, which the controller fetches and installs once.
    """
    oldest: dict[str, list[str]] = {}
    kinds = {}
    for host, python in pythons.items():
        libc = list(python["libc"])
        kind = kinds[host] = kind_of_python({**python, "libc": libc[:1]})
        oldest[kind] = min(oldest.get(kind, libc), libc, key=lambda one: numbers(" ".join(one[1:])))
    return {host: {**python, "libc": oldest[kinds[host]]} for host, python in pythons.items()}


#: Function by kind of environment.
_OF_KIND = {LOCK: _from_lock, ARCHIVE: _from_archive, PATH: _from_path}
