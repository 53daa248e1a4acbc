# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that services and other users of a host wrote."""

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import is_printable, printable, read_text


def test_proc_file_is_read_with_a_large_limit():
    assert len(read_text("/proc/sys/kernel/random/boot_id", 64 * 1024**2)) == 37


def test_file_above_the_limit_is_rejected(tmp_path):
    (tmp_path / "file").write_bytes(b"a\rb")
    assert read_text(tmp_path / "file", 3) == "a\rb"
    with pytest.raises(ValueError, match="longer than 2 bytes"):
        read_text(tmp_path / "file", 2)


def test_control_characters_are_replaced():
    assert printable("a\x1b[2Jb\r\udce9\n\tc") == "a?[2Jb??\n\tc"
    assert printable("a" * 5000 + "b") == "a" * 3999 + "b"


@pytest.mark.parametrize("character", list("\r\x0b\x0c\x1b\x7f\x9b\u2028\u202e\u2066\ufeff\ud800"))
def test_character_that_affects_a_terminal_is_not_printable(character):
    assert not is_printable(f"a{character}b")


def test_text_of_any_language_is_printable():
    assert is_printable("Zoë 山田\t\N{ROCKET}\n") and is_printable("")
