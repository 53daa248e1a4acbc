# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prefix of conda environments, compared with the result of their own program."""

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError, unpack
from ansible_collections.daskops.cluster.plugins.plugin_utils.prefixes import (
    PROGRAM,
    longest_prefix,
    records,
    replaced,
    set_prefix,
)
from packed_prefixes import LIBRARY, PLACEHOLDER, make_conda, pack_conda


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    directory = tmp_path_factory.mktemp("conda")
    return pack_conda(make_conda(directory / "env", [], directory / "caches"), directory / "env.tar.gz")


@pytest.fixture
def short_path():
    """Return a directory whose path fits into that of the archive's files, which `tmp_path` may not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


def test_files_equal_those_of_conda_unpack(archive, short_path):
    theirs, ours = short_path / "0f3c5e9a7b1d", short_path / "ours"
    unpack(str(archive), str(theirs))
    subprocess.run([sys.executable, theirs / PROGRAM], check=True, capture_output=True)
    unpack(str(archive), str(ours))
    listed = records((ours / PROGRAM).read_text())
    changed = set_prefix(str(ours), listed, str(theirs))
    assert set(changed) >= {"lib/liba.so", "etc/a.conf", f"{LIBRARY}/site-packages/where.py"}
    names = [os.path.relpath(os.path.join(path, name), ours) for path, _dirs, found in os.walk(ours) for name in found]
    names = [name for name in names if "__pycache__" not in name]
    assert len(names) > 100
    assert filecmp.cmpfiles(theirs, ours, names, shallow=False)[1:] == ([], [])
    assert f"home = {theirs}/share" in (ours / "etc/a.conf").read_text()
    binary = (ours / "lib/liba.so").read_bytes()
    assert len(binary) == (theirs / "lib/liba.so").stat().st_size and str(theirs).encode() in binary


def test_binary_limits_the_length_of_the_prefix(archive, tmp_path):
    unpack(str(archive), str(tmp_path / "env"))
    assert longest_prefix(records((tmp_path / "env" / PROGRAM).read_text())) == len(PLACEHOLDER)
    assert longest_prefix([("a", "/short", "text")]) is None


@pytest.mark.parametrize(
    ("content", "binary", "expected"),
    [
        (b"a=/old/x:/old\n/older", False, b"a=/n/x:/n\n/ner"),
        (b"\0/old/x\0y/old\0/old", True, b"\0/n/x\0\0\0y/n\0\0\0/old"),
        (b"/old:/old\0z", True, b"/n:/n\0\0\0\0\0z"),
        (b"nothing\0", True, b"nothing\0"),
    ],
)
def test_content_with_another_prefix(content, binary, expected):
    assert replaced(content, b"/old", b"/n", binary) == expected


@pytest.mark.parametrize(
    "program",
    [
        "no python (",
        "_other = []\n",
        "_prefix_records = __import__('os').listdir('/')\n",
        "_prefix_records = [('a', 'b')]\n",
        "_prefix_records = [('a', '/old', 'shell')]\n",
        "_prefix_records = [('a', '', 'text')]\n",
        "_prefix_records = []\n_prefix_records = []\n",
        "_prefix_records = " + "-" * 100_000 + "1\n",
        "_prefix_records = [('a', '/old\\ud800', 'text')]\n",
    ],
)
def test_other_program_is_rejected_without_running_it(program):
    with pytest.raises(ArchiveError, match="bin/conda-unpack has an unknown form"):
        records(program)


def test_only_files_of_the_environment_are_changed(tmp_path):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    tree.mkdir()
    outside.write_text("/old")
    (tree / "link").symlink_to(outside)
    listed = [(name, "/old", "text") for name in ("link", "../outside", str(outside), "missing")]
    assert set_prefix(str(tree), listed, "/new") == []
    assert outside.read_text() == "/old"
