# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of fetched packages, in places of different owners."""

import os

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.caches import unsafe_cache
from owned_directories import NOBODY, as_root
from sentences import only, says


def test_missing_directory_is_created_for_this_account_alone(tmp_path):
    assert list(unsafe_cache(str(tmp_path / "caches/daskops"))) == []
    assert (tmp_path / "caches/daskops").stat().st_mode & 0o777 == 0o700
    (tmp_path / "caches/daskops").chmod(0o755)
    assert list(unsafe_cache(str(tmp_path / "caches/daskops"))) == []


def test_home_of_the_account_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(unsafe_cache("~/.cache/daskops")) == []
    assert (tmp_path / ".cache/daskops").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
@pytest.mark.parametrize("below", ["", "/daskops"])
def test_directory_to_which_others_can_write(tmp_path, mode, below):
    """Another account could make the archive whose name a run computes. Hosts run programs in it as root."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    found = list(unsafe_cache(f"{shared}{below}"))
    if mode == 0o1777 and below:  # only this account can replace its directory
        assert found == []
        return
    assert says(
        only(found),
        f"dask_cache ({shared}{below}) is not safe: other accounts of the controller can change {shared},",
        "Set it to a directory that only",
    )


@as_root
def test_directory_of_another_account(place):
    (place / "daskops").mkdir()
    os.chown(place / "daskops", NOBODY.pw_uid, NOBODY.pw_gid)
    assert f"can change {place}/daskops," in only(unsafe_cache(str(place / "daskops")))


def test_directory_that_cannot_be_used_is_left_to_who_uses_it(tmp_path):
    (tmp_path / "file").touch()
    assert list(unsafe_cache(str(tmp_path / "file/daskops"))) == []
