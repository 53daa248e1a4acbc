# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test certificates before anything is changed, with TLS handshakes in memory like those of Dask, for each use."""

from __future__ import annotations

import itertools
import os
import ssl
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    DAY,
    Directory,
    Unusable,
    clock_problems,
    date,
    described,
    exposed,
    is_ca,
    moment,
    open_keys,
)

if TYPE_CHECKING:
    from cryptography import x509

#: Reason by OpenSSL's code for a rejected certificate (X509_V_ERR_...).
REASONS = {
    2: "ca.pem lacks the CA that signed the CA in it, so add that CA, too",
    7: "it is not signed by a CA in ca.pem, which has a CA of the same name but with another key",
    9: "it is not valid yet, or a CA in its chain is not",
    10: "it has expired, or a CA in its chain has",
    18: "it is self-signed and not in ca.pem",
    19: "the CA at the end of its chain is not in ca.pem",
    20: "it is not signed by a CA in ca.pem, and the chain in the file does not lead to one",
    21: "it is not signed by a CA in ca.pem, and the chain in the file does not lead to one",
    24: "a certificate in its chain may not sign: its basic constraints lack CA:TRUE, or its key usage lacks keyCertSign",
    32: "a certificate in its chain may not sign: its basic constraints lack CA:TRUE, or its key usage lacks keyCertSign",
    62: "it does not name the host",
    64: "it does not name the address",
    66: "its key is too short",
    67: "the key of its CA is too short",
    68: "it is signed with a weak digest, such as SHA-1, or a CA in its chain is",
    79: "a certificate in its chain may not sign: its basic constraints lack CA:TRUE, or its key usage lacks keyCertSign",
}
PURPOSE = 26

#: Reason by OpenSSL's name for an error that occurs before the verification.
WEAK = {"EE_KEY_TOO_SMALL": REASONS[66], "CA_KEY_TOO_SMALL": REASONS[67], "CA_MD_TOO_WEAK": REASONS[68]}

#: OpenSSL's security level in Debian, Ubuntu and RHEL: keys of at least 2048 bits (RSA) or 224 bits (ECC), and no SHA-1.
CIPHERS = "DEFAULT:@SECLEVEL=2"

#: Versions of TLS by their value in Dask's configuration.
VERSIONS = {1.2: ssl.TLSVersion.TLSv1_2, 1.3: ssl.TLSVersion.TLSv1_3}

#: Clients have Dask's defaults, because the files that they get choose neither versions nor ciphers.
CLIENT: dict[str, Any] = {"kind": "client", "host": "", "settings": {}, "variables": []}

#: Remedy for a certificate of the user, and for one that the collection made.
REMEDY = "Replace it, or remove dask_tls_certificates, and the collection makes certificates."
REMEDY_MADE = "Run rotate_certificates.yml, which makes all certificates again."


class Rejected(Exception):
    """A handshake failed because the other side rejects the certificate of ``side``, for ``reason``."""

    def __init__(self, side: str, reason: str) -> None:
        super().__init__(reason)
        self.side, self.reason = side, reason


def context(purpose: ssl.Purpose, ca_file: str, bundle: str | None = None) -> ssl.SSLContext:
    """Return a TLS context like Dask's, which requires a certificate of the CA and ignores the names in it."""
    made = ssl.create_default_context(purpose, cafile=ca_file)
    made.set_ciphers(CIPHERS)
    # Require the whole chain, like Python before 3.13, because hosts may have an older Python than the controller.
    made.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    if bundle:
        made.load_cert_chain(bundle, password="")  # without a password, OpenSSL would prompt for one on the terminal
        made.check_hostname = False
        made.verify_mode = ssl.CERT_REQUIRED
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def choose(made: ssl.SSLContext, settings: Mapping[str, Any]) -> ssl.SSLContext:
    """Apply settings of ``distributed.comm.tls`` to a TLS context as Dask does, and return it.

    Raises
    ------
    KeyError, TypeError, ssl.SSLError
        If Dask would reject a value.
    """
    if settings.get("min-version"):
        made.minimum_version = VERSIONS[settings["min-version"]]
    if settings.get("max-version"):
        made.maximum_version = VERSIONS[settings["max-version"]]
    if settings.get("ciphers"):
        made.set_ciphers(settings["ciphers"])
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> None:
    """Make a TLS handshake between two contexts.

    Raises
    ------
    Rejected
        If one side rejects the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = {
        "client": client.wrap_bio(to_client, to_server, server_hostname=name),
        "server": server.wrap_bio(to_server, to_client, server_side=True),
    }
    for dummy in range(10):
        for side, connection in list(sides.items()):
            try:
                connection.do_handshake()
                del sides[side]
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                other = "client" if side == "server" else "server"
                usage = "clientAuth" if other == "client" else "serverAuth"
                reason = REASONS.get(error.verify_code, error.verify_message)
                if error.verify_code == PURPOSE:
                    reason = f"its extended key usage lacks {usage}, or a CA in its chain does not allow this usage"
                raise Rejected(other, reason) from None
            except ssl.SSLError as error:
                # A client with an unusable key sends no certificate, and a server with an unusable key fails itself.
                blamed = "client" if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else "server"
                other = f"TLS cannot use it, perhaps because of the type of its key (OpenSSL: {error.reason or error})"
                raise Rejected(blamed, WEAK.get(error.reason, other)) from None
        if not sides:
            return
    raise Rejected("server", "the handshake does not end")


def contexts(
    directory: Directory, names: Iterable[str], folder: str, remedy: str
) -> tuple[dict[str, list[ssl.SSLContext]], list[str]]:
    """Return a server's and a client's context by name, and a sentence for each certificate that cannot be loaded."""
    ca_file, found, problems = os.path.join(folder, "ca.pem"), {}, []
    with open(ca_file, "w", encoding="utf-8") as file:
        file.write(directory.trusted())
    context(ssl.Purpose.SERVER_AUTH, ca_file)  # raises ssl.SSLError if ca.pem cannot be loaded
    for number, name in enumerate(names):
        bundle = os.path.join(folder, f"{number}.pem")
        with open(os.open(bundle, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(directory.bundle(name))
        try:
            purposes = ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH
            found[name] = [context(purpose, ca_file, bundle) for purpose in purposes]
        except ssl.SSLError as error:
            reason = WEAK.get(error.reason, f"OpenSSL reports {error.reason or error}")
            problems.append(f"{directory.shown(f'{name}.pem')} cannot be loaded: {reason}. {remedy}")
    return found, problems


def kind(name: str) -> str:
    """Return the kind of service to which the certificate of this name belongs, or ``client``."""
    return "worker" if name.startswith("workers/") else name


def rejected(
    directory: Directory,
    names: Sequence[str],
    dashboard_hosts: Mapping[str, str] | None = None,
    strict: bool = False,
    remedy: str = REMEDY,
) -> list[str]:
    """Test certificates with each other, and return a sentence for each one that is rejected.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    names : list of str
        Names of certificates: ``scheduler``, ``worker`` (or those of worker hosts) and ``client``.
    dashboard_hosts : dict of str, optional
        Host names and addresses in HTTPS URLs of the dashboard, each with the variable that determines it.
    strict : bool
        Whether Python 3.13 or newer, which enforces RFC 5280, requests the dashboard.
    remedy : str
        Sentence with the remedy.

    Returns
    -------
    list of str
        A sentence for each certificate and reason.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="daskops-") as folder:
            return unique(tried(directory, names, folder, dashboard_hosts or {}, strict, remedy))
    except (ssl.SSLError, ValueError) as error:
        return [f"{directory.shown('ca.pem')}: OpenSSL does not load it ({error}). {remedy}"]
    except OSError as error:
        return [
            f"Certificates cannot be tested in {tempfile.gettempdir()}: {described(error)}. Set TMPDIR on the controller to "
            "a directory to which the account that runs Ansible can write."
        ]


def tried(
    directory: Directory,
    names: Sequence[str],
    folder: str,
    dashboard_hosts: Mapping[str, str],
    strict: bool,
    remedy: str,
) -> list[str]:
    """Return the sentences of `rejected`, one for each pair. ``folder`` is an empty directory only for this user."""
    found, problems = contexts(directory, names, folder, remedy)
    # Services connect to services of both kinds, and clients connect to services of both kinds.
    for server, client in itertools.product(found, found):
        if server != "client":
            try:
                handshake(found[server][0], found[client][1])
            except Rejected as failure:
                name, use = (server, "server") if failure.side == "server" else (client, "client")
                problems.append(
                    f"{directory.shown(f'{name}.pem')} is rejected as the certificate of a {use} (the {kind(client)} "
                    f"connects to the {kind(server)}): {failure.reason}. {remedy}"
                )
    if dashboard_hosts and "scheduler" in found and not problems:
        browser = context(ssl.Purpose.SERVER_AUTH, os.path.join(folder, "ca.pem"))
        browser.verify_flags |= ssl.VERIFY_X509_STRICT if strict else 0
        # The dashboard does not request a certificate from browsers.
        pages = context(ssl.Purpose.CLIENT_AUTH, os.path.join(folder, "ca.pem"))
        pages.load_cert_chain(os.path.join(folder, f"{list(names).index('scheduler')}.pem"), password="")
        for host, variable in dashboard_hosts.items():
            try:
                handshake(pages, browser, host)
            except Rejected as failure:
                about = remedy
                if failure.reason in (REASONS[62], REASONS[64]):
                    about = f"Add that name to it, or {without_name(variable)}."
                problems.append(
                    f"{directory.shown('scheduler.pem')} is rejected as the certificate of the dashboard, whose "
                    f"URL has the name {host}: {failure.reason}. {about}"
                )
    return problems


def without_common_tls(directory: Directory, sides: Sequence[Mapping[str, Any]], made: bool) -> list[str]:
    """Return a sentence for each set of variables with which a service or a client cannot connect to a service.

    Nothing is returned about certificates and values that other checks reject.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    sides : list of dict
        ``tls_choices`` of the certificates in the result of the module `plan`.
    made : bool
        Whether each worker host has its own certificate.
    """
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="daskops-") as folder:
        usable = [
            (side, made_for)
            for side in ([*sides, CLIENT] if sides else [])
            if (made_for := _contexts(directory, directory.name_for(side["kind"], side["host"], made), side, folder))
        ]
        for (server, listening), (client, connecting) in itertools.product(usable, usable):
            fails = [not _accepts(listening[name], connecting[f"{name} client"]) for name in ("default", "chosen")]
            if server["kind"] != "client" and fails == [False, True]:
                variables = " and ".join(sorted({*client["variables"], *server["variables"]}))
                found.setdefault(
                    variables,
                    f"{variables}: with distributed.comm.tls, {_described(client)} cannot connect to {_described(server)}, "
                    "because they have no version of TLS in common, or no cipher for the key of the certificate. Remove "
                    "min-version, max-version and ciphers, or set them to values that both have.",
                )
    return list(found.values())


def _contexts(
    directory: Directory, name: str, side: Mapping[str, Any], folder: str
) -> dict[str, ssl.SSLContext] | None:
    """Return a server's and a client's context with Dask's defaults and with the choices of a service; None if unusable."""
    ca_file, bundle = os.path.join(folder, "ca.pem"), os.path.join(folder, "bundle.pem")
    try:
        for path, text in ((ca_file, directory.trusted()), (bundle, directory.bundle(name))):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        found = {}
        for use, purpose in (("", ssl.Purpose.CLIENT_AUTH), (" client", ssl.Purpose.SERVER_AUTH)):
            found[f"default{use}"] = context(purpose, ca_file, bundle)
            found[f"chosen{use}"] = choose(context(purpose, ca_file, bundle), side["settings"])
        return found
    except (IndexError, KeyError, TypeError, ValueError, Unusable, ssl.SSLError):  # IndexError: there is no certificate
        return None


def _accepts(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Return whether a TLS handshake between two contexts succeeds."""
    try:
        handshake(server, client)
    except Rejected:
        return False
    return True


def _described(side: Mapping[str, Any]) -> str:
    """Return the kind and the host of a service, and its choices of TLS."""
    shown = ", ".join(f"{key} {value}" for key, value in side["settings"].items()) or "Dask's defaults"
    return f"the {' on '.join(filter(None, (side['kind'], side['host'])))} ({shown})"


def without_name(variable: str) -> str:
    """Return the remedy that removes the name that follows from a variable from the dashboard's URL."""
    if variable == "dask_dashboard_proxy":  # nginx requests it as localhost
        return "set dask_dashboard_proxy to false"
    return f"set {variable} to a name or address in the certificate"


def unique(problems: Iterable[str]) -> list[str]:
    """Return the first sentence for each file and reason, because all peers reject a certificate for the same reason."""
    found: dict[tuple[str, str], str] = {}
    for problem in problems:
        found.setdefault((problem.partition(" ")[0], problem.partition("): ")[2]), problem)
    return list(found.values())


def own_problems(
    directory: Directory,
    joins: bool,
    hosts: Mapping[str, Mapping[str, Any]],
    dashboard_hosts: Mapping[str, str] | None = None,
    strict: bool = False,
    warn_days: int = 30,
    now: float | None = None,
) -> tuple[list[str], list[str]]:
    """Return the problems of a user's own certificates, and warnings about them.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    joins : bool
        Whether another system runs the scheduler, so that its certificate is not in the directory.
    hosts : dict of dict
        ``clock`` and ``certificates`` (names) of each host.
    dashboard_hosts, strict
        See `rejected`.
    warn_days : int
        Number of days before the expiry of a certificate when a warning is returned.

    Returns
    -------
    tuple of (list of str, list of str)
    """
    now = time.time() if now is None else now
    of_workers = {name for about in hosts.values() for name in about["certificates"] if kind(name) == "worker"}
    # In a run without worker hosts, check the certificate that they share, if there is one.
    workers = sorted(of_workers) or ["worker"] * directory.has("worker.pem")
    names = [*([] if joins else ["scheduler"]), *workers, "client"]
    if exposed(directory.path):
        return [f"{directory.path} is not safe for keys: {exposed(directory.path)}. Remove that permission."], []
    problems, usable = [], []
    if not directory.certificates("ca"):
        return [f"{directory.shown('ca.pem')} does not exist. {REMEDY}"], []
    if not any(map(is_ca, directory.issuers())):
        problems.append(
            f"{directory.shown('ca.pem')} is not the certificate of a CA (basic constraints without CA:TRUE). {REMEDY}"
        )
    if not any(lasts(certificate, now) for certificate in directory.issuers()):
        problems.extend(not_in_time(directory, "ca", now))
    for name in names:
        try:
            fault = directory.missing(name)
            directory.certificates(name)
            if not fault and not directory.matches(name):
                fault = f"{directory.shown(f'{name}.key')} is not the key of {name}.pem"
            found = [f"{fault}. {REMEDY}"] if fault else list(not_in_time(directory, name, now))
        except Unusable as error:
            found = [str(error)]
        problems.extend(found)
        usable.extend([] if found else [name])
    if not any(problem.startswith(directory.shown("ca.pem")) for problem in problems):
        first = set(workers[:1])
        problems.extend(
            rejected(directory, [n for n in usable if n in first or n not in workers], dashboard_hosts, strict)
        )
        for name in set(usable) & set(workers) - first:
            problems.extend(rejected(directory, [name]))  # handshakes with itself, which take 3 ms for each certificate
    if not problems:
        problems.extend(clock_problems(directory, hosts, now))
    warnings = [
        f"{directory.shown(f'{name}.pem')} expires on {date(directory.expires(name))}. Replace it before that, and run "
        "site.yml."
        for name in ("ca", *usable)
        if 0 < directory.expires(name) - now <= warn_days * DAY
    ]
    return problems, [*warnings, *open_keys(directory, usable)]


def lasts(certificate: x509.Certificate, now: float) -> bool:
    """Return whether a certificate is valid now."""
    return moment(certificate, "not_valid_before") <= now < moment(certificate, "not_valid_after")


def not_in_time(directory: Directory, name: str, now: float) -> Iterator[str]:
    """Yield a sentence if a certificate has expired, or is not valid yet."""
    if directory.expires(name) <= now:
        yield f"{directory.shown(f'{name}.pem')} expired on {date(directory.expires(name))}. {REMEDY}"
    elif directory.begins(name) > now:
        yield (
            f"{directory.shown(f'{name}.pem')} is not valid before {date(directory.begins(name))}. Replace it, or correct "
            "the controller's clock."
        )
