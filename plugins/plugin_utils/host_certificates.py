# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide from the certificates that hosts report: which ones they keep, and which CA a lost one was.

The services' account owns the files of its certificates, and a compromised host can report any certificates.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.certificates import (
    CERTIFICATE,
    EXPIRES,
    fingerprints,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    MISSING,
    Directory,
    ca_problem,
    exposed,
    is_ca,
    issued,
    moment,
    nothing,
    unknown_authority,
    unsuitable,
)

if not MISSING:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    #: Errors for a missing, malformed or unusual certificate.
    MALFORMED: tuple[type[Exception], ...] = (
        AttributeError,
        IndexError,
        OverflowError,
        TypeError,
        UnsupportedAlgorithm,
        ValueError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def keep(
    directory: Directory,
    hosts: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, Iterable[object]],
    warn_days: int = 30,
    now: float | None = None,
) -> dict[str, str]:
    """Set the certificates that hosts keep in ``directory.kept``, and return why others are not kept.

    Parameters
    ----------
    directory : Directory
        Directory of the certificates.
    hosts : dict of dict
        ``kinds``, ``certificates`` (names), ``public``, ``installed`` and ``user`` of each host.
    names : dict
        Host names and addresses that each certificate must contain, by name of the certificate.
    warn_days : int
        Number of days before its expiry when a certificate is not kept.

    Returns
    -------
    dict of str
        The reason by name of the certificate. Without a name of a certificate that its host does not have.
    """
    now, reasons = time.time() if now is None else now, {}
    directory.kept = {}
    for about in hosts.values():
        for kind, name in zip(about["kinds"], about["certificates"]):
            file = f"{kind}.pem"
            if directory.is_given(name) or file not in about["installed"]:
                continue
            try:
                reason = _fault(directory, kind, about)
                if not reason:
                    directory.kept[f"{name}.pem"] = about["public"][kind]
                    reason = unsuitable(directory, name, names[name], warn_days, now)
            except MALFORMED:
                reason = "not readable on its host"
            if reason:
                reasons[name] = reason
                directory.kept.pop(f"{name}.pem", None)
    return reasons


def _fault(directory: Directory, kind: str, about: Mapping[str, Any]) -> str:
    """Return why a host's certificate cannot be kept, apart from its dates and names; empty if there is no reason."""
    text = about["public"].get(kind)
    if not text:
        return "not usable on its host"
    certificate = x509.load_pem_x509_certificate(CERTIFICATE.findall(text)[0].encode())
    if not any(issued(certificate, issuer) for issuer in directory.issuers()):
        return "not signed by the CA in ca.pem"
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    both = {x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH}
    if not both <= set(usages):
        return "not for a service"
    # Services report the expiry in the first line to the health check.
    first = EXPIRES.match(text)
    if not first or first[0] != f"expires {int(moment(certificate, 'not_valid_after'))}\n":
        return "with another expiry in its file"
    if about["installed"][f"{kind}.pem"][1:] != [0o400, about["user"]]:
        return "with another owner or mode"
    return ""


def not_renewed(directory: Directory, hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each host that still has a certificate of the previous CA, after an interrupted rotation."""
    return [
        f"{host}: its services still have a certificate of the previous CA. Run rotate_certificates.yml first, so that "
        "other hosts do not reject it."
        for host, about in hosts.items()
        if any(_of_previous_ca(directory, about["public"].get(kind, "")) for kind in about["kinds"])
    ]


def _of_previous_ca(directory: Directory, text: str) -> bool:
    """Return whether the previous CA, and not the CA, has signed a certificate that a host reports."""
    try:
        certificate = x509.load_pem_x509_certificate(CERTIFICATE.findall(text)[0].encode())
        if any(issued(certificate, ca) for ca in directory.certificates("ca")):
            return False
        return any(issued(certificate, ca) for ca in directory.certificates("previous-ca"))
    except MALFORMED:
        return False


# A CA whose key is lost


def plan_reissue(
    directory: Directory, hosts: Mapping[str, Mapping[str, Any]], absent: Collection[str], now: float | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return what to make to replace a CA whose key is lost, as `certificates.plan` does, and the problems.

    Parameters
    ----------
    directory : Directory
        Directory of the new CA.
    hosts : dict of dict
        ``authorities`` (fingerprints) and ``public`` of each host.
    absent : collection of str
        Hosts of the cluster that are not in the run. Without hosts in maintenance.
    """
    now = time.time() if now is None else now
    problems = _not_reissuable(directory, hosts, absent, now)
    if problems or directory.has("ca.key"):  # an interrupted run has made the CA
        return nothing(), problems
    found, problems = common_authorities(hosts)
    if not problems and directory.has("ca.pem") and not set(fingerprints(directory.read("ca.pem"))) & set(found):
        problems = [
            f"{directory.shown('ca.pem')} belongs to another cluster. Set dask_tls_directory to an empty directory, and run "
            "again."
        ]
    if problems:
        return nothing(), problems
    return {**nothing(), "authority": True, "previous": "".join(found.values())}, []


def _not_reissuable(
    directory: Directory, hosts: Mapping[str, Mapping[str, Any]], absent: Collection[str], now: float
) -> list[str]:
    """Return the problems of a directory or a run that must not reissue the CA."""
    if directory.authority_is_given:
        return [
            "dask_tls_rotation is reissue, but the CA is in dask_tls_files. Remove ca.pem and ca.key from it if they are "
            "not those of the cluster."
        ]
    if exposed(directory.path):
        return [f"{directory.path} is not safe for keys: {exposed(directory.path)}. Remove that permission."]
    if absent:
        return [
            f"{', '.join(sorted(absent))}: not in this run, but dask_tls_rotation=reissue needs all hosts, because it "
            "compares the CA that they trust. Run without --limit. If a host is broken, remove it from the inventory, or "
            "set dask_maintenance for it."
        ]
    if not directory.has("ca.key"):
        return []
    authorities = {host: about["authorities"] for host, about in hosts.items()}
    problem = ca_problem(directory, now) or unknown_authority(directory, authorities)
    if problem:
        return [problem]
    if not directory.is_reissued:
        return [
            f"{directory.path} has the CA of this cluster and its key, so nothing is lost. To make a new CA, run "
            "rotate_certificates.yml -e dask_tls_rotation=authority, with which clients can still connect."
        ]
    return []


def common_authorities(hosts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """Return the certificates of the CAs that all hosts trust, in PEM format by fingerprint, and the problems.

    The last one to expire comes first. A compromised host could report the CA of an attacker, which the whole cluster would
    then trust. So all hosts must trust the same CAs.
    """
    trusted, problems = {}, []
    for host, about in hosts.items():
        text = about["public"].get("ca", "")
        try:
            found = {fingerprints(block)[0]: f"{block}\n" for block in CERTIFICATE.findall(text)}
            parsed = {one: x509.load_pem_x509_certificate(block.encode()) for one, block in found.items()}
            usable = bool(found) and all(map(is_ca, parsed.values())) and set(found) == set(about["authorities"])
            found = dict(sorted(found.items(), key=lambda item: -moment(parsed[item[0]], "not_valid_after")))
        except MALFORMED:
            usable = False
        if usable:
            trusted[host] = found
        else:
            problems.append(
                f"{host}: its ca.pem, below dask_home, is missing or is not the certificate of a CA. Inspect the host: it "
                "may be compromised. To continue without it, remove it from the inventory, or set dask_maintenance for it."
            )
    by_trust: dict[tuple[str, ...], list[str]] = {}
    for host, found in trusted.items():
        by_trust.setdefault(tuple(sorted(found)), []).append(host)
    if len(by_trust) > 1:
        shown = "; ".join(
            f"{', '.join(sorted(members))} ({', '.join(one[:16] for one in trust)})"
            for trust, members in sorted(by_trust.items(), key=lambda item: (-len(item[1]), item[0]))
        )
        problems.append(
            f"The hosts trust different CAs (SHA-256): {shown}. A compromised host could report the CA of an attacker. "
            "Inspect the hosts that differ. To continue without them, remove them from the inventory, or set "
            "dask_maintenance for them."
        )
    if problems or not by_trust:
        return {}, problems or ["No host trusts a CA, so there is nothing to reissue. Run site.yml."]
    return next(iter(trusted.values())), []
