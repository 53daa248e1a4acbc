# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: client_lock
short_description: Return a lock for other machines, with its wheels
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Reads a lock on the controller in any accepted form, the wheels that it names by their paths or that are in its
    directories of wheels, and the wheels that this controller has built from source.
  - Passwords in the URLs of indexes are left out.
positional: build, cache, python, application, requirements
options:
  _input:
    description: Path of the lock on the controller.
    type: path
    required: true
  build:
    description: Packages that were built from source, as in C(dask_environment_build).
    type: list
    elements: str
    default: []
  cache:
    description: Directory of the wheels that were built, as in C(dask_cache).
    type: path
    default: ""
  python:
    description: The hosts' interpreter, as C(host_info) returned it. Required with O(build).
    type: dict
    default: {}
  application:
    description: Paths of further wheels on the controller, those of C(dask_application).
    type: list
    elements: path
    default: []
  requirements:
    description: Text of a requirements file without hashes, instead of the lock.
    type: str
    default: ""
seealso:
  - module: daskops.cluster.client_bundle
    description: Writes the lock and the wheels into an account.
"""

EXAMPLES = r"""
- name: Let ada connect
  daskops.cluster.client_bundle:
    address: tcp://10.0.0.1:8786
    dashboard: http://10.0.0.1:8787/status
    preload: "{{ lookup('ansible.builtin.file', 'daskops_client.py') }}"
    lock: "{{ ('lock.txt' | daskops.cluster.client_lock).text }}"
    wheels: "{{ ('lock.txt' | daskops.cluster.client_lock).wheels }}"
"""

RETURN = r"""
_value:
  description:
    - C(text), the lock in requirements format, in which C(file:daskops-wheels) stands for the directory of the wheels, and
      C(wheels), the content of each in base64 by its name.
  type: dict
  sample:
    text: |
      dask==2026.8.0 \
          --hash=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      analysis @ file:daskops-wheels/analysis-1.4-py3-none-any.whl
    wheels:
      analysis-1.4-py3-none-any.whl: UEsDBBQAAAAI
"""

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import canonicalize_name
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import (
    parse_lock,
    portable_lock,
    unreadable_lock,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import built_wheels


def client_lock(
    path: str,
    build: Iterable[str] = (),
    cache: str = "",
    python: Mapping[str, Any] | None = None,
    application: Iterable[str] = (),
    requirements: str = "",
) -> dict[str, Any]:
    """Return the lock in ``path`` for another machine; see `RETURN`."""
    found: dict[str, Any] = (
        {"text": requirements, "wheels": {}} if requirements else _portable(path, build, cache, python)
    )
    lines = []
    for wheel in map(Path, application):
        content = wheel.read_bytes()
        # By its path, so that no index is asked for the name. Without hashes of the others, it must have none.
        digest = "" if requirements else f" --hash=sha256:{hashlib.sha256(content).hexdigest()}"
        lines.append(f"{wheel.name.split('-')[0]} @ file:daskops-wheels/{wheel.name}{digest}\n")
        found["wheels"][wheel.name] = base64.b64encode(content).decode()
    return {**found, "text": "".join([found["text"].rstrip("\n"), "\n", *lines])} if lines else found


def _portable(path: str, build: Iterable[str], cache: str, python: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the lock in ``path`` for another machine, with its own wheels."""
    file = Path(path).expanduser().absolute()
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(unreadable_lock(path, error)) from None
    try:
        lock = parse_lock(content, str(file.parent))
        names = {canonicalize_name(str(name)) for name in build}
        built = built_wheels(lock, names, os.path.expanduser(cache), python) if names and python else {}
        text, wheels = portable_lock(content, lock, built)
        contents = {Path(wheel).name: base64.b64encode(Path(wheel).read_bytes()).decode() for wheel in wheels}
    except (LockError, OSError) as error:
        raise AnsibleFilterError(f"dask_environment_lock ({path}): {error}") from error
    return {"text": text, "wheels": contents}


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"client_lock": client_lock}
