# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that are installed on a host, and the certificates that its services have loaded.

The files of services belong to the services' account, which could write anything into them.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.accounts import in_child
from ansible_collections.daskops.cluster.plugins.module_utils.units import kind_of
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Largest file of certificates that is read, in bytes.
LIMIT = 4 * 1024**2

#: Longest text of public certificates that a host reports, in characters. A certificate that the collection made has 800.
PUBLIC_LIMIT = 16_000

CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

#: A certificate with nothing but base64 inside, as hosts report it, and the first line of a service's file.
PLAIN_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\n")
EXPIRES = re.compile(r"expires \d{1,12}\n")

#: Seconds for loading a key. An encrypted key says itself how many rounds its password takes, which could be hours.
KEY_TIMEOUT = 5.0

#: Kinds of services, whose files are ``KIND.pem``.
KINDS = ("scheduler", "worker")


def fingerprints(bundle: str) -> list[str]:
    """Return the SHA-256 of each certificate in a PEM text, such as the content of ``ca.pem``."""
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in CERTIFICATE.findall(bundle)]


def only_certificates(text: str) -> str:
    """Return the certificates in a PEM text, without keys and comments."""
    return "".join(f"{block}\n" for block in CERTIFICATE.findall(text))


def digest(*texts: str) -> str:
    """Return a digest of texts. For the same texts, `daskops_runtime.certificates` in a service reports the same digest."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def installed_files(directory: str) -> dict[str, list[Any]]:
    """Return digest, mode and owner of each file in a directory of certificates, by name."""
    files = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        about = os.stat(os.path.join(directory, name))
        text = installed_text(directory, name)
        files[name] = ["" if text is None else digest(text), about.st_mode & 0o777, owner(about.st_uid)]
    return files


def installed_text(directory: str, name: str) -> str | None:
    """Return the text of a file in a directory of certificates; None if it cannot be read or is too long."""
    try:
        return read_text(os.path.join(directory, name), LIMIT)
    except (OSError, ValueError):
        return None


def installed_digests(directory: str) -> dict[str, str]:
    """Return the digest that services with the installed files would report, by their kind."""
    authorities = installed_text(directory, "ca.pem")
    texts = {kind: installed_text(directory, f"{kind}.pem") for kind in KINDS}
    return {
        kind: digest(authorities, text) for kind, text in texts.items() if authorities is not None and text is not None
    }


def public_certificates(directory: str) -> dict[str, str]:
    """Return the certificates in ``ca.pem`` and in the files of services, without keys, by the file's name without ``.pem``.

    A service's text begins with the first line of its file, which has the expiry. A file is left out if it is too long, or
    if its key is encrypted or does not belong to its certificate.
    """
    found = {}
    for name in ("ca", *KINDS):
        text = installed_text(directory, f"{name}.pem")
        blocks = PLAIN_CERTIFICATE.findall(text) if text and len(text) <= PUBLIC_LIMIT else []
        if text and blocks and (name == "ca" or _key_fits(os.path.join(directory, f"{name}.pem"), text)):
            first = EXPIRES.match(text) if name != "ca" else None
            found[name] = (first[0] if first else "") + "".join(blocks)
    return found


def _key_fits(path: str, text: str) -> bool:
    """Return whether TLS can use the certificate and the key in a file with this text."""

    def load() -> None:
        # Without a password, OpenSSL would prompt for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password="")

    if "ENCRYPTED" in text:  # also the form "Proc-Type: 4,ENCRYPTED"
        return False
    try:
        in_child(load, KEY_TIMEOUT)  # OpenSSL reads the file again, which may have another key by now
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def owner(uid: int) -> str:
    """Return the name of a user; the number if the user no longer exists."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def wanted_files(
    authorities: str,
    certificates: Mapping[str, str],
    user: str,
    kept: Iterable[str] = (),
    installed: Mapping[str, list[Any]] | None = None,
) -> dict[str, list[Any]]:
    """Return the result of `installed_files` after ``authorities`` and ``certificates`` (text by kind) are installed.

    The files of ``kept`` (kinds of services) stay as they are in ``installed``.
    """
    files = {f"{kind}.pem": [digest(content), 0o400, user] for kind, content in certificates.items()}
    names = [f"{kind}.pem" for kind in kept]
    files.update({name: installed[name] for name in names if installed and name in installed})
    return {"ca.pem": [digest(authorities), 0o644, "root"], **files}


def stale_services(loaded: Mapping[str, str], current: Mapping[str, str]) -> dict[str, str]:
    """Return the services that must reload, with the digest of the certificates that they should load.

    ``loaded`` is the result of `loaded_certificates`, and ``current`` has the digest by kind of service. Services of other
    kinds are left out, because the run stops them later.
    """
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
