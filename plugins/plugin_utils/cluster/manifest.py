# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the manifest of a release, and the ids of its services. Pure functions.

A release's id is the hash of all its files. A *service's* release, which its process reports, is finer: ``KIND.OWN``,
where ``KIND`` is the hash of what all services of its kind (scheduler, worker) share, and ``OWN`` the hash of the
service's own files. A service is restarted only if its release changes: a setting of workers does not restart the
scheduler, and a changed comment restarts nothing.
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
    """Return the first ``length`` hexadecimal digits of the SHA-256 of ``value`` as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]


def meaning(path: str, content: str) -> str | list[str]:
    """Return the content of a file without comments and blank lines; for Python code, the whole text.

    The format of the file determines what a comment is. In a multi-line string of a YAML file, and in a quoted value of an
    environment file, a line that begins with ``#`` is data.
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
    """Return a YAML text without comments. Cached, because most hosts have the same text, and parsing takes 20 ms."""
    try:
        return yaml.safe_dump(yaml.safe_load(content), allow_unicode=True)
    except yaml.YAMLError:
        return content


def variables(content: str) -> list[str]:
    """Return the assignments in an environment file of systemd, whose quoted values may have several lines."""
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
        # A value ends with its line unless a quotation mark is open. A backslash escapes the next character.
        if not quoted.startswith('"') or re.fullmatch(r'"(\\.|[^"\\])*"\s*', quoted):
            quoted = None
            found[-1] = found[-1].rstrip()
    return found


def service_releases(
    environment: str,
    application: str,
    label: str,
    files: Sequence[Mapping[str, Any]],
    services: Mapping[str, str],
) -> dict[str, str]:
    """Return the release of each service.

    Parameters
    ----------
    environment, application : str
        Ids of the environment and of the application; the latter is empty for none.
    label : str
        Label of the release, which is a resource of the workers. Empty if there is none.
    files : list of dict
        ``path``, ``content``, ``kinds`` (of the services that read the file) and ``service`` (the only service that reads
        it; None if all services of the kinds read it).
    services : dict
        Kind of each service, by unit name.

    Returns
    -------
    dict
        ``KIND.OWN`` by unit name.
    """

    def digest_of(kind: str, service: str | None, length: int) -> str:
        read = [(f["path"], f["content"]) for f in files if kind in f["kinds"] and f.get("service") == service]
        named = [environment, *([f"application={application}"] if application else [])]
        named += [f"label={label}"] if label and kind == "worker" else []
        return _digest_of_files(" ".join(named) if service is None else None, tuple(read), length)

    shared = {kind: digest_of(kind, None, 12) for kind in set(services.values())}
    return {service: f"{shared[kind]}.{digest_of(kind, service, 4)}" for service, kind in services.items()}


@functools.lru_cache(maxsize=1024)
def _digest_of_files(named: str | None, files: tuple[tuple[str, str], ...], length: int) -> str:
    """Return a digest of files without their comments. Cached, because hosts share files, and it takes 1 ms a host."""
    return digest([named, {path: meaning(path, content) for path, content in files}], length)


def make_manifest(
    environment: str,
    application: str,
    label: str,
    files: Sequence[Mapping[str, Any]],
    services: Mapping[str, str],
    ports: Iterable[Mapping[str, Any]],
    tls: bool,
    dashboard: str = "",
) -> dict[str, Any]:
    """Return the manifest of a release, with its id.

    Parameters
    ----------
    environment, application, label, files, services
        As for `service_releases`. A file below ``systemd/`` also has ``kind``, the kind of service that it belongs to.
    ports : list of dict
        Result of `ports.describe` for each planned port.
    tls : bool
        Whether the services use TLS.
    dashboard : str
        Port and path of the scheduler's dashboard; empty without a scheduler.

    Returns
    -------
    dict
        ``id``, ``environment``, ``application``, ``label``, ``services`` (``kind`` and ``release`` by unit), ``files``
        (SHA-256 by path), ``ports`` (by unit), ``tls``, ``dashboard``, and ``units`` (digest by kind and path below
        systemd's directory).
    """
    releases = service_releases(environment, application, label, files, services)
    optional = {"application": application, "label": label}
    content = {
        "environment": environment,
        **{name: value for name, value in optional.items() if value},
        "services": {name: {"kind": kind, "release": releases[name]} for name, kind in services.items()},
        "files": {f["path"]: sha256_of(f["content"]) for f in files},
    }
    # The id depends only on these and the bytes of all files, because the other keys are computed from the files.
    return {
        "id": digest(content),
        **optional,
        **content,
        "ports": {name: sorted(port["port"] for port in ports if port["unit"] == name) for name in services},
        "tls": tls,
        "dashboard": dashboard,
        "units": {kind: unit_digests(units_of(files, kind)) for kind in sorted(set(services.values()))},
    }


def units_of(files: Iterable[Mapping[str, Any]], kind: str) -> dict[str, str]:
    """Return the content of the unit files of a kind of service, by path below systemd's directory."""
    return {
        f["path"].partition("/")[2]: f["content"]
        for f in files
        if f["path"].startswith("systemd/") and f["kind"] == kind
    }
