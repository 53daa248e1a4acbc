# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates of a cluster, as they lie in a directory of the controller.

``ca.pem`` is the authority that signs, ``previous-ca.pem`` one that is still trusted, and ``cross-ca.pem`` says in the
latter's name that the former may be trusted; each name has ``NAME.pem`` and ``NAME.key``. Where the collection makes them,
``ca.key`` is there too.
"""

from __future__ import annotations

import datetime
import os

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import fingerprints
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

#: Who has a certificate: the scheduler, all workers, all clients.
NAMES = ("scheduler", "worker", "client")


class Unusable(Exception):
    """A file that is no certificate, or no key that goes with one; the message says which and why."""


def read(path):
    """The text of a file, empty where it does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Directory:
    """The directory, and what it holds."""

    def __init__(self, path):
        self.path = os.path.expanduser(path)

    def file(self, name):
        return os.path.join(self.path, name)

    def has(self, name):
        return os.path.exists(self.file(name))

    def certificates(self, name):
        """The certificates in ``NAME.pem``, a chain or a bundle; none where the file does not exist."""
        text = read(self.file(f"{name}.pem"))
        try:
            return x509.load_pem_x509_certificates(text.encode()) if text else []
        except ValueError as error:
            raise Unusable(f"{self.file(name)}.pem holds no certificate ({error})") from None

    def bundle(self, name):
        """All that a server needs to show who it is, in one text, so that it never finds a key and another's certificate.

        It begins with when that expires. Then come the certificate, that of the authority by the one before, if there is
        one, and the key.
        """
        parts = [read(self.file(file)) for file in (f"{name}.pem", "cross-ca.pem", f"{name}.key")]
        return f"expires {self.expires(name)}\n" + "".join(parts)

    def trusted(self):
        """The text that every member of the cluster trusts: the authority, and the one before as long as it is there."""
        return read(self.file("ca.pem")) + read(self.file("previous-ca.pem"))

    def check(self, name):
        """Say what keeps the certificate of this name from use; empty if nothing does.

        It must be signed by an authority that is trusted, and its key must be there.
        """
        chain = self.certificates(name)
        key = read(self.file(f"{name}.key"))
        if not chain or not key:
            return f"{self.file(name)}.{'key' if chain else 'pem'} does not exist"
        try:
            public = load_pem_private_key(key.encode(), password=None).public_key()
        except (TypeError, ValueError) as error:
            return f"{self.file(name)}.key cannot be read: a private key without passphrase is needed ({error})"
        if encoded(public) != encoded(chain[0].public_key()):
            return f"{self.file(name)}.key is not the key of {name}.pem"
        if not any(issued(chain[0], issuer) for issuer in self.issuers() + chain[1:]):
            return f"{self.file(name)}.pem is not signed by the authority in ca.pem"
        return ""

    def issuers(self):
        return self.certificates("ca") + self.certificates("previous-ca")

    def expires(self, name):
        """When the certificate of this name expires, in seconds since the epoch."""
        return int(self.certificates(name)[0].not_valid_after_utc.timestamp())

    def hosts(self, name):
        """The host names and addresses that the certificate of this name is for."""
        try:
            found = self.certificates(name)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return set()
        return {
            *found.get_values_for_type(x509.DNSName),
            *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
        }


def encoded(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def issued(certificate, issuer):
    """Whether one certificate is signed by the other."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def plan(directory, made, hosts, authorities, rotation="", joins=False):
    """What is to be made in the directory, and what speaks against it.

    Parameters
    ----------
    directory : str
        Path of the directory.
    made : bool
        Whether the collection makes the certificates; if not, they are somebody's own and must be there.
    hosts : list of str
        Names and addresses that the scheduler's certificate must be for.
    authorities : dict
        Fingerprints of the authorities that a host trusts, by host.
    joins : bool
        Whether the scheduler is somebody else's, and so is the authority.
    rotation : str
        ``authority`` for a new authority, ``certificates`` for new certificates, ``finish`` for the end of trust in the
        previous authority; empty for what is missing.

    Returns
    -------
    tuple of (dict, list of str)
        ``authority`` (bool) and ``certificates`` (names) tell what to make. And what speaks against it.
    """
    directory = Directory(directory)
    nothing = {"authority": False, "certificates": []}
    if joins and made:
        return nothing, [
            f"The scheduler is somebody else's, and so must be the certificates of workers that join it: put them into "
            f"{directory.path} and set dask_tls_certificates to own. Where that scheduler does not encrypt, set dask_tls to "
            "false."
        ]
    names = NAMES[1:] if joins else NAMES
    try:
        faults = {name: fault for name in names if (fault := directory.check(name))}
        authority = directory.certificates("ca")
    except Unusable as error:
        return nothing, [f"{error}. Put it right, or move {directory.path} away to have certificates made."]
    if not made:
        remedy = "Put it right, or leave dask_tls_certificates at its default to have certificates made."
        problems = [f"{fault}. {remedy}" for fault in faults.values()] + expired(directory, set(names) - set(faults))
        if "localhost" in hosts and "scheduler" not in faults and "localhost" not in directory.hosts("scheduler"):
            problems.append(
                f"{directory.file('scheduler')}.pem is not for the name localhost, as which the proxy asks the dashboard. "
                "Add that name to it, or set dask_dashboard_proxy to false."
            )
        return nothing, problems
    if bool(authority) != directory.has("ca.key"):
        there, missing = ("ca.pem", "ca.key") if authority else ("ca.key", "ca.pem")
        return nothing, [
            f"{directory.file(missing)} does not exist, but {there} does. Bring it back from wherever you keep a copy. "
            "Where the certificates are your own, set dask_tls_certificates to own."
        ]
    known = set(fingerprints(directory.trusted()))
    strange = sorted(host for host, trusted in authorities.items() if trusted and not known & set(trusted))
    if strange:
        return nothing, [
            f"{', '.join(strange)}: the authority in {directory.path} is not the one that the host trusts. Set "
            "dask_tls_directory to the directory that the cluster was made with. If that is lost, run remove.yml first."
        ]
    # A run that was to make a new one has got no further than to set the old one aside.
    halfway = bool(authority) and authority == directory.certificates("previous-ca")
    if rotation == "authority":
        # One that was made before is gone on with: its certificates are still to be made.
        begun = directory.has("previous-ca.pem") and any(
            not issued(directory.certificates(name)[0], authority[0]) for name in NAMES if name not in faults
        )
        return {**nothing, "authority": halfway or not begun}, []
    if rotation == "finish":
        late = [
            name for name in NAMES if name not in faults and not issued(directory.certificates(name)[0], authority[0])
        ]
        return nothing, [
            f"{directory.file(name)}.pem is signed by the previous authority. Run rotate_certificates.yml with "
            "dask_tls_rotation=authority first."
            for name in late
        ]
    wanted = set(NAMES) if rotation == "certificates" or not authority else set(faults)
    if not wanted & {"scheduler"} and not set(hosts) <= directory.hosts("scheduler"):
        wanted.add("scheduler")
    problems = [] if rotation else expired(directory, set(NAMES) - wanted)
    return {"authority": halfway or not authority, "certificates": sorted(wanted)}, problems


def expired(directory, names):
    now = datetime.datetime.now(tz=datetime.timezone.utc).timestamp()
    return [
        f"{directory.file(name)}.pem has expired. Run rotate_certificates.yml, or, where it is your own, replace it."
        for name in sorted(names)
        if directory.expires(name) < now
    ]
