# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that hashes passwords."""

import ctypes
import ctypes.util

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.filter.password_file import password_file

USERS = {"bob": 12345, "ada": "s3cret $word 'ü'"}


def accepted(password, hashed):
    """Return whether the system's crypt(3), which nginx uses, accepts a password for a hash."""
    crypt = ctypes.CDLL(ctypes.util.find_library("crypt")).crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), hashed.encode()).decode() == hashed


def test_password_file():
    lines = dict(line.split(":", 1) for line in password_file(USERS, "s1").splitlines())
    assert list(lines) == ["ada", "bob"]
    for name, password in USERS.items():
        assert lines[name].startswith("$6$")
        assert accepted(str(password), lines[name])
        assert not accepted("wrong", lines[name])


def test_password_file_changes_only_with_a_password():
    assert password_file(USERS, "s1") == password_file(dict(reversed(USERS.items())), "s1")
    changed = password_file({**USERS, "bob": "other"}, "s1")
    assert changed.splitlines()[0] == password_file(USERS, "s1").splitlines()[0]
    assert changed.splitlines()[1] != password_file(USERS, "s1").splitlines()[1]


def test_equal_passwords_have_different_hashes():
    hashes = [line.split(":")[1] for line in password_file({"ada": "same", "bob": "same"}, "s1").splitlines()]
    hashes.append(password_file({"ada": "same"}, "s2").split(":")[1].strip())
    assert len(set(hashes)) == 3


def test_library_without_the_function_is_an_error(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda dummy: "libm.so.6")
    with pytest.raises(AnsibleFilterError, match="cannot hash passwords"):
        password_file(USERS, "s1")
