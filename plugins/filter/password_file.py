# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: password_file
short_description: A password file for a web server
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Hashes passwords with SHA-512 as crypt(3) does, a line each, which nginx and others ask for in C(auth_basic_user_file).
  - The same input makes the same output, so that a file of it changes only with the passwords.
options:
  _input:
    description: Password by user name.
    type: dict
    required: true
  _seed:
    description: What makes the salts other ones than those of the same names elsewhere, like the name of a host.
    type: str
    required: true
positional: _seed
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
"""

import ctypes
import ctypes.util
import hashlib

from ansible.errors import AnsibleFilterError


def crypted(password, salt):
    """The hash of a password.

    By the system's own library: the filter ansible.builtin.password_hash needs a package that few controllers have.
    """
    try:
        crypt = ctypes.CDLL(ctypes.util.find_library("crypt")).crypt
    except (OSError, AttributeError) as error:
        raise AnsibleFilterError(f"This controller's system library hashes no passwords: {error}") from None
    crypt.restype = ctypes.c_char_p
    hashed = crypt(password.encode(), f"$6${salt}".encode())
    if not hashed or not hashed.startswith(b"$6$"):
        raise AnsibleFilterError("This controller's system library does not know SHA-512 passwords.")
    return hashed.decode()


def password_file(users, seed):
    """The lines of a password file, by name. The salts follow from the names, for they need not be secret."""
    salts = {name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:16] for name in users}
    return "".join(f"{name}:{crypted(str(users[name]), salts[name])}\n" for name in sorted(users, key=str))


class FilterModule:
    """Filters about passwords."""

    def filters(self):
        return {"password_file": password_file}
