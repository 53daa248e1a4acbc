# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: client_lock
short_description: Return a lock for other machines, with its wheels
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Reads a lock on the controller, the wheels whose paths are in the lock, and the wheels in its directories of wheels.
options:
  _input:
    description: Path of the lock on the controller.
    type: path
    required: true
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
    - C(text) is the lock. In it, C(file:daskops-wheels) stands for the directory of the wheels.
    - C(wheels) has the content of each wheel in base64, by file name.
  type: dict
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError, portable_lock, unreadable_lock


def client_lock(path: str) -> dict[str, Any]:
    """Return the lock in ``path`` for another machine; see `RETURN`."""
    lock = Path(path).expanduser().absolute()
    try:
        content = lock.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(unreadable_lock(path, error)) from None
    try:
        text, wheels = portable_lock(content, str(lock.parent))
        contents = {Path(wheel).name: base64.b64encode(Path(wheel).read_bytes()).decode() for wheel in wheels}
    except (LockError, OSError) as error:
        raise AnsibleFilterError(f"dask_environment_lock ({path}): {error}") from error
    return {"text": text, "wheels": contents}


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"client_lock": client_lock}
