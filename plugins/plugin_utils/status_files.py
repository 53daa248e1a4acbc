# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the status of a cluster as a page and as JSON, and write files on the controller."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import stat
import tempfile
from pathlib import Path

import jinja2
from ansible_collections.daskops.cluster.plugins.module_utils.health import format_bytes
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import Status, level

#: The template of the page.
TEMPLATE = Path(__file__).parents[2] / "roles/health/templates/status.html.j2"


def as_json(status: Status) -> str:
    """Return the status as JSON."""
    return json.dumps(dataclasses.asdict(status), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


@functools.cache
def _template() -> jinja2.Template:
    """Return the template, which escapes all values."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(level=level, size=format_bytes)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def as_page(status: Status) -> str:
    """Return the status as an HTML page, in which all values are escaped."""
    return _template().render(status=status) + "\n"


def content_of(path: str) -> str:
    """Return the content of a file; empty if the file does not exist. Raises OSError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def replace(path: str, content: str | bytes, mode: int | None = None) -> None:
    """Replace a file atomically. Raises OSError if it cannot be written.

    Parameters
    ----------
    path : str
        The file. If it is a symbolic link, the link's target is replaced.
    content : str or bytes
        The new content.
    mode : int, optional
        Mode of the file. Without it, an existing file keeps its mode, which its owner may have chosen, and a new one is
        readable for all.
    """
    path = os.path.realpath(path)
    if mode is None:
        mode = 0o644
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(os.stat(path).st_mode)
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            os.fchmod(file.fileno(), mode)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
