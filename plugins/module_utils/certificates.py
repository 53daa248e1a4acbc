# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates on a host, and those that its services have loaded."""

from __future__ import annotations

import hashlib
import re
import ssl

CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprints(bundle):
    """SHA-256 of each certificate in a text, such as that of ``ca.pem``."""
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in CERTIFICATE.findall(bundle)]


def digest(*texts):
    """What a service that has loaded these texts says of them; ``daskops_runtime.certificates`` counts the same."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def loaded_certificates(module):
    """What the services that run have loaded, of those that have certificates and say so.

    Parameters
    ----------
    module : AnsibleModule
        Runs the command.

    Returns
    -------
    dict
        Digest by unit, as each service tells it to systemd in its status.
    """
    units = ["dask-scheduler.service", "dask-worker@*.service"]
    output = module.run_command(["systemctl", "show", "--property=Id,ActiveState,StatusText", *units])[1]
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines()) for block in output.strip().split("\n\n") if block
    ]
    found = {
        block["Id"]: re.search(r"certificates ([0-9a-f]{12})", block.get("StatusText", ""))
        for block in blocks
        if block.get("ActiveState") == "active"
    }
    return {unit: match.group(1) for unit, match in found.items() if match}
