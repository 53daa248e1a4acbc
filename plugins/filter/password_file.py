# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: password_file
short_description: Return the content of a password file for a web server
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Hashes passwords with the SHA-512 method of crypt(3). Returns a line for each, in the format of nginx's
    C(auth_basic_user_file).
  - The same input gives the same output, so the file changes only with the passwords.
options:
  _input:
    description: Password by user name.
    type: dict
    required: true
  _seed:
    description: Text on which the salts depend. With the name of the host, a user has a different salt on each host.
    type: str
    required: true
positional: _seed
seealso:
  - name: ansible.builtin.password_hash
    description: Filter that returns the hash of one password; needs the Python package passlib on some controllers.
    link: https://docs.ansible.com/ansible/latest/collections/ansible/builtin/password_hash_filter.html
"""

EXAMPLES = r"""
- name: Write a password file
  ansible.builtin.copy:
    content: "{{ {'ada': my_secret} | daskops.cluster.password_file(inventory_hostname) }}"
    dest: /etc/nginx/htpasswd
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_value:
  description: The content of the file.
  type: str
  sample: |
    ada:$6$aab8fd8b634428e3$mllQAXB6N1wTwrDGSc.nrFlgDhQiceMMwKT44WmoAFnIcHIVPDjX7ccg/QGdVphvaWJWLeFaDqeiB2uPxsdBs1
"""

import ctypes
import ctypes.util
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def crypted(password: str, salt: str) -> str:
    """Return the hash of a password.

    It calls the system's library, because ansible.builtin.password_hash needs a package that few controllers have.
    """
    try:
        crypt = ctypes.CDLL(ctypes.util.find_library("crypt")).crypt
    except (OSError, AttributeError) as error:
        raise AnsibleFilterError(
            f"The system library of the controller cannot hash passwords: {error}. Install libcrypt."
        ) from None
    crypt.restype = ctypes.c_char_p
    hashed = crypt(password.encode(), f"$6${salt}".encode())
    if not hashed or not hashed.startswith(b"$6$"):
        raise AnsibleFilterError(
            "The system library of the controller does not support SHA-512 passwords. Use a controller whose libcrypt does."
        )
    return str(hashed.decode())


def password_file(users: Mapping[str, Any], seed: str) -> str:
    """Return the content of a password file, sorted by name. Salts need not be secret, so they are derived from names."""
    salts = {name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:16] for name in users}
    return "".join(f"{name}:{crypted(str(users[name]), salts[name])}\n" for name in sorted(users, key=str))


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"password_file": password_file}
