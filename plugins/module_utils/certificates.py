# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates on a host, and those that its services have loaded."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import ssl

from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Bytes of a file of certificates.
LIMIT = 4 * 1024**2

CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprints(bundle):
    """SHA-256 of each certificate in a text, such as that of ``ca.pem``."""
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in CERTIFICATE.findall(bundle)]


def digest(*texts):
    """What a service that has loaded these texts says of them; ``daskops_runtime.certificates`` counts the same."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def installed_files(directory):
    """Digest, mode and owner of each file in a directory of certificates, by name."""
    files = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        path = os.path.join(directory, name)
        about = os.stat(path)
        try:  # the services' user owns keys, and could write anything to them
            content = digest(read_text(path, LIMIT))
        except (OSError, ValueError):
            content = ""
        files[name] = [content, about.st_mode & 0o777, owner(about.st_uid)]
    return files


def owner(uid):
    """The name of a user, or the number of one that is gone."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def wanted_files(authorities, certificates, user):
    """What `installed_files` tells once ``authorities`` and ``certificates``, texts by kind, are installed."""
    files = {f"{kind}.pem": [digest(content), 0o400, user] for kind, content in certificates.items()}
    return {"ca.pem": [digest(authorities), 0o644, "root"], **files}


def stale_services(loaded, authorities, certificates):
    """The services that have other certificates than these, as `loaded_certificates` tells, and what they are to have.

    One of a kind that the host is no longer to have is stopped later, and left out.
    """
    current = {kind: digest(authorities, content) for kind, content in certificates.items()}
    wanted = {unit: current[kind_of(unit)] for unit in loaded if kind_of(unit) in current}
    return {unit: wanted[unit] for unit in wanted if loaded[unit] != wanted[unit]}


def loaded_certificates(states):
    """What the services that run have loaded, of those that have certificates and say so in their status.

    Parameters
    ----------
    states : dict of dict
        What `shown_services` tells.

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
