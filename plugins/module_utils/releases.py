# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases and environments on a host.

Below the collection's directory on the host (``home``) lie ``environments/ID`` and ``releases/ID``; ``current`` is a link to
the release that the host runs. Releases do not change. What happened to them is in the host's history.
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
from ansible_collections.daskops.cluster.plugins.module_utils.takeover import completed_manifest
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Bytes of a manifest or a description of an environment. Those of large hosts have some 100 KiB.
LIMIT = 16 * 1024**2

#: Seconds for finding out which environments processes have loaded from.
PATIENCE = 30

#: Wheel in an environment from which the check of a configuration imports its validator.
VALIDATOR = "fastjsonschema.whl"

#: What of an environment is not compiled, as compileall is told: nobody imports the packages' own tests on a cluster, and
#: they are almost half of all that could be.
TESTS = "/site-packages/.*/tests?/"


def is_secret(path: str) -> bool:
    """Whether a file of a release is for root alone: the environment of services, which systemd reads, may hold secrets."""
    return path.startswith("services/")


def read_release(path: str) -> dict[str, Any]:
    """What the manifest of a release says.

    Parameters
    ----------
    path : str
        Its directory, or a link to it.

    Returns
    -------
    dict
        ``id``, ``environment``, ``tls``, ``ports`` by unit, and by kind ``services`` (release by unit) and ``unit_digests``
        (digest by path below systemd's directory); empty if there is no release.
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
            "tls": bool(manifest["tls"]),
            "ports": {unit: [int(port) for port in ports] for unit, ports in manifest["ports"].items()},
            "services": services,
            "unit_digests": {
                kind: {path: text(digest) for path, digest in manifest["units"].get(kind, {}).items()}
                for kind in services
            },
        }
    # A manifest that is missing, or that a power cut or an editor has damaged: the release is staged again.
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return {}


def read_units(home: str, release: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Content of the files for systemd of a release, by kind and path below systemd's directory."""
    root = os.path.join(home, "releases", release["id"], "systemd")
    return {
        kind: {path: read(os.path.join(root, path)) for path in paths}
        for kind, paths in release["unit_digests"].items()
    }


def read_tree(directory: str) -> dict[str, str]:
    """Content of the files below ``directory``, by relative path; links are not followed."""
    files = {}
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if name != "__pycache__"]  # of a module that root has run
        for name in names:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                files[os.path.relpath(path, directory)] = file.read()
    return files


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """The content of the file ``manifest.json``."""
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


@functools.lru_cache(maxsize=4096)
def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal. Most hosts share most files of a release."""
    return hashlib.sha256(text.encode()).hexdigest()


def tree_digest(files: Mapping[str, str], environment: str) -> str:
    """Return a short name of a release's files (content by relative path) and of the directory of its environment."""
    digests = {path: sha256_of(content) for path, content in files.items()}
    return sha256_of(json.dumps([environment, digests], sort_keys=True))[:32]


def text(value: Any) -> str:
    """The value, which has to be a text; raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def read_environment(path: str) -> dict[str, Any]:
    """What was written down when an environment was built: its id, lock, Python and packages; empty if there is none."""
    try:
        description = json.loads(read(os.path.join(path, "environment.json")))
        packages = description["packages"]
    except (KeyError, OSError, TypeError, ValueError):  # damaged: it is built again
        return {}
    return description if isinstance(packages, dict) and isinstance(description.get("python"), str) else {}


def read_usable_environment(path: str) -> dict[str, Any]:
    """What `read_environment` tells of an environment whose interpreter is still there; empty if it is not."""
    return read_environment(path) if os.access(os.path.join(path, "bin", "python"), os.X_OK) else {}


def read(path: str) -> str:
    """The text of a file of the collection."""
    return read_text(path, LIMIT)


def read_releases(home: str) -> dict[str, dict[str, Any]]:
    """All releases on the host by id, as `read_release` returns them, with what the history says of each.

    These keys come from the history: ``staged`` (start of the change, in seconds since the epoch), ``previous`` (id of the
    release that it took over from, or empty), ``served`` and ``tried`` (kinds of service, sorted).
    """
    releases, history = {}, read_history(home)
    for path in glob.glob(os.path.join(home, "releases", "*")):  # not the hidden ones, which are incomplete
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
    """The releases of services that have served on the host or were tried there, sorted.

    Parameters
    ----------
    releases : dict of dict
        What `read_releases` returned.
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
    """The releases that a host still needs. A pure function.

    Parameters
    ----------
    releases : dict
        As `read_releases` returns them.
    current : str
        Id of the one that the host runs.
    running : set of str
        Releases of the services that run.
    keep : int
        How many to keep, the current one and the way back from it first, then the newest; two at least, since the run that
        switched may yet go back.

    Returns
    -------
    set of str
        Their ids. Those that a service runs and those that were staged after the current one are kept in any case.
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


def environments_in_use(environments: str) -> set[str]:
    """Ids of the environments that any process has loaded something from, be it a service or a user's session.

    Any process may map files of any names, in any encoding, and many of them.

    Raises
    ------
    TimeoutError
        If that takes longer than `PATIENCE` seconds.
    """
    used: set[str] = set()
    pattern = re.compile(re.escape(os.fsencode(os.path.realpath(environments))) + rb"/([\w.-]+)/")
    deadline = time.monotonic() + PATIENCE
    for path in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(path, "rb") as file:
                for line in file:
                    used.update(os.fsdecode(name) for name in pattern.findall(line))
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"it took more than {PATIENCE} s to see which environments are in use")
        except (FileNotFoundError, PermissionError, ProcessLookupError):  # the process has ended, or is a kernel's
            continue
    return used


def prune(home: str, running: set[str | None], keep: int) -> list[str]:
    """Remove the releases and environments that a host does not need any more.

    Parameters are those of `releases_to_keep`.

    Returns
    -------
    list of str
        Their paths.
    """
    roots = {kind: os.path.join(home, kind) for kind in ("releases", "environments")}
    for path in [path for root in roots.values() for path in glob.glob(f"{root}/.removed-*")]:
        shutil.rmtree(path, ignore_errors=True)  # of a run that was cut off
    releases = read_releases(home)
    kept = releases_to_keep(releases, current_release(home), running, keep)
    needed = {releases[name]["environment"] for name in kept}
    # One in use has a release as long as it stays, by which it goes later.
    used = environments_in_use(roots["environments"])
    for name in sorted(releases, key=lambda name: releases[name]["staged"], reverse=True):
        if releases[name]["environment"] in used - needed:
            kept.add(name)
            needed.add(releases[name]["environment"])
    # One without a release was built ahead, for a change that is still to come.
    paths = glob.glob(f"{roots['environments']}/*/environment.json")
    built = {os.path.basename(os.path.dirname(path)): os.stat(path).st_mtime for path in paths}
    ahead = built.keys() - {release["environment"] for release in releases.values()}
    needed |= used | set(sorted(ahead, key=lambda name: built[name], reverse=True)[:keep])

    # The environments first: those that a run which is cut off leaves behind were not built ahead.
    removed = [os.path.join(roots["environments"], name) for name in sorted(built.keys() - needed)]
    removed += [os.path.join(roots["releases"], name) for name in sorted(set(releases) - kept)]
    for path in removed:
        shutil.rmtree(set_aside(path), ignore_errors=True)
    forget_removed(home)
    return removed


def set_aside(path: str) -> str:
    """Take a release or an environment out of the way, so that under its own name it is whole or not there at all.

    Returns
    -------
    str
        Where it lies now, for the caller to remove.
    """
    aside = os.path.join(os.path.dirname(path), f".removed-{os.path.basename(path)}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(path, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # An overlay cannot rename a directory of the image below it. Without what tells of it, nobody takes it for whole.
        for name in ("environment.json", "manifest.json"):
            if os.path.exists(os.path.join(path, name)):
                os.unlink(os.path.join(path, name))
        shutil.rmtree(path)
    return aside
