# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases on a host, and the environments and applications that they use.

The collection's directory on the host (``home``) contains ``environments/ID``, ``applications/ID`` and ``releases/ID``. The
link ``current`` leads to the release that the host runs. Releases never change. The host's history records their changes,
switches and uses.
"""

from __future__ import annotations

import errno
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import time
from typing import Any, Mapping

from ansible_collections.daskops.cluster.plugins.module_utils.history import (
    current_release,
    forget_removed,
    read_history,
)
from ansible_collections.daskops.cluster.plugins.module_utils.takeover import completed_manifest, old_build_time
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Largest manifest or description of an environment, in bytes. Those of large hosts have about 100 KiB.
LIMIT = 16 * 1024**2

#: Seconds that `directories_in_use` may take.
PATIENCE = 30

#: Name of the wheel in an environment that the validation of a configuration imports.
VALIDATOR = "fastjsonschema.whl"

#: Link in an environment to the directory of the user's that the services run.
PREFIX = "prefix"

#: Pattern of files that compileall skips: the tests of the packages. A cluster does not import them, and they are almost
#: half of all files.
TESTS = "/site-packages/.*/tests?/"


def is_secret(path: str) -> bool:
    """Return whether only root may read a file of a release. Environment files of services may contain secrets."""
    return path.startswith("services/")


def read_release(path: str) -> dict[str, Any]:
    """Return the content of the manifest of a release.

    Parameters
    ----------
    path : str
        Directory of the release, or a link to it.

    Returns
    -------
    dict
        ``id``, ``environment``, ``application``, ``label``, ``tls``, ``dashboard`` (its port and path), ``ports`` by unit,
        and by kind ``services`` (release by unit) and ``unit_digests`` (digest by path below systemd's directory); empty if
        there is no release.
    """
    try:
        manifest = json.loads(read(os.path.join(path, "manifest.json")))
        services: dict[str, dict[str, str]] = {}
        for name, about in manifest["services"].items():
            services.setdefault(text(about["kind"]), {})[name] = text(about["release"])
        manifest = completed_manifest(path, manifest)
        return {
            "id": text(manifest["id"]),
            "environment": text(manifest["environment"]),
            "application": text(manifest["application"]),
            "label": text(manifest["label"]),
            "tls": bool(manifest["tls"]),
            "dashboard": text(manifest["dashboard"]),
            "ports": {unit: [int(port) for port in ports] for unit, ports in manifest["ports"].items()},
            "services": services,
            "unit_digests": {
                kind: {path: text(digest) for path, digest in manifest["units"].get(kind, {}).items()}
                for kind in services
            },
        }
    # The manifest is missing or damaged, for example by a power cut or an editor. The run stages the release again.
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return {}


def read_units(home: str, release: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the content of the unit files of a release, by kind and path below systemd's directory."""
    root = os.path.join(home, "releases", release["id"], "systemd")
    return {
        kind: {path: read(os.path.join(root, path)) for path in paths}
        for kind, paths in release["unit_digests"].items()
    }


def read_tree(directory: str) -> dict[str, str]:
    """Return the content of the files below ``directory`` by relative path. Links are not followed."""
    files = {}
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if name != "__pycache__"]  # made when root imported a module
        for name in names:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                files[os.path.relpath(path, directory)] = file.read()
    return files


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the content of the file ``manifest.json``."""
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


@functools.lru_cache(maxsize=4096)
def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal. Cached, because most hosts share most files of a release."""
    return hashlib.sha256(text.encode()).hexdigest()


def links_of(home: str, environment: str, application: str) -> dict[str, str]:
    """Return the links of a release, with their targets by name. The id of an application may be empty."""
    links = {"environment": os.path.join(home, "environments", environment)}
    if application:
        links["application"] = os.path.join(home, "applications", application)
    return links


def read_links(directory: str) -> dict[str, str]:
    """Return the links of a release that is in a directory, as from `links_of`."""
    paths = {name: os.path.join(directory, name) for name in ("environment", "application")}
    return {name: os.readlink(path) for name, path in paths.items() if os.path.islink(path)}


def tree_digest(files: Mapping[str, str], links: Mapping[str, str]) -> str:
    """Return a short name of a release's files (content by relative path) and links (target by name)."""
    digests = {path: sha256_of(content) for path, content in files.items()}
    return sha256_of(json.dumps([links, digests], sort_keys=True))[:32]


def text(value: Any) -> str:
    """Return the value if it is a string, else raise TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def read_environment(path: str) -> dict[str, Any]:
    """Return the id, lock, Python and packages that the build of an environment has recorded; empty if there is none."""
    try:
        description = json.loads(read(os.path.join(path, "environment.json")))
        packages = description["packages"]
    except (KeyError, OSError, TypeError, ValueError):  # the file is damaged: build the environment again
        return {}
    return description if isinstance(packages, dict) and isinstance(description.get("python"), str) else {}


def python_of(environment: str) -> str:
    """Return the path of the interpreter of an environment, whose files are elsewhere if the link `PREFIX` exists."""
    link = os.path.join(environment, PREFIX)
    if os.path.islink(link):
        return os.path.join(os.path.realpath(link), "bin", "python3")
    return os.path.join(environment, "bin", "python")


def build_time(path: str) -> int:
    """Return the time when an environment was built, in seconds since the epoch by the host's clock."""
    built = read_environment(path).get("built")
    return built if isinstance(built, int) and not isinstance(built, bool) else old_build_time(path)


def read_usable_environment(path: str) -> dict[str, Any]:
    """Return the result of `read_environment` if the interpreter still exists; else empty."""
    return read_environment(path) if os.access(python_of(path), os.X_OK) else {}


def read(path: str) -> str:
    """Return the text of a file of the collection."""
    return read_text(path, LIMIT)


def read_releases(home: str) -> dict[str, dict[str, Any]]:
    """Return all releases on the host by id, as from `read_release`, with their history.

    These keys come from the history: ``staged`` (start of the change, in seconds since the epoch), ``previous`` (id of the
    release before it, or empty), ``served`` and ``tried`` (kinds of service, sorted).
    """
    releases, history = {}, read_history(home)
    for path in glob.glob(os.path.join(home, "releases", "*")):  # hidden directories are incomplete and do not match
        release, name = read_release(path), os.path.basename(path)
        if release:
            entry = history.entry(name)
            releases[name] = {
                **release,
                "staged": entry.staged,
                "previous": entry.previous,
                "served": sorted(entry.served),
                "tried": sorted(entry.tried),
            }
    return releases


def started_services(releases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the releases whose services have served on the host or were tried there, sorted.

    Parameters
    ----------
    releases : dict of dict
        Result of `read_releases`.
    """
    return sorted(
        {
            service
            for release in releases.values()
            for kind, wanted in release["services"].items()
            if kind in release["served"] or kind in release["tried"]
            for service in wanted.values()
        }
    )


def releases_to_keep(
    releases: Mapping[str, Mapping[str, Any]],
    current: str,
    running: set[str | None],
    keep: int,
) -> set[str]:
    """Return the releases that a host still needs. A pure function.

    Parameters
    ----------
    releases : dict
        Result of `read_releases`.
    current : str
        Id of the release that the host runs.
    running : set of str
        Releases of the running services.
    keep : int
        Number of releases to keep: first the current one and the targets of rollbacks, then the newest. At least two are
        kept, because the current run may still revert to the previous one.

    Returns
    -------
    set of str
        Ids of the releases to keep. Always includes releases that a service runs, and those staged after the current one.
    """
    kept, before = [current], releases[current]["previous"]
    while before in releases and before not in kept:
        kept.append(before)
        before = releases[before]["previous"]
    newest = sorted(releases, key=lambda name: releases[name]["staged"], reverse=True)
    kept += [name for name in newest if name not in kept]
    needed = set(kept[: max(keep, 2)])
    for name, release in releases.items():
        services = {service for kind in release["services"].values() for service in kind.values()}
        if services & running or release["staged"] > releases[current]["staged"]:
            needed.add(name)
    return needed


def directories_in_use(root: str) -> set[str]:
    """Return the directories in ``root`` whose files any process has mapped, such as a service or a user's session.

    The directories are environments or managed Pythons.

    A process can map many files, with names in any encoding, so the time is limited.

    Raises
    ------
    TimeoutError
        If it takes longer than `PATIENCE` seconds.
    """
    used: set[str] = set()
    pattern = re.compile(re.escape(os.fsencode(os.path.realpath(root))) + rb"/([\w.+-]+)/")
    deadline = time.monotonic() + PATIENCE
    for path in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(path, "rb") as file:
                for line in file:
                    used.update(os.fsdecode(name) for name in pattern.findall(line))
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"finding the directories in use in {root} took more than {PATIENCE} s")
        except (FileNotFoundError, PermissionError, ProcessLookupError):  # the process has ended, or is a kernel thread
            continue
    return used


def prune(home: str, running: set[str | None], keep: int) -> list[str]:
    """Remove the releases, environments and applications that a host no longer needs.

    Parameters are those of `releases_to_keep`.

    Returns
    -------
    list of str
        The removed paths.
    """
    roots = {kind: os.path.join(home, kind) for kind in ("releases", "environments", "applications")}
    for path in [path for root in roots.values() for path in glob.glob(f"{root}/.removed-*")]:
        shutil.rmtree(path, ignore_errors=True)  # left by an interrupted run
    releases = read_releases(home)
    kept = releases_to_keep(releases, current_release(home), running, keep)
    needed = {releases[name]["environment"] for name in kept}
    # Keep one release of each environment in use, so that a later run removes both together.
    used = directories_in_use(roots["environments"])
    for name in sorted(releases, key=lambda name: releases[name]["staged"], reverse=True):
        if releases[name]["environment"] in used - needed:
            kept.add(name)
            needed.add(releases[name]["environment"])
    # An environment without a release was built in advance, for a later change.
    paths = [os.path.dirname(path) for path in glob.glob(f"{roots['environments']}/*/environment.json")]
    built = {os.path.basename(path): build_time(path) for path in paths}
    ahead = built.keys() - {release["environment"] for release in releases.values()}
    needed |= used | set(sorted(ahead, key=lambda name: built[name], reverse=True)[:keep])

    # Remove environments first. If the run is interrupted, an environment without a release would count as built in advance.
    removed = [os.path.join(roots["environments"], name) for name in sorted(built.keys() - needed)]
    applications = glob.glob(os.path.join(glob.escape(roots["applications"]), "*"))
    used = {os.path.join(roots["applications"], releases[name]["application"]) for name in kept}
    removed += sorted(set(applications) - used)
    removed += [os.path.join(roots["releases"], name) for name in sorted(set(releases) - kept)]
    for path in removed:
        shutil.rmtree(set_aside(path), ignore_errors=True)
    forget_removed(home)
    return removed


def set_aside(path: str) -> str:
    """Rename a release, an environment, an application or a managed Python before its removal.

    So its name never leads to an incomplete directory.

    Returns
    -------
    str
        The new path, which the caller removes.
    """
    aside = os.path.join(os.path.dirname(path), f".removed-{os.path.basename(path)}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(path, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # An overlay file system cannot rename a directory of its lower layer. Remove its description first, so that the
        # directory does not count as complete if the removal is interrupted.
        for name in ("application.json", "environment.json", "manifest.json", "python.json"):
            if os.path.exists(os.path.join(path, name)):
                os.unlink(os.path.join(path, name))
        shutil.rmtree(path)
    return aside


def replace_directory(final: str, partial: str) -> None:
    """Rename the complete directory ``partial`` to ``final``, and remove a directory that has this name.

    A link may point to ``final``, and a process may still import from the existing directory.
    """
    removed = set_aside(final) if os.path.isdir(final) else None
    os.rename(partial, final)
    if removed:
        shutil.rmtree(removed, ignore_errors=True)
