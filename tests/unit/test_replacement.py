# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links that are replaced together."""

import os

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.replacement import Replacement, write


def test_replacement_can_be_committed_and_undone(tmp_path):
    old, new, gone, link = (tmp_path / name for name in ("old", "d/new.conf", "e.d/gone.conf", "link"))
    old.write_text("1")
    gone.parent.mkdir()
    gone.write_text("3")
    link.symlink_to("old")

    def seen():
        paths = [path for path in tmp_path.rglob("*") if not path.is_dir() or path.is_symlink()]
        return {
            str(path.relative_to(tmp_path)): os.readlink(path) if path.is_symlink() else path.read_text()
            for path in paths
        }

    def replacement():
        wanted = Replacement()
        wanted.file(str(old), "2")
        wanted.file(str(new), "new")
        wanted.remove(str(gone))
        wanted.link(str(link), "d")
        wanted.prepare()
        return wanted

    before = seen()
    for committed in (False, True):
        taken_back = replacement()
        if committed:
            taken_back.commit()
        taken_back.undo()
        assert seen() == before and not new.parent.exists()
    done = replacement()
    done.commit()
    done.discard()
    assert seen() == {"old": "2", "d/new.conf": "new", "link": "d"} and not gone.parent.exists()


def test_relative_path_starts_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = Replacement()
    wanted.file("mon/a", "1")
    wanted.prepare()
    wanted.commit()
    wanted.discard()
    assert (tmp_path / "mon/a").read_text() == "1"


def test_partial_file_is_not_written_through_a_link(tmp_path):
    (tmp_path / "a.new").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write(str(tmp_path / "a.new"), "1")
    assert not (tmp_path / "victim").exists()
