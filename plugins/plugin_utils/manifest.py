# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is made of, and the names that follow from it. Pure functions.

A release's id is the hash of all its files. A *service's* release, which its process reports, is finer: ``KIND.OWN``,
where ``KIND`` is the hash of what all services of its kind (scheduler, worker) share and ``OWN`` the hash of its own
settings on its host. A service is restarted when its release changes, and only then: a worker's setting does not
restart the scheduler, and a comment restarts nothing.
"""

from __future__ import annotations

import hashlib
import json


def digest(value, length=12):
    """The first ``length`` hexadecimal digits of the SHA-256 of ``value``, which JSON can write."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]


def meaning(path, content):
    """``content`` without what its reader skips: blank lines and comments of settings; code counts to the letter."""
    if path.endswith(".py"):
        return content
    lines = (line.rstrip() for line in content.splitlines())
    return [line for line in lines if line and not line.lstrip().startswith("#")]


def service_releases(environment, files, services):
    """The release of each service.

    Parameters
    ----------
    environment : str
        The environment's id.
    files : list of dict
        ``path``, ``content``, ``kinds`` (of the services that read it) and ``service`` (the one that it belongs to;
        None where all of the kinds share it).
    services : dict
        Kind of each service, by unit name.

    Returns
    -------
    dict
        ``KIND.OWN`` by unit name.
    """

    def digest_of(kind, service, length):
        read = {
            f["path"]: meaning(f["path"], f["content"])
            for f in files
            if kind in f["kinds"] and f.get("service") == service
        }
        return digest([environment if service is None else None, read], length)

    return {service: f"{digest_of(kind, None, 12)}.{digest_of(kind, service, 4)}" for service, kind in services.items()}


def make_manifest(environment, files, services):
    """The manifest of a release, with its id.

    Parameters are those of `service_releases`. The id covers every byte of every file.

    Returns
    -------
    dict
        ``id``, ``environment``, ``services`` (``kind`` and ``release`` by unit), ``files`` (SHA-256 by path).
    """
    releases = service_releases(environment, files, services)
    manifest = {
        "environment": environment,
        "services": {name: {"kind": kind, "release": releases[name]} for name, kind in services.items()},
        "files": {f["path"]: hashlib.sha256(f["content"].encode()).hexdigest() for f in files},
    }
    return {"id": digest(manifest), **manifest}
