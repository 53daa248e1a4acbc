# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's bill of materials, in the form of CycloneDX 1.6. Pure functions.

Hosts have no library for it, and the form is plain JSON.
"""

from __future__ import annotations

import json
import re
import uuid
from urllib.parse import quote


def canonical(name):
    """The name of a package as an index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def known_hashes(requirements):
    """SHA-256 of the installed wheel by package, from the text of the requirements that it was installed from.

    Where several files are allowed, nobody knows afterwards which of them it was, and none is told.
    """
    hashes = {}
    for line in requirements.splitlines():
        allowed = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
        if len(allowed) == 1:
            hashes[canonical(re.match(r"[\w.-]+", line).group())] = allowed[0]
    return hashes


def bill_of_materials(description, licences, hashes, tools):
    """What an environment is made of.

    Parameters
    ----------
    description : dict
        ``id``, ``lock``, ``python`` and ``packages``, as in ``environment.json``.
    licences : dict
        SPDX expression by package, of those that declare one.
    hashes : dict
        SHA-256 of the wheel by package, of those for which it is known.
    tools : list of (str, str, str)
        Name and version of what built the environment and checks configuration in it, and SHA-256 of its wheel.

    Returns
    -------
    dict
        The document. It has no time, and its serial number follows from its content: the same environment gives the same.
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
                "properties": [{"name": "daskops:lock:sha256", "value": description["lock"]}],
            },
        },
        "components": [
            {
                "type": "platform",
                "name": "python",
                "version": description["python"],
                "purl": f"pkg:generic/python@{quote(description['python'])}",
            },
            *(
                _package("library", name, version, hashes.get(canonical(name)), licences.get(name))
                for name, version in sorted(description["packages"].items())
            ),
        ],
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:daskops:{content}").urn}


def _package(kind, name, version, sha256=None, licence=None):
    return {
        "type": kind,
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{canonical(name)}@{quote(version)}",
        **({"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 else {}),
        **({"licenses": [{"expression": licence}]} if licence else {}),
    }
