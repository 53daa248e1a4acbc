# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the status of a cluster as a page and as JSON, and write files on the controller."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import stat
import tempfile
from pathlib import Path

import jinja2
from ansible_collections.daskops.cluster.plugins.module_utils.health import describe_request, format_bytes
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import is_own, open_regular, steps
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import Status, count_states, level

#: Why a worker is on standby, by the key `cause` of its status.
WHY = {"request": "a client has asked for fewer", "maximum": "maximum of the pool reached", "idle": "no work"}

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
    environment.filters.update(level=level, size=format_bytes, states=count_states, cause=WHY.get)
    environment.filters.update(request=lambda request: describe_request(dataclasses.asdict(request)))
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def as_page(status: Status) -> str:
    """Return the status as an HTML page, in which all values are escaped."""
    return _template().render(status=status) + "\n"


class WrongFile(Exception):
    """The path does not lead to a file that may be replaced. The message has the reason and the remedy."""


def destination(path: str, follow: bool = True) -> str:
    """Return the path of the file that is replaced for a path, which exists or not.

    Parameters
    ----------
    path : str
        An absolute path.
    follow : bool
        Whether the path may be a symbolic link.

    Raises
    ------
    WrongFile
        If a link on the way belongs to another account than root and the one of this process, or ``path`` is a link and
        ``follow`` is false, or it leads to something else than a regular file.
    OSError
        If something on the way is not a directory, or there are too many symbolic links.
    """
    if not follow and os.path.islink(path):
        raise WrongFile(f"{path} is a symbolic link. Remove it, or name another file.")
    about: os.stat_result | None = None
    found = path
    for found, about in steps(path):
        if about is not None and stat.S_ISLNK(about.st_mode) and not is_own(about):
            raise WrongFile(f"{found} is a symbolic link of another user. Remove it, or name another file.")
    if about is not None and not stat.S_ISREG(about.st_mode):
        raise WrongFile(f"{found} is not a regular file. Name another file.")
    return found


def content_of(path: str) -> str:
    """Return the content of a file; empty if the file does not exist. Raises as `destination`, or if it cannot be read."""
    try:
        with open(destination(path), encoding="utf-8", errors="replace", opener=open_regular) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def replace(path: str, content: str | bytes, mode: int | None = None, follow: bool = True) -> None:
    """Replace a file atomically. Raises as `destination`, or OSError if it cannot be written.

    Parameters
    ----------
    path : str
        The file. If it is a symbolic link, the link's target is replaced.
    content : str or bytes
        The new content.
    mode : int, optional
        Mode of the file. Without it, an existing file of root or this account keeps its mode, which its owner may have
        chosen, and another one is readable for all.
    follow : bool
        Whether the path may be a symbolic link.
    """
    path = destination(path, follow)
    if mode is None:
        about = os.lstat(path) if os.path.lexists(path) else None
        mode = about.st_mode & 0o777 if about and is_own(about) else 0o644
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            os.fchmod(file.fileno(), mode)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
