# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that removes the scratch directories of workers."""

import json
import subprocess
from pathlib import Path

from owned_directories import NOBODY, as_root, directory


def remove(*paths, files=()):
    arguments = {"directories": list(map(str, paths)), "files": list(map(str, files)), "user": "nobody"}
    command = ["ansible", "localhost", "-m", "daskops.cluster.remove_scratch", "-a", json.dumps(arguments)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    return json.loads(run.stdout.partition("=>")[2])


def spilled(path, owner):
    """Create the files that workers leave in a scratch directory."""
    for made in (path, path / "dask-scratch-space", path / "dask-scratch-space/worker-1"):
        directory(made, owner)


@as_root
def test_scratch_is_removed(place):
    home = directory(place / "home", NOBODY.pw_uid)
    for scratch in (home / "scratch", place / "scratch", place / "used"):
        spilled(scratch, NOBODY.pw_uid)
    (place / "used/of-somebody-else").touch()
    result = remove(home / "scratch", place / "scratch", place / "used", place / "missing")
    assert result["changed"] and result["left"] == [str(place / "used")]
    assert sorted(path.name for path in place.iterdir()) == ["home", "used"]
    assert [path.name for path in (place / "used").iterdir()] == ["of-somebody-else"]
    assert not list(home.iterdir())


@as_root
def test_root_removes_nothing_through_a_users_link(place):
    other = directory(place / "other")
    spilled(other / "scratch", 0)
    home = directory(place / "home", NOBODY.pw_uid)
    (home / "scratch").symlink_to(other / "scratch")
    (home / "above").symlink_to(other)
    result = remove(home / "scratch", home / "above/scratch")
    assert (other / "scratch/dask-scratch-space/worker-1").exists()
    assert not result["changed"] and len(result["left"]) == 2


@as_root
def test_files_are_removed_but_not_what_links_lead_to(place):
    other = directory(place / "other")
    (other / "of-root").touch()
    home = directory(place / "home", NOBODY.pw_uid)
    (home / "file").touch()
    (home / "link").symlink_to(other / "of-root")
    (home / "above").symlink_to(other)
    directory(home / "directory", NOBODY.pw_uid)
    (home / "directory/link").symlink_to(other)
    files = [home / name for name in ("file", "link", "above/of-root", "directory", "missing")]
    result = remove(files=files)
    assert (other / "of-root").exists()
    assert result["changed"] and result["left"] == [str(home / "above/of-root")]
    assert [path.name for path in home.iterdir()] == ["above"]
