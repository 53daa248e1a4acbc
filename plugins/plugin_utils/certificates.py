# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan and make the certificates of a cluster in a directory of the controller.

``ca.pem`` is the CA that signs. ``previous-ca.pem`` is a previous CA that is still trusted, and ``cross-ca.pem`` is a
certificate of the CA that the previous CA has signed. Each certificate has the files ``NAME.pem`` and ``NAME.key``. If the
collection makes the certificates, there is also ``ca.key``, and each worker host has its own certificate below ``workers``.
The variable ``dask_tls_files`` can have the text of any of these files instead.

Works with cryptography 3.4, which Ubuntu 22.04 has, and newer.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import ipaddress
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    CERTIFICATE,
    digest,
    fingerprints,
    only_certificates,
    stale_services,
    wanted_files,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import certain_difference, readable
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import (
    AUTHORITY,
    VARIABLE,
    authority_is_given,
    given_files,
    wrong_files,
)

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    MISSING = ""
except ImportError as import_error:
    MISSING = str(import_error)

DAY = 86400

#: Number of days for which a CA is valid.
CA_DAYS = 3650

#: Prefixes of the common name of a CA that the collection made.
CA_NAME = "dask CA of"
CA_NAMES = (CA_NAME, "dask authority of")

#: Seconds to wait while another run makes certificates in the same directory.
PATIENCE = 60

#: Names in the directory: the lock, files that are being written, and complete files that still have to be moved.
LOCK, NEW, READY = ".lock", ".new", ".ready"

HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


class Unusable(Exception):
    """A file of the directory cannot be used. The message has the file, the reason and the remedy."""


def has_certificates(
    state: Mapping[str, Any],
    authorities: str,
    certificates: Mapping[str, str],
    user: str,
    kept: Collection[str] = (),
) -> bool:
    """Return whether a host has these certificates and its services have loaded them.

    Parameters
    ----------
    state : dict
        The value ``certificates`` of the result of `host_info`.
    authorities : str
        Certificates of the trusted CAs, in PEM format.
    certificates : dict of str
        Certificate and key by kind of service, in PEM format.
    user : str
        Account that the services run as.
    kept : collection of str
        Kinds of services whose certificates the host keeps.
    """
    if state["installed"] != wanted_files(authorities, certificates, user, kept, state["installed"]):
        return False
    current = {kind: digest(authorities, text) for kind, text in certificates.items()}
    current.update({kind: state["current"].get(kind, "") for kind in kept})
    return not stale_services(state["loaded"], current)


def worker_name(host: str) -> str:
    """Return the name of the certificate that the collection makes for a worker host."""
    return f"workers/{quote(host, safe='')}"


def described(error: BaseException) -> str:
    """Return the text of an error of the operating system, without its number and path."""
    return getattr(error, "strerror", None) or str(error)


class Directory:
    """A directory of certificates and keys on the controller.

    Parameters
    ----------
    path : str
        Path of the directory.
    given : dict of str, optional
        Value of ``dask_tls_files``. Its texts replace files of the directory.
    """

    replace = "Replace it. If the collection made it, remove it, and the next run makes a new one."

    def __init__(self, path: str, given: Mapping[str, Any] | None = None) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        problems = list(wrong_files(dict(given or {})))
        if problems:
            raise Unusable("\n".join(map(str, problems)))
        self.given = given_files(given or {})
        #: Certificates that hosts have and keep, by file name. Their keys are only on the hosts.
        self.kept: dict[str, str] = {}
        #: Text by file name that `commit` writes. The methods below use it as if it were on the disk.
        self.staged: dict[str, str] = {}
        #: Text by file name, of files that were read.
        self.texts: dict[str, str] = {}
        #: Certificates by text.
        self.parsed: dict[str, list[x509.Certificate]] = {}
        if MISSING:
            raise Unusable(
                f"The controller's Python cannot import cryptography ({MISSING}), which is needed for certificates. "
                "Install the package cryptography, 3.4 or newer, for the Python that runs Ansible."
            )

    def file(self, name: str) -> str:
        """Return the path of a file, or of its complete new version that an interrupted run has not moved."""
        ready = os.path.join(self.path, READY, name)
        return ready if os.path.lexists(ready) else os.path.join(self.path, name)

    def interrupted(self) -> bool:
        """Return whether an interrupted run left complete files that still have to be moved."""
        return os.path.isdir(os.path.join(self.path, READY))

    def shown(self, name: str) -> str:
        """Return the path of a file, or its name in the variable, for messages."""
        return f"{VARIABLE}['{name}']" if name in self.given else os.path.join(self.path, name)

    @property
    def authority_is_given(self) -> bool:
        """Whether the CA comes from the variable, so that the collection cannot replace it."""
        return authority_is_given(self.given)

    def is_given(self, name: str) -> bool:
        """Return whether a certificate or its key comes from the variable, so that the collection cannot replace it."""
        return f"{name}.pem" in self.given or f"{name}.key" in self.given

    def read(self, name: str) -> str:
        """Return the text of a file; empty if it does not exist."""
        for texts in (self.staged, self.given, self.kept):
            if name in texts:
                return texts[name]
        if name in AUTHORITY and "ca.pem" in self.given:
            return ""  # files of another CA, which this directory had before
        if name not in self.texts:
            self.texts[name] = self._read(name)
        return self.texts[name]

    def _read(self, name: str) -> str:
        try:
            if not stat.S_ISREG(os.stat(self.file(name)).st_mode):
                raise Unusable(f"{self.shown(name)} is not a file. {self.replace}")
            with open(self.file(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            raise Unusable(
                f"{self.shown(name)} is not a text file. Convert it to PEM, for example with openssl x509 -inform DER."
            ) from None
        except OSError as error:
            raise Unusable(
                f"{self.shown(name)} cannot be read: {described(error)}. Let the account that runs Ansible read it."
            ) from None

    def has(self, name: str) -> bool:
        """Return whether a file exists and is not empty."""
        return bool(self.read(name))

    def certificates(self, name: str) -> list[x509.Certificate]:
        """Return the certificates in ``NAME.pem``, which may be several; none if the file does not exist."""
        text = self.read(f"{name}.pem")
        if name in ("ca", "previous-ca") and "PRIVATE KEY" in text:
            raise Unusable(
                f"{self.shown(f'{name}.pem')} contains a private key, and every account of a host can read the file. "
                "Move the key to ca.key."
            )
        if text in self.parsed:
            return self.parsed[text]
        try:
            found = [x509.load_pem_x509_certificate(block.encode()) for block in CERTIFICATE.findall(text)]
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise Unusable(
                f"{self.shown(f'{name}.pem')} contains a certificate that cannot be read ({error}). {self.replace}"
            ) from None
        if text and not found:
            raise Unusable(f"{self.shown(f'{name}.pem')} contains no certificate in PEM format. {self.replace}")
        self.parsed[text] = found
        return found

    def key(self, name: str) -> Any:
        """Return the private key in ``NAME.key``."""
        try:
            return load_pem_private_key(self.read(f"{name}.key").encode(), password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            needed = "A private key in PEM format without a passphrase is needed"
            raise Unusable(f"{self.shown(f'{name}.key')} cannot be used ({error}). {needed}. {self.replace}") from None

    def bundle(self, name: str) -> str:
        """Return the text of the file with a certificate and its key for a host.

        One file contains both, so that a certificate is never used with the key of another one. The first line has the time
        when the certificate expires. The certificate, the cross-signed CA certificate if there is one, and the key follow.
        """
        parts = [self.read(file) for file in (f"{name}.pem", "cross-ca.pem", f"{name}.key")]
        return f"expires {self.expires(name)}\n" + "".join(part.rstrip("\n") + "\n" for part in parts if part)

    def trusted(self) -> str:
        """Return the CA certificates that every host of the cluster trusts, in PEM format: the CA and any previous CA."""
        return only_certificates(self.read("ca.pem") + self.read("previous-ca.pem"))

    def issuers(self) -> list[x509.Certificate]:
        """Return the certificates of the trusted CAs."""
        return self.certificates("ca") + self.certificates("previous-ca")

    @property
    def is_reissued(self) -> bool:
        """Whether the CA replaced one whose key was lost. Such a previous CA could not sign the new one."""
        return self.has("previous-ca.pem") and not self.has("cross-ca.pem") and not self.authority_is_given

    def name_for(self, kind: str, host: str, made: bool) -> str:
        """Return the name of the certificate of a host's services. Without ``made``, worker hosts may share one."""
        if kind == "worker" and (made or self.has(f"{worker_name(host)}.pem")):
            return worker_name(host)
        return kind

    def missing(self, name: str) -> str:
        """Return a sentence if the certificate or its key does not exist, else an empty string."""
        files = [file for file in (f"{name}.pem", f"{name}.key") if not self.has(file)]
        return f"{self.shown(files[0])} does not exist" if files else ""

    def matches(self, name: str) -> bool:
        """Return whether ``NAME.key`` is the key of ``NAME.pem``."""
        return encoded(self.key(name).public_key()) == encoded(self.certificates(name)[0].public_key())

    def check(self, name: str) -> str:
        """Return why a certificate that the collection made cannot be used; empty if it can."""
        if self.missing(name):
            return "missing"
        if not self.matches(name):
            return "not made for its .key"
        if not any(issued(self.certificates(name)[0], issuer) for issuer in self.issuers()):
            return "not signed by the CA in ca.pem"
        return ""

    def expires(self, name: str) -> int:
        """Return the time when a certificate expires, in seconds since the epoch."""
        return int(moment(self.certificates(name)[0], "not_valid_after"))

    def begins(self, name: str) -> int:
        """Return the time from which a certificate is valid, in seconds since the epoch."""
        return int(moment(self.certificates(name)[0], "not_valid_before"))

    def hosts(self, name: str) -> set[str]:
        """Return the host names and addresses in a certificate."""
        try:
            found = self.certificates(name)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return set()
        return {
            *(name.lower() for name in found.get_values_for_type(x509.DNSName)),
            *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
        }

    @contextlib.contextmanager
    def locked(self, write: bool, patience: float = PATIENCE) -> Iterator[None]:
        """Prevent other runs from writing in a ``with`` block. Reading a read-only directory needs no lock."""
        try:
            if write:
                os.makedirs(self.path, 0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if write else 0)
            lock = os.open(os.path.join(self.path, LOCK), flags, 0o600)
        except OSError as error:
            if write:
                raise Unusable(self.not_written(error)) from None
            yield
            return
        try:
            self._wait(lock, fcntl.LOCK_EX if write else fcntl.LOCK_SH, patience)
            self.texts = {}
            if write:
                os.truncate(lock, 0)
                os.write(lock, f"process {os.getpid()} on {socket.gethostname()}".encode())
                try:
                    self._complete()
                except OSError as error:
                    raise Unusable(self.not_written(error)) from None
            yield
        finally:
            os.close(lock)

    def _wait(self, lock: int, kind: int, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.pread(lock, 200, 0).decode(errors="replace") or "another process"
                    raise Unusable(
                        f"{self.shown(LOCK)} is locked by {holder}, another run that makes certificates, and was not "
                        f"released within {patience} s. Wait until that run ends, or end it, and run again."
                    ) from None
                time.sleep(0.1)
            except OSError as error:
                raise Unusable(
                    f"{self.shown(LOCK)} cannot be locked: {described(error)}. Set dask_tls_directory to a directory on a "
                    "file system with locks."
                ) from None

    def not_written(self, error: OSError) -> str:
        """Return a sentence about an error that occurred on writing."""
        return (
            f"{self.path} cannot be written to: {described(error)}. Let the account that runs Ansible write there, or set "
            "dask_tls_directory to another directory."
        )

    def commit(self, removed: Iterable[str] = ()) -> None:
        """Write the staged files. After an interruption, either all old files or all new files are in effect."""
        new = os.path.join(self.path, NEW)
        try:
            shutil.rmtree(new, ignore_errors=True)
            for name, text in {".gitignore": "*\n", **self.staged}.items():
                path = os.path.join(new, name)
                os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                    file.write(text)
            os.sync()
            os.rename(new, os.path.join(self.path, READY))
            self._complete()
            for name in removed:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(os.path.join(self.path, name))
        except OSError as error:
            raise Unusable(self.not_written(error)) from None
        self.staged, self.texts = {}, {}

    def _complete(self) -> None:
        """Move complete files to their final names, also those of an interrupted run."""
        ready = os.path.join(self.path, READY)
        for folder, dummy, names in os.walk(ready):
            place = os.path.normpath(os.path.join(self.path, os.path.relpath(folder, ready)))
            os.makedirs(place, 0o700, exist_ok=True)
            for name in names:
                os.replace(os.path.join(folder, name), os.path.join(place, name))
        shutil.rmtree(ready, ignore_errors=True)


def moment(certificate: x509.Certificate, attribute: str) -> float:
    """Return ``not_valid_before`` or ``not_valid_after`` in seconds since the epoch, with any version of cryptography."""
    aware = getattr(
        certificate, f"{attribute}_utc", None
    )  # cryptography 42 added this and deprecated the name without it
    found = aware or getattr(certificate, attribute).replace(tzinfo=datetime.timezone.utc)
    return float(found.timestamp())


def encoded(key: Any) -> bytes:
    """Return a public key in DER format."""
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@functools.lru_cache(maxsize=None)
def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether ``issuer`` signed a certificate. (`verify_directly_issued_by` needs cryptography 40.)"""
    # The methods differ between types of keys. Errors for unsupported types are caught below.
    key: Any = issuer.public_key()
    digest: Any = certificate.signature_hash_algorithm
    signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(digest))
        else:
            key.verify(*signed)
    except (AttributeError, InvalidSignature, TypeError, UnsupportedAlgorithm, ValueError):
        return False
    return certificate.issuer == issuer.subject


def host_names(values: Iterable[object]) -> set[str]:
    """Return the host names and addresses that a certificate can contain, normalized. Omits others."""
    found = set()
    for value in filter(None, values):
        try:
            found.add(str(ipaddress.ip_address(str(value).partition("%")[0])))
        except ValueError:
            with contextlib.suppress(UnicodeError):
                name = str(value).encode("idna").decode().lower()
                if HOST_NAME.fullmatch(name) and len(name) <= 253:
                    found.add(name)
    return found


def exposed(path: str) -> str:
    """Return a sentence about a directory that lets any local user replace a path; empty if there is none."""
    path = os.path.abspath(path)
    for place in dict.fromkeys((path, os.path.realpath(path))):
        while True:
            above = os.path.dirname(place)
            with contextlib.suppress(OSError):  # the directory does not exist, so check its parent next
                about = os.lstat(place)
                if (
                    not stat.S_ISLNK(about.st_mode)
                    and about.st_mode & stat.S_IWOTH
                    and not about.st_mode & stat.S_ISVTX
                ):
                    return f"every local user can write to {place}"
                if os.stat(above).st_mode & stat.S_IWOTH and about.st_uid not in (0, os.geteuid()):
                    return f"{place} belongs to another user, and is in a directory to which every local user can write"
            if above == place:
                break
            place = above
    return ""


def open_keys(directory: Directory, names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence if every local user can read private keys of these names."""
    place, found = directory.path, []
    while os.path.isdir(place) and os.stat(place).st_mode & stat.S_IXOTH and place != "/":
        place = os.path.dirname(place)
    for name in names if place == "/" else []:
        with contextlib.suppress(OSError):  # the key does not exist
            if os.stat(directory.file(f"{name}.key")).st_mode & stat.S_IROTH:
                found.append(f"{name}.key")
    if found:
        yield (
            f"{directory.path}: every local user can read private keys ({', '.join(found[:5])}), and with them use the "
            f"cluster. Run chmod -R go= {directory.path}"
        )


# Plan


def nothing() -> dict[str, Any]:
    """Return a result of `plan` with nothing to make."""
    return {"authority": False, "previous": "", "certificates": {}, "finish": False}


def plan(
    directory: Directory,
    names: Mapping[str, Iterable[object]],
    hosts: Mapping[str, Mapping[str, Any]] | None = None,
    rotation: str = "",
    days: int = 365,
    warn_days: int = 30,
    others: Iterable[str] = (),
    now: float | None = None,
    installed: bool = False,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the certificates that the collection must make in a directory, and the problems that prevent it.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    names : dict
        Host names and addresses that each certificate must contain, by name of the certificate.
    hosts : dict of dict, optional
        ``authorities``, ``clock`` and ``certificates`` (names) of each host.
    rotation : str
        ``authority`` to make a new CA, ``certificates`` to make new certificates, ``finish`` to end the trust in the
        previous CA. Empty to make only certificates that are missing or expire soon.
    days, warn_days : int
        Number of days for which new certificates are valid, and number of days before its expiry when a certificate is
        renewed.
    others : list of str
        Names of certificates of hosts that are not in the run.
    installed : bool
        Whether the run has just installed the CA on all hosts.

    Returns
    -------
    tuple of (dict, list of str, list of str)
        What to make: ``authority`` (bool), ``previous`` (the previous CA, if its key is lost), ``certificates`` (reason by
        name) and ``finish`` (bool). Then the problems and the warnings.
    """
    now = time.time() if now is None else now
    hosts = hosts or {}
    if days <= warn_days:
        return nothing(), [
            f"dask_tls_days is {days}, and dask_tls_warn_days is {warn_days}, so every run would renew the certificates. "
            "Set dask_tls_days to more than dask_tls_warn_days."
        ], []  # fmt: skip
    if exposed(directory.path):
        return nothing(), [
            f"{directory.path} is not safe for keys: {exposed(directory.path)}. Remove that permission, or set "
            "dask_tls_directory to a directory of your own."
        ], []  # fmt: skip
    problem = ca_problem(directory, now)
    authorities = {host: about["authorities"] for host, about in hosts.items() if about.get("authorities")}
    problem = problem or unknown_authority(directory, authorities) or cannot_rotate(directory, rotation)
    problem = problem or ("" if installed else interrupted_reissue(directory))
    if problem:
        return nothing(), [problem], []

    ca, previous = directory.certificates("ca"), directory.certificates("previous-ca")
    wanted, warnings = nothing(), list(open_keys(directory, ["ca", *names]))
    late = [
        name
        for name in [*names, *others]
        if directory.certificates(name) and ca and not issued(directory.certificates(name)[0], ca[0])
    ]
    if rotation == "finish":
        problems = [
            f"{directory.shown(f'{name}.pem')} is signed by the previous CA. Run rotate_certificates.yml with "
            "dask_tls_rotation=authority first, for all hosts."
            for name in late
        ]
        # A reissue leaves out hosts in maintenance, which then trust only the previous CA.
        problems.extend(
            f"{directory.shown(f'{name}.pem')} does not exist, so its host may trust only the previous CA. Run site.yml for "
            "that host first, or remove it from the inventory."
            for name in [*names, *others]
            if directory.is_reissued and not directory.certificates(name)
        )
        return {**wanted, "finish": not problems and directory.has("previous-ca.pem")}, problems, []
    if rotation == "authority":
        # Continue an interrupted rotation, which made the new CA but not yet all certificates.
        return {**wanted, "authority": not (previous and late)}, [], []
    if not ca:
        wanted["authority"] = True
    elif directory.authority_is_given:
        warnings.extend(given_authority_ends(directory, warn_days, now))
    elif directory.expires("ca") - now <= 2 * warn_days * DAY:
        # Renew the CA twice as early as a certificate, so that it does not expire before its certificates.
        if made_here(ca[0]):
            wanted["authority"] = True
            warnings.append(
                f"{directory.shown('ca.pem')} expires on {date(directory.expires('ca'))}, so the run makes a new CA. "
                "Install it outside the cluster before that date: run client.yml, and copy the new ca.pem to where "
                "Prometheus and browsers trust the old one."
            )
        else:
            warnings.append(
                f"{directory.shown('ca.pem')} expires on {date(directory.expires('ca'))}. The collection did not make it. "
                "Replace it, or let rotate_certificates.yml -e dask_tls_rotation=authority make a new CA."
            )
    problems = []
    for name, needed in names.items():
        if directory.is_given(name):
            found = given_certificate(directory, name, needed, rotation, warn_days, now)
            problems.extend(found[0])
            warnings.extend(found[1])
            continue
        reason = renewal_reason(directory, name, needed, rotation, warn_days, now) if ca else "missing"
        if reason:
            wanted["certificates"][name] = reason
    wanted["finish"] = (
        bool(previous)
        and not late
        and not wanted["authority"]
        and not directory.authority_is_given
        and max(moment(certificate, "not_valid_after") for certificate in previous) < now
    )
    if problems:
        return nothing(), problems, warnings
    return (
        wanted,
        list(clock_problems(directory, hosts, now, {name: days for name in wanted["certificates"]})),
        warnings,
    )


def ca_problem(directory: Directory, now: float) -> str:
    """Return why the collection cannot sign with the CA in the directory; empty if it can, or if there is no CA."""
    there = [name for name in ("ca.pem", "ca.key") if directory.has(name)]
    if not there:
        return ""
    if len(there) == 1:
        (missing,) = {"ca.pem", "ca.key"} - set(there)
        if there[0] in directory.given:
            return (
                f"{directory.shown(there[0])} is set, but {missing} is neither there nor in {directory.path}. Add it to "
                "dask_tls_files."
            )
        lost = " If it is lost, run rotate_certificates.yml -e dask_tls_rotation=reissue, which makes a new CA."
        return (
            f"{directory.shown(missing)} does not exist, but {there[0]} does. Restore it from your copy. If the "
            f"certificates are your own, set dask_tls_certificates to own.{lost if missing == 'ca.key' else ''}"
        )
    if not directory.matches("ca"):
        return f"{directory.shown('ca.key')} is not the key of ca.pem. Restore both from your copy."
    if not is_ca(directory.certificates("ca")[0]):
        return (
            f"{directory.shown('ca.pem')} is not the certificate of a CA (basic constraints without CA:TRUE). Restore it "
            "from your copy."
        )
    if directory.begins("ca") > now:
        return (
            f"{directory.shown('ca.pem')} is not valid before {date(directory.begins('ca'))}, which is in the future. "
            "Correct the controller's clock."
        )
    return ""


def unknown_authority(directory: Directory, authorities: Mapping[str, Iterable[str]]) -> str:
    """Return a sentence if hosts trust a CA that is not in the directory. ``authorities`` has fingerprints by host."""
    known = set(fingerprints(directory.trusted()))
    strange = sorted(host for host, trusted in authorities.items() if trusted and not known & set(trusted))
    if not strange:
        return ""
    if directory.authority_is_given:
        return (
            f"{', '.join(strange)}: the host trusts another CA than {directory.shown('ca.pem')}. Set dask_tls_files to the "
            "files of this cluster. To change the CA, also give the present one as previous-ca.pem."
        )
    has = "has no CA" if os.path.isdir(directory.path) else "does not exist"
    if directory.has("ca.pem"):
        has = "has another CA"
    return (
        f"{', '.join(strange)}: the host trusts the CA of an existing cluster, but {directory.path} {has}. Do one of these: "
        "correct dask_tls_directory; copy the directory from the controller that made the certificates; set dask_tls_files "
        "to its files; or, if it is lost, run rotate_certificates.yml -e dask_tls_rotation=reissue, which makes a new CA "
        "and certificates in an empty directory, while the cluster works."
    )


def cannot_rotate(directory: Directory, rotation: str) -> str:
    """Return why the collection cannot replace the CA or end a rotation; empty if it can."""
    if not directory.authority_is_given or rotation in ("", "certificates"):
        return ""
    return (
        f"dask_tls_rotation is {rotation}, but the CA is in dask_tls_files, so the collection does not replace it. Give the "
        "new CA as ca.pem and ca.key and the present one as previous-ca.pem, and run site.yml, rotate_certificates.yml and "
        "client.yml. Then remove previous-ca.pem, and run site.yml."
    )


def interrupted_reissue(directory: Directory) -> str:
    """Return a sentence if a CA was reissued, but no certificate yet, so that some hosts may not trust the new CA."""
    ca, client = directory.certificates("ca"), directory.certificates("client")
    if not directory.is_reissued or (ca and client and issued(client[0], ca[0])):
        return ""
    return (
        f"{directory.path} has a new CA that may not be on all hosts, because rotate_certificates.yml was interrupted. Run "
        "it again with -e dask_tls_rotation=reissue, which completes it."
    )


def given_authority_ends(directory: Directory, warn_days: int, now: float) -> Iterator[str]:
    """Yield a warning if the CA in ``dask_tls_files`` expires soon."""
    if directory.expires("ca") - now <= 2 * warn_days * DAY:
        yield (
            f"{directory.shown('ca.pem')} expires on {date(directory.expires('ca'))}. Before that, give a new CA as ca.pem "
            "and ca.key and this one as previous-ca.pem, and run site.yml, rotate_certificates.yml and client.yml."
        )


def given_certificate(
    directory: Directory, name: str, needed: Iterable[object], rotation: str, warn_days: int, now: float
) -> tuple[list[str], list[str]]:
    """Return the problems and the warnings of a certificate in ``dask_tls_files``."""
    shown = directory.shown(f"{name}.pem")
    reason = renewal_reason(directory, name, needed, "", 0, now)
    if reason:
        fault = directory.missing(name) or f"{shown} cannot be used: {reason}"
        return [f"{fault}. Replace it, or remove it and its key from dask_tls_files, and the run makes one."], []
    if rotation == "certificates":
        return [], [f"{shown} is not renewed, because it is in dask_tls_files. Replace it there."]
    if directory.expires(name) - now <= warn_days * DAY:
        until = date(directory.expires(name))
        return [], [f"{shown} expires on {until}. Replace it before that in dask_tls_files, and run site.yml."]
    return [], []


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether a certificate belongs to a CA."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def made_here(certificate: x509.Certificate) -> bool:
    """Return whether the collection made a CA."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return certificate.subject == certificate.issuer and any(str(name.value).startswith(CA_NAMES) for name in names)


def renewal_reason(
    directory: Directory, name: str, needed: Iterable[object], rotation: str, warn_days: int, now: float
) -> str:
    """Return the reason why a certificate must be made; empty if there is none."""
    fault = directory.check(name)
    if fault:
        return fault
    return "rotated" if rotation == "certificates" else unsuitable(directory, name, needed, warn_days, now)


def unsuitable(directory: Directory, name: str, needed: Iterable[object], warn_days: int, now: float) -> str:
    """Return why the dates or the names of a certificate do not suit; empty if they do."""
    if directory.expires(name) <= now:
        return f"expired on {date(directory.expires(name))}"
    if directory.expires(name) - now <= warn_days * DAY:
        return f"expires on {date(directory.expires(name))}"
    if directory.begins(name) > now:
        return f"not valid before {date(directory.begins(name))}"
    lacking = host_names(needed) - directory.hosts(name)
    return f"not for {', '.join(sorted(lacking))}" if lacking else ""


def clock_problems(
    directory: Directory,
    hosts: Mapping[str, Mapping[str, Any]],
    now: float,
    made: Mapping[str, int] | None = None,
) -> Iterator[str]:
    """Yield a sentence for each host at whose clock a certificate is not valid.

    ``hosts`` has ``clock`` and ``certificates`` by host. ``made`` has the number of days for which a new certificate is
    valid, by name.
    """
    made = made or {}
    for host, about in hosts.items():
        difference = certain_difference(about.get("clock"))
        if not difference:
            continue
        for name in ("ca", *about.get("certificates", [])):
            if name in made or not directory.certificates(name):
                begins, expires = now - DAY, now + made.get(name, CA_DAYS) * DAY
            else:
                begins, expires = directory.begins(name), directory.expires(name)
            if now + difference < begins or (now + difference > expires and expires > now):
                yield (
                    f"{host}: its clock is {readable(difference)} the controller's, and {name}.pem is valid only from "
                    f"{date(begins)} to {date(expires)}, so the host would reject connections. Synchronize the clock of "
                    "the host or of the controller, for example with chrony or systemd-timesyncd."
                )
                break


def date(seconds: float) -> str:
    """Return a time in seconds since the epoch as text in UTC."""
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


# Make


def make(
    directory: Directory,
    wanted: Mapping[str, Any],
    names: Mapping[str, Iterable[object]],
    days: int,
    now: float | None = None,
) -> None:
    """Make and stage the certificates in a result of `plan`. `Directory.commit` writes them."""
    now = time.time() if now is None else now
    if wanted["authority"]:
        make_ca(directory, now, wanted["previous"])
    ca, ca_key = directory.certificates("ca")[0], directory.key("ca")
    for name in wanted["certificates"]:
        kind = name.partition("/")[0].replace("workers", "worker")
        usages = [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        # Scheduler and workers connect to each other, so they need both usages. A client is never a server.
        if kind != "client":
            usages.append(x509.ExtendedKeyUsageOID.SERVER_AUTH)
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage(usages), False),
            (x509.SubjectAlternativeName(general_names(names[name])), False),
        ]
        end = min(now + days * DAY, moment(ca, "not_valid_after"))
        stage(directory, name, sign(f"dask {kind}", key, ca, ca_key, now, end, extensions), key)


def make_ca(directory: Directory, now: float, previous: str = "") -> None:
    """Make and stage a new CA. The previous CA also signs it, and stays trusted.

    With ``previous``, the certificates of previous CAs whose key is lost, these stay trusted and do not sign.
    """
    before = directory.certificates("ca")
    key, name = ec.generate_private_key(ec.SECP256R1()), f"{CA_NAME} {date(now)} {os.urandom(3).hex()}"
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (key_usage(key_cert_sign=True, crl_sign=True), True),
    ]
    if previous:
        directory.staged["previous-ca.pem"] = previous
        directory.staged["cross-ca.pem"] = ""  # replaces that of an earlier rotation
    elif before:
        directory.staged["previous-ca.pem"] = pem(before[0])
        # Until client.yml runs, clients trust only the previous CA. With the cross-signed CA, they accept new certificates.
        end = max(moment(before[0], "not_valid_after"), now)
        cross = sign(name, key, before[0], directory.key("ca"), now, end, extensions)
        directory.staged["cross-ca.pem"] = pem(cross)
    stage(directory, "ca", sign(name, key, None, key, now, now + CA_DAYS * DAY, extensions), key)


def stage(directory: Directory, name: str, certificate: x509.Certificate, key: Any) -> None:
    """Stage a certificate and its key."""
    form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    directory.staged[f"{name}.pem"] = pem(certificate)
    directory.staged[f"{name}.key"] = key.private_bytes(*form).decode()


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate in PEM format."""
    return certificate.public_bytes(Encoding.PEM).decode()


def common_name(name: str) -> x509.Name:
    """Return a subject with only a common name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def sign(
    name: str,
    key: Any,
    issuer: x509.Certificate | None,
    issuer_key: Any,
    now: float,
    end: float,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    """Return a certificate, self-signed without ``issuer``. It is valid from a day ago, because clocks may be behind."""
    builder = x509.CertificateBuilder().subject_name(common_name(name))
    builder = builder.issuer_name(issuer.subject if issuer else common_name(name))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(datetime.datetime.fromtimestamp(now - DAY, tz=datetime.timezone.utc))
    builder = builder.not_valid_after(datetime.datetime.fromtimestamp(end, tz=datetime.timezone.utc))
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    if issuer:
        # Another program may have computed the subject key identifier of its CA in another way.
        with contextlib.suppress(x509.ExtensionNotFound):
            known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
    for extension, critical in [*extensions, (identity, False), (authority, False)]:
        builder = builder.add_extension(extension, critical)
    digest = hashes.SHA256() if isinstance(issuer_key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)) else None
    return builder.sign(issuer_key, digest)


def key_usage(**usages: bool) -> x509.KeyUsage:
    """Return the extension with only these usages."""
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{**dict.fromkeys(every.split(), False), **usages})


def general_names(values: Iterable[object]) -> list[x509.GeneralName]:
    """Return host names and addresses as general names of a certificate."""
    found: list[x509.GeneralName] = []
    for name in sorted(host_names(values)):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found
