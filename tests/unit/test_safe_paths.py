# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can change what a path leads to, with real directories and links, and files that are not opened."""

import os
import shutil
import stat
import struct

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import (
    NotRegular,
    changeable_by_others,
    open_examined,
    open_regular,
    steps,
)

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


def test_path_leads_through_links_to_its_last_step(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/up").symlink_to("../a/./b")
    (tmp_path / "absolute").symlink_to(tmp_path / "a/up")
    for path in ("a/b", "a/up", "absolute"):
        assert list(steps(str(tmp_path / path)))[-1][0] == str(tmp_path / "a/b")
    assert list(steps(f"{tmp_path}/absolute/none/file"))[-1] == (f"{tmp_path}/a/b/none/file", None)
    (tmp_path / "dots").symlink_to("a/..")
    assert list(steps(str(tmp_path / "dots")))[-1][0] == str(tmp_path)


def test_loop_and_file_in_the_way_are_errors(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for path, error in (("loop", "Too many levels"), ("file/a", "Not a directory")):
        with pytest.raises(OSError, match=error):
            changeable_by_others(str(tmp_path / path))


def test_own_directories_cannot_be_changed_by_others(tmp_path):
    assert changeable_by_others(str(tmp_path)) == changeable_by_others(f"{tmp_path}/none/none") == ""


@pytest.mark.parametrize("mode", [0o777, 0o772])
def test_directory_that_others_can_write_to(tmp_path, mode):
    (tmp_path / "open/below").mkdir(parents=True)
    (tmp_path / "open").chmod(mode)
    assert changeable_by_others(f"{tmp_path}/open/below") == f"{tmp_path}/open"


def test_in_a_sticky_directory_others_can_only_create(tmp_path):
    (tmp_path / "tmp/own").mkdir(parents=True)
    (tmp_path / "tmp").chmod(0o1777)
    assert changeable_by_others(f"{tmp_path}/tmp/own/none") == ""
    assert changeable_by_others(f"{tmp_path}/tmp/none") == changeable_by_others(f"{tmp_path}/tmp") == f"{tmp_path}/tmp"


@ROOT
def test_link_in_the_middle_of_a_chain(tmp_path):
    """The path and its target are root's, and so are all directories above both."""
    (tmp_path / "target").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/link").symlink_to(tmp_path / "target")
    (tmp_path / "first").symlink_to(tmp_path / "home/link")
    assert changeable_by_others(str(tmp_path / "first")) == ""
    os.chown(tmp_path / "home", 65534, 65534)
    assert changeable_by_others(str(tmp_path / "first")) == f"{tmp_path}/home"


@ROOT
@pytest.mark.parametrize("account, group, rejected", [("daemon", "daemon", False), ("daemon", "bin", True)])
def test_private_group_of_an_account_may_write(place, account, group, rejected):
    """On Ubuntu, directories of users have the mode 0775 and a group of the same name."""
    (place / "own").mkdir()
    shutil.chown(place / "own", account, group)
    (place / "own").chmod(0o775)
    assert as_user(account, lambda: changeable_by_others(f"{place}/own")) == (f"{place}/own" if rejected else "")


@ROOT
@pytest.mark.parametrize("group, rejected", [("staff", False), ("root", False), ("daemon", True)])
def test_group_of_administrators_without_members_may_write(place, group, rejected):
    """In Debian 11, /usr/local has the mode 2775 and the group staff."""
    (place / "local").mkdir()
    shutil.chown(place / "local", "root", group)
    (place / "local").chmod(0o2775)
    assert changeable_by_others(f"{place}/local") == (f"{place}/local" if rejected else "")


@ROOT
def test_access_control_list_may_name_others(place):
    entries = [(0x01, 7, 0), (0x02, 7, 65534), (0x04, 5, 0), (0x10, 7, 0), (0x20, 5, 0)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(place, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    assert changeable_by_others(str(place)) == str(place)


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "device"])
def test_only_regular_files_are_opened(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "b").touch()
        path.symlink_to("b")
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(NotRegular):
        open_regular("/dev/null" if kind == "device" else str(path), os.O_RDONLY)


def test_file_behind_a_link_is_opened_as_it_was_examined(tmp_path, monkeypatch):
    for name in ("examined", "other"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("examined")

    def swapped(mode, examine=stat.S_ISREG):
        link.unlink()
        link.symlink_to("other")
        return examine(mode)

    monkeypatch.setattr(stat, "S_ISREG", swapped)
    with open(link, opener=open_examined) as file:
        assert file.read() == "examined"
    with open(link, opener=open_examined) as file:
        assert file.read() == "other"


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_link_to_something_else_is_not_opened(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "directory":
        target.mkdir()
    else:
        target = "/dev/null"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(NotRegular):
        open_examined(str(tmp_path / "link"), os.O_RDONLY)
