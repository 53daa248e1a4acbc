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

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.plugin_utils import client_lock as plain
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError


def client_lock(*arguments: Any, **options: Any) -> dict[str, Any]:
    """Return the lock for another machine; see `plugin_utils.client_lock`."""
    try:
        return plain.client_lock(*arguments, **options)
    except LockError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"client_lock": client_lock}
