# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links that are replaced together."""

import os

from ansible_collections.daskops.cluster.plugins.module_utils.replacement import Replacement


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
