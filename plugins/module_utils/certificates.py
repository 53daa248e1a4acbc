# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that are installed on a host, and the certificates that its services have loaded."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import ssl
from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Largest file of certificates that is read, in bytes.
LIMIT = 4 * 1024**2

CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprints(bundle: str) -> list[str]:
    """Return the SHA-256 of each certificate in a PEM text, such as the content of ``ca.pem``."""
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in CERTIFICATE.findall(bundle)]


def digest(*texts: str) -> str:
    """Return a digest of texts. For the same texts, `daskops_runtime.certificates` in a service reports the same digest."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def installed_files(directory: str) -> dict[str, list[Any]]:
    """Return digest, mode and owner of each file in a directory of certificates, by name."""
    files = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        path = os.path.join(directory, name)
        about = os.stat(path)
        try:  # the services' account owns these files and could write anything into them
            content = digest(read_text(path, LIMIT))
        except (OSError, ValueError):
            content = ""
        files[name] = [content, about.st_mode & 0o777, owner(about.st_uid)]
    return files


def owner(uid: int) -> str:
    """Return the name of a user; the number if the user no longer exists."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def wanted_files(authorities: str, certificates: Mapping[str, str], user: str) -> dict[str, list[Any]]:
    """Return the result of `installed_files` after ``authorities`` and ``certificates`` (text by kind) are installed."""
    files = {f"{kind}.pem": [digest(content), 0o400, user] for kind, content in certificates.items()}
    return {"ca.pem": [digest(authorities), 0o644, "root"], **files}


def stale_services(loaded: Mapping[str, str], authorities: str, certificates: Mapping[str, str]) -> dict[str, str]:
    """Return the services that must reload, with the digest of the certificates that they should load.

    ``loaded`` is the result of `loaded_certificates`, and ``certificates`` has the PEM text by kind of service. Services of
    other kinds are left out, because the run stops them later.
    """
    current = {kind: digest(authorities, content) for kind, content in certificates.items()}
    wanted = {unit: current[kind_of(unit)] for unit in loaded if kind_of(unit) in current}
    return {unit: wanted[unit] for unit in wanted if loaded[unit] != wanted[unit]}


def loaded_certificates(states: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the digest of the certificates that each active service has loaded, if its status reports one.

    Parameters
    ----------
    states : dict of dict
        Result of `shown_services`.

    Returns
    -------
    dict
        Digest by unit.
    """
    found = {
        unit: re.search(r"certificates ([0-9a-f]{12})", state.get("StatusText", ""))
        for unit, state in states.items()
        if state.get("ActiveState") == "active"
    }
    return {unit: match.group(1) for unit, match in found.items() if match}
