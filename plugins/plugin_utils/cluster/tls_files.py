# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates and keys in the variable ``dask_tls_files``. Pure functions.

Messages have the names of the files, and never their content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem

VARIABLE = "dask_tls_files"

#: Files of the CA. They belong together, so none of them is read from the directory if ``ca.pem`` is in the variable.
AUTHORITY = ("ca.pem", "ca.key", "previous-ca.pem", "cross-ca.pem")

#: Names of files: those of the CA, of the scheduler, of worker hosts with a common certificate, of clients, and of a worker
#: host. The name of a host is encoded as in a URL.
NAME = re.compile(r"(ca|scheduler|worker|client|workers/[A-Za-z0-9_.~%-]+)\.(pem|key)|(previous|cross)-ca\.pem")

#: A name that is short and plain enough to be shown, because a user may have mistaken the content for the name.
SHOWN = re.compile(r"[\w./ -]{1,60}")

CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----")
KEY = re.compile(r"-----BEGIN ((?!ENCRYPTED)[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END \1?PRIVATE KEY-----")


def wrong_files(files: Any) -> Iterator[Problem]:
    """Yield the problems of the value of ``dask_tls_files``."""
    if not isinstance(files, dict):
        yield Problem(VARIABLE, "is not a dictionary", "Give the text of each file by its name, such as ca.pem.")
        return
    for name, text in files.items():
        if not NAME.fullmatch(str(name)):
            shown = f"'{name}', which" if SHOWN.fullmatch(str(name)) else "a name that"
            yield Problem(
                VARIABLE,
                f"has {shown} is not a file of certificates",
                "Use the names in dask_tls_directory: ca, scheduler, worker, client or workers/HOST with .pem or .key, "
                "previous-ca.pem, or cross-ca.pem.",
            )
        else:
            yield from _wrong_text(f"{VARIABLE}['{name}']", str(name).endswith(".key"), text)


def _wrong_text(where: str, is_key: bool, text: Any) -> Iterator[Problem]:
    """Yield the problem of the text of a file."""
    kind = "a private key in PEM format without a passphrase" if is_key else "certificates in PEM format"
    if not isinstance(text, str) or not text.strip():
        yield Problem(where, "is empty", f"Give {kind}, or remove it. A lookup that finds nothing gives an empty text.")
    elif not is_key and "PRIVATE KEY" in text:
        # Every user of a host can read ca.pem.
        yield Problem(where, "contains a private key", "Put the key into the file with .key.")
    elif not (KEY if is_key else CERTIFICATES).search(normalized(text)):
        yield Problem(
            where,
            f"does not contain {kind}",
            "Give the whole text of the file, with its line ends, as in a YAML block (|).",
        )


def normalized(text: str) -> str:
    """Return the text of a file with the line ends of Linux, and one at its end.

    Texts of a secret manager may have other line ends, and ``lookup('ansible.builtin.file', ...)`` removes the last one.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").strip() + "\n"


def given_files(files: Mapping[str, Any]) -> dict[str, str]:
    """Return the normalized texts of a valid ``dask_tls_files`` by file name."""
    return {str(name): normalized(str(text)) for name, text in files.items()}


def authority_is_given(files: Mapping[str, Any]) -> bool:
    """Return whether the variable has the certificate or the key of the CA, so that the collection cannot replace it."""
    return "ca.pem" in files or "ca.key" in files
