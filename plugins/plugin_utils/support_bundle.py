# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an archive with what is known about a cluster, for someone who helps. Secrets in it are masked."""

from __future__ import annotations

import io
import json
import platform
import re
import sys
import tarfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import __version__ as ansible_version
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS

MASK = "***"

#: A key, a variable or an option whose value is a secret by its name. The last line has whole words only.
_WORDS = (
    r"(?:passw(?:or)?d|passphrase|token|secret|credential|connection[-_]?string"
    r"|(?:access|account|api|encryption|license|private|shared|signing|storage)[-_]?key"
    r"|(?<![^\W_])(?:auth|authorization|cookies?|dsn|pass|pwd|sig|signature)(?![^\W_]))"
)
SECRET_KEY = re.compile(_WORDS, re.IGNORECASE)

#: Keys of dictionaries whose values are all secret.
ALL_SECRET = re.compile(r"(^|_)(environment_variables|tls_files|proxy_users)$")

#: Variables of which only some keys are secret. They are marked as secret, because messages must not show these keys.
PARTLY = ("dask_worker_pools", "dask_worker_pool_overrides")

#: Shorter values are masked only where their variable is: they would mask parts of other words.
SHORTEST = 5

#: Characters of a line that are kept. A process can write lines of any length.
LINE = 4000

#: A value: to the closing quote, which may be escaped, or to the last closing bracket, else to the end of the line.
_VALUE = (
    r"(?:(?:(?P<quote>\\*[\"'])[^\n]*?(?<!\\)(?P=quote)|\[[^\n]*\]|\{[^\n]*\}|\([^\n]*\))(?=[\s,;:)\]}>]|\Z)"
    r"|\S[^\n]*)"
)

#: A private key. Line ends may be escaped, as in JSON.
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)

#: A word that can have credentials of a URL, with or without a scheme.
_URL = re.compile(r"(?:(?<!\S)[\w.+-]{1,64}:|://)\S*")

_LONG = re.compile(rf"^([^\n]{{{LINE}}})[^\n]+", re.MULTILINE)

#: Secrets in lines, after what is kept. Each pattern needs linear time, because a process can write any line.
PATTERNS = (
    # Tokens of known services.
    re.compile(r"(\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-))[\w-]{10,}"),
    re.compile(r"(\bhooks\.slack\.com/services/)[\w/]+"),
    # As in ~/.netrc.
    re.compile(r"(\blogin[^\S\n]+\S{1,200}[^\S\n]+password[^\S\n]+)\S+"),
    re.compile(r"(\bbearer[^\S\n]+)[^\s\"',;]{6,}", re.IGNORECASE),
    # The base64 of a name and a password. Another word after it is kept.
    re.compile(r"(\b[Bb](?:asic|ASIC)[^\S\n]+)(?=[^\s\"',;]*[A-Z0-9=])[^\s\"',;]{6,}"),
    re.compile(
        rf"({_WORDS}[\w-]{{0,64}}(?:\\*[\"'])?\]?(?:[^\S\n]{{0,64}}[=:][^\S\n]{{0,64}}|\t[^\S\n]{{0,64}})){_VALUE}",
        re.IGNORECASE,
    ),
    re.compile(rf"((?<![\w-])--(?=[\w-]{{0,64}}?{_WORDS})[\w-]{{1,128}}[^\S\n]{{1,64}}){_VALUE}", re.IGNORECASE),
)


def _without_credentials(found: re.Match[str]) -> str:
    """Return a URL without what is before its last at sign, because a password may have slashes and at signs."""
    scheme, separator, rest = found[0].partition("://")
    if not separator:
        scheme, rest = "", found[0]
    head, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{MASK}{at}{host}" if at else found[0]


def _scalars(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value, without the keys of dictionaries."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _scalars(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _scalars(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _secrets(value: Any, secret: bool = False) -> Iterator[str]:
    """Yield the secret values in variables."""
    if secret:
        yield from _scalars(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(inner, _is_secret(str(key)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _secrets(inner)


def _is_secret(key: str) -> bool:
    """Return whether the value of a key is a secret."""
    if key in PARTLY:
        return False
    return (key in SETTINGS and SETTINGS[key].secret) or bool(SECRET_KEY.search(key) or ALL_SECRET.search(key))


class Masker:
    """Masks secrets in values and texts.

    Parameters
    ----------
    variables : iterable of dict
        Variables of hosts. Their secret values are masked wherever they appear.
    """

    def __init__(self, variables: Iterable[Mapping[str, Any]]) -> None:
        known = {text for values in variables for text in _secrets(values)}
        # A secret of several lines may appear line by line, for example in a journal.
        known |= {line.strip() for text in known for line in text.splitlines() if not line.startswith("-----")}
        long = sorted((text for text in known if len(text) >= SHORTEST), key=len, reverse=True)
        forms = [form for text in long for form in dict.fromkeys([text, json.dumps(text)[1:-1], repr(text)[1:-1]])]
        self._known = re.compile("|".join(map(re.escape, forms))) if forms else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known:
            text = self._known.sub(MASK, text)
        # What is longer than a line or has an end that is looked for comes first: a part of a secret must not be left.
        text = _PRIVATE_KEY.sub(rf"\1{MASK}\2", text)
        text = _URL.sub(_without_credentials, text)
        text = _LONG.sub(r"\1 ...", text)
        for pattern in PATTERNS:
            text = pattern.sub(rf"\1{MASK}", text)
        return text

    def value(self, value: Any, secret: bool = False) -> Any:
        """Return a value without secrets. Keys of dictionaries are kept."""
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): self.value(inner, secret or _is_secret(str(key))) for key, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(inner, secret) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        # An empty value shows that a variable is not set.
        if secret:
            return MASK if str(value) else ""
        return self.text(value) if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """Return the versions of the controller's software."""
    root = Path(__file__).parents[2]
    try:
        collection = json.loads((root / "MANIFEST.json").read_text())["collection_info"]["version"]
    except OSError:  # a checkout
        collection = yaml.safe_load((root / "galaxy.yml").read_text())["version"]
    return {
        "collection": collection,
        "ansible-core": ansible_version,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
    }


def contents(
    groups: Mapping[str, list[str]],
    values: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    infos: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Mapping[str, Any]],
    lines: Iterable[str],
) -> dict[str, str]:
    """Return the content of each file of the archive, without secrets.

    Parameters
    ----------
    groups : dict of list of str
        Groups of the inventory.
    values : dict of dict
        Variables of the collection, by host.
    plan : dict
        Result of the module `plan`.
    infos, facts : dict of dict
        Results of `host_info` and `doctor_info`, by host.
    lines : iterable of str
        The report.
    """
    masker = Masker(values.values())

    def as_json(value: Any) -> str:
        return json.dumps(masker.value(value), indent=1, sort_keys=True, default=str) + "\n"

    ours = {name: hosts for name, hosts in groups.items() if name.startswith("dask_")}
    found = {
        "findings.txt": masker.text("\n".join(lines)) + "\n",
        "versions.json": as_json(versions()),
        "groups.json": as_json(ours),
        "plan.json": as_json(plan),
    }
    for host in values:
        directory = f"hosts/{urllib.parse.quote(host, safe='')}"
        about = dict(facts.get(host, {}))
        journal = str(about.pop("journal", ""))
        found[f"{directory}/variables.json"] = as_json(values[host])
        found[f"{directory}/host_info.json"] = as_json(infos.get(host, {}))
        found[f"{directory}/doctor_info.json"] = as_json(about)
        found[f"{directory}/journal.txt"] = masker.text(journal)
    return found


def archive(files: Mapping[str, str], now: float) -> bytes:
    """Return a compressed tar archive of files that only their owner can read, in one directory."""
    top = time.strftime("dask-support-%Y%m%dT%H%M%SZ", time.gmtime(now))
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as tar:
        for name, text in files.items():
            content = text.encode("utf-8", "replace")
            about = tarfile.TarInfo(f"{top}/{name}")
            about.size, about.mode, about.mtime = len(content), 0o600, int(now)
            tar.addfile(about, io.BytesIO(content))
    return output.getvalue()
