# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel of the package ``daskops`` for clients.

It is written here and not by a build backend, which the controller would have to fetch. The package has only Python files.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import zipfile
from pathlib import Path

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rendering import ROOT

#: Directory with the package and its pyproject.toml.
PACKAGE = Path(ROOT, "roles/client/files/package")


def _field(project: str, name: str) -> str:
    """Return a text of a pyproject.toml. Python 3.10 has no parser for it."""
    found = re.search(rf'^{name} = "([^"]*)"$', project, re.MULTILINE)
    if not found:
        raise ValueError(f"pyproject.toml has no {name}")
    return found[1]


def _metadata(project: str) -> str:
    """Return the content of METADATA."""
    dependencies = re.search(r"^dependencies = \[(.*)\]$", project, re.MULTILINE)
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {_field(project, 'name')}",
        f"Version: {_field(project, 'version')}",
        f"Summary: {_field(project, 'description')}",
        f"Requires-Python: {_field(project, 'requires-python')}",
        f"License-Expression: {_field(project, 'license')}",
        *(f"Requires-Dist: {one}" for one in re.findall(r'"([^"]*)"', dependencies[1] if dependencies else "")),
    ]
    return "".join(f"{line}\n" for line in lines)


def build_wheel() -> tuple[str, bytes]:
    """Return the name and the content of the wheel, which depend on the files alone."""
    project = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
    stem = f"{_field(project, 'name')}-{_field(project, 'version')}"
    files = {
        os.path.relpath(path, PACKAGE): path.read_bytes()
        for path in sorted((PACKAGE / _field(project, "name")).glob("*.py"))
    }
    files[f"{stem}.dist-info/METADATA"] = _metadata(project).encode()
    files[f"{stem}.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for path, content in files.items():
            about = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            about.external_attr = 0o100644 << 16
            wheel.writestr(about, content)
    return f"{stem}-py3-none-any.whl", buffer.getvalue()


def _digest(content: bytes) -> str:
    """Return the SHA-256 in the encoding of RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
