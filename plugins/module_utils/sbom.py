# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bill of materials of an environment, in the format CycloneDX 1.6. Pure functions.

The format is plain JSON, so no library is needed on hosts.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

#: Names of the properties that say what an environment was made from, by the key of its description.
ORIGINS = {"lock": "lock:sha256", "archive": "archive:sha256", "path": "path", "fingerprint": "fingerprint"}


def canonical(name: str) -> str:
    """Return the normalized name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def known_hashes(requirements: str) -> dict[str, str]:
    """Return the SHA-256 of the installed wheel by package, from the requirements that were installed.

    A package with several allowed hashes is left out: the installed file could be any of them.
    """
    hashes = {}
    for line in requirements.splitlines():
        allowed = re.findall(r"--hash=(\S+)", line)
        if len(allowed) == 1 and allowed[0].startswith("sha256:"):
            hashes[canonical(re.sub(r"[^\w.-].*", "", line))] = allowed[0].partition(":")[2]
    return hashes


def bill_of_materials(
    description: Mapping[str, Any],
    licences: Mapping[str, str],
    hashes: Mapping[str, str],
    tools: Iterable[tuple[str, str, str]],
    of_conda: Iterable[Mapping[str, str]] = (),
    by_conda: Collection[str] = (),
    python_sha256: str | None = None,
) -> dict[str, Any]:
    """Return the bill of materials of an environment.

    Parameters
    ----------
    description : dict
        ``id``, ``python``, ``packages``, and those of `ORIGINS`, as in ``environment.json``.
    licences : dict
        SPDX expression by package, for packages that declare one.
    hashes : dict
        SHA-256 of the wheel by package, for packages whose hash is known.
    tools : list of (str, str, str)
        Name, version and SHA-256 of the wheel of each tool that built the environment or validates configuration in it.
    of_conda : list of dict
        Packages that conda installed, with ``name``, ``version``, ``build``, ``subdir``, ``channel``, ``sha256`` and
        ``license``, which may be empty.
    by_conda : collection of str
        Those of ``packages`` that are part of a package of conda.
    python_sha256 : str, optional
        SHA-256 of the archive of the managed Python; empty or None for an interpreter of the host.

    Returns
    -------
    dict
        The document. It has no timestamp, and its serial number is derived from its content, so that the same environment
        has the same document.
    """
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "daskops.cluster"},
                    *(_package("application", *tool) for tool in tools),
                ]
            },
            "component": {
                "type": "application",
                "name": "dask-environment",
                "version": description["id"],
                "properties": [
                    {"name": f"daskops:{name}", "value": description[origin]}
                    for origin, name in ORIGINS.items()
                    if origin in description
                ],
            },
        },
        "components": [
            {
                "type": "platform",
                "name": "python",
                "version": description["python"],
                "purl": f"pkg:generic/python@{quote(description['python'])}",
                **_hashes(python_sha256),
            },
            *(
                _package("library", name, version, hashes.get(canonical(name)), licences.get(name))
                for name, version in sorted(description["packages"].items())
                if name not in by_conda
            ),
            *map(_conda_package, of_conda),
        ],
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:daskops:{content}").urn}


def _package(
    kind: str, name: str, version: str, sha256: str | None = None, licence: str | None = None
) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{canonical(name)}@{quote(version)}",
        **_hashes(sha256),
        **({"licenses": [{"expression": licence}]} if licence else {}),
    }


def _hashes(sha256: str | None) -> dict[str, list[dict[str, str]]]:
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 else {}


def _conda_package(about: Mapping[str, str]) -> dict[str, Any]:
    """Return a package of conda, whose licence need not be an SPDX expression."""
    qualifiers = urlencode({key: about[key] for key in ("build", "channel", "subdir") if about[key]})
    return {
        "type": "library",
        "name": about["name"],
        "version": about["version"],
        "purl": f"pkg:conda/{about['name']}@{quote(about['version'])}{'?' if qualifiers else ''}{qualifiers}",
        **_hashes(about["sha256"]),
        **({"licenses": [{"license": {"name": about["license"]}}]} if about["license"] else {}),
    }
