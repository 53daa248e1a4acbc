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

import functools
import hashlib
import json
import re
from typing import Any, Iterable, Mapping, Sequence

import yaml
from ansible_collections.daskops.cluster.plugins.module_utils.releases import sha256_of
from ansible_collections.daskops.cluster.plugins.module_utils.units import unit_digests


def digest(value: Any, length: int = 12) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``value``, which JSON can write."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]


def meaning(path: str, content: str) -> str | list[str]:
    """What a service reads of a file: its data without comments and blank lines; the whole text of code.

    Comments are told from data as the reader does: a line that begins with ``#`` inside a text of YAML, or inside a quoted
    value of an environment file, is data.
    """
    if path.endswith(".py"):
        return content
    if path.endswith((".yaml", ".yml")):
        return _data(content)
    if path.endswith(".env"):
        return variables(content)
    lines = (line.rstrip() for line in content.splitlines())
    return [line for line in lines if line and not line.lstrip().startswith("#")]


@functools.lru_cache(maxsize=64)
def _data(content: str) -> str:
    """The data of a YAML text, as text again. Hosts mostly have the same one, and it takes 20 ms."""
    try:
        return yaml.safe_dump(yaml.safe_load(content), allow_unicode=True)
    except yaml.YAMLError:
        return content


def variables(content: str) -> list[str]:
    """The assignments in an environment file of systemd, whose quoted values may have several lines."""
    found: list[str] = []
    quoted: str | None = None
    for line in content.split("\n"):
        if quoted is None and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if quoted is None:
            found.append(line)
            quoted = line.partition("=")[2]
        else:
            found[-1] += f"\n{line}"
            quoted += line
        # A value ends with its line unless a quotation mark is open; a backslash takes away the next character's meaning.
        if not quoted.startswith('"') or re.fullmatch(r'"(\\.|[^"\\])*"\s*', quoted):
            quoted = None
            found[-1] = found[-1].rstrip()
    return found


def service_releases(
    environment: str, files: Sequence[Mapping[str, Any]], services: Mapping[str, str]
) -> dict[str, str]:
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

    def digest_of(kind: str, service: str | None, length: int) -> str:
        read = [(f["path"], f["content"]) for f in files if kind in f["kinds"] and f.get("service") == service]
        return _digest_of_files(environment if service is None else None, tuple(read), length)

    shared = {kind: digest_of(kind, None, 12) for kind in set(services.values())}
    return {service: f"{shared[kind]}.{digest_of(kind, service, 4)}" for service, kind in services.items()}


@functools.lru_cache(maxsize=1024)
def _digest_of_files(environment: str | None, files: tuple[tuple[str, str], ...], length: int) -> str:
    """A digest of what files mean. Most hosts share most files, and reading them takes 1 ms a host."""
    return digest([environment, {path: meaning(path, content) for path, content in files}], length)


def make_manifest(
    environment: str,
    files: Sequence[Mapping[str, Any]],
    services: Mapping[str, str],
    ports: Iterable[Mapping[str, Any]],
    tls: bool,
) -> dict[str, Any]:
    """The manifest of a release, with its id.

    Parameters
    ----------
    environment, files, services
        As for `service_releases`. A file below ``systemd/`` also has ``kind``, the kind of service that it belongs to.
    ports : list of dict
        ``port`` and ``unit`` of each planned port, as `ports.describe` returns them.
    tls : bool
        Whether the services use TLS.

    Returns
    -------
    dict
        ``id``, ``environment``, ``services`` (``kind`` and ``release`` by unit), ``files`` (SHA-256 by path), ``ports`` (by
        unit), ``tls``, and ``units`` (digest by kind and path below systemd's directory).
    """
    releases = service_releases(environment, files, services)
    content = {
        "environment": environment,
        "services": {name: {"kind": kind, "release": releases[name]} for name, kind in services.items()},
        "files": {f["path"]: sha256_of(f["content"]) for f in files},
    }
    # The id covers every byte of every file, and nothing but that: the other keys follow from the files.
    return {
        "id": digest(content),
        **content,
        "ports": {name: sorted(port["port"] for port in ports if port["unit"] == name) for name in services},
        "tls": tls,
        "units": {kind: unit_digests(units_of(files, kind)) for kind in sorted(set(services.values()))},
    }


def units_of(files: Iterable[Mapping[str, Any]], kind: str) -> dict[str, str]:
    """Content of the files for systemd that belong to a kind of service, by path below systemd's directory."""
    return {
        f["path"].partition("/")[2]: f["content"]
        for f in files
        if f["path"].startswith("systemd/") and f["kind"] == kind
    }
