# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions run with another user's rights, and paths that such a user can change."""

import grp
import os
import struct
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import accounts
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import act_as, as_user, changeable, in_child
from owned_directories import NOBODY, as_root, directory

DAEMON = grp.getgrnam("daemon")


@as_root
@pytest.mark.parametrize("user", ["nobody", NOBODY.pw_uid, "not-there", 4_000_000])
def test_function_runs_with_the_rights_of_the_user_only(user, place):
    closed = directory(place / "closed", mode=0o700)
    uid, groups, access = as_user(user, lambda: [os.getresuid(), os.getgroups(), os.access(closed, os.R_OK)])
    assert len(set(uid)) == 1 and uid[0] != 0
    assert 0 not in groups and not access
    with pytest.raises(PermissionError, match="Permission denied"):
        as_user(user, lambda: os.listdir(closed))
    assert os.geteuid() == 0


@as_root
@pytest.mark.parametrize("user", ["nobody", "not-there"])
def test_function_has_the_rights_of_further_groups(user, place):
    shared = directory(place / "shared", mode=0o770)
    os.chown(shared, 0, DAEMON.gr_gid)
    for groups, allowed in (([], False), (["daemon"], True), ([str(DAEMON.gr_gid)], True), (["not-there"], False)):
        assert as_user(user, lambda: os.access(shared, os.W_OK), groups=groups) is allowed
        assert changeable(user, str(shared / "code"), groups) == (str(shared) if allowed else "")


def test_function_is_limited_in_time_and_output(monkeypatch):
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="no answer within 0.2 s"):
        as_user("nobody", lambda: time.sleep(60), timeout=0.2)
    assert time.monotonic() - start < 10
    monkeypatch.setattr(accounts, "LIMIT", 100)
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        as_user("nobody", lambda: "a" * 101)


def test_child_that_cannot_be_killed_is_abandoned(monkeypatch):
    """As one that waits for a dead file server. Ansible must not wait for it either, so it has no standard files."""
    reading, writing = os.pipe()
    kills = []
    with monkeypatch.context() as patch:
        patch.setattr(accounts.os, "kill", lambda *call: kills.append(call))
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            in_child(lambda: [os.write(writing, os.readlink(f"/proc/self/fd/{n}").encode()) for n in range(3)]
                     and time.sleep(60), 0.2)  # fmt: skip
        assert 1 <= time.monotonic() - start < 10
    assert os.read(reading, 100) == b"/dev/null" * 3
    os.close(reading)
    os.close(writing)
    ((child, signal),) = kills
    os.kill(child, signal)
    os.waitpid(child, 0)


@pytest.mark.parametrize("function", [lambda: 1 / 0, lambda: object(), lambda: os._exit(0)])
def test_function_without_an_answer_raises_value_error(function):
    with pytest.raises(ValueError, match="without an answer"):
        as_user("nobody", function)


def test_value_error_of_the_function_is_passed_on():
    with pytest.raises(ValueError, match="invalid literal"):
        as_user("nobody", lambda: int("a"))


def signalled():
    """Return whether a process of ``nobody`` can send signals to this one."""
    here = os.getpid()

    def enter():
        os.seteuid(0)
        act_as("nobody")

    try:
        return in_child(lambda: os.kill(here, 0) or True, 5, enter)
    except PermissionError:
        return False


@as_root
def test_processes_of_the_user_cannot_end_a_test_of_access(place, monkeypatch):
    assert as_user("nobody", os.getresuid, effective=True) == [0, NOBODY.pw_uid, 0]
    assert as_user("not-there", os.getresgid, effective=True) == [0, 65534, 0]
    monkeypatch.setattr(accounts, "may_write", lambda path, about: signalled())
    assert changeable("nobody", str(place)) == ""


# POSIX access control lists


def acl(path, *named):
    """Let users and groups access a path. Each is a tag, the bits and an id."""
    entries = [(0x01, 7, 0), (0x02, 0, 65533), *named, (0x04, 5, 0), (0x08, 0, 65533), (0x10, 6, 0), (0x20, 5, 0)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries))
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)


@as_root
@pytest.mark.parametrize(
    ("entry", "groups", "allowed"),
    [
        ((0x02, 7, NOBODY.pw_uid), [], True),
        ((0x02, 5, NOBODY.pw_uid), [], False),
        ((0x02, 7, DAEMON.gr_gid), [], False),
        ((0x08, 7, DAEMON.gr_gid), ["daemon"], True),
        ((0x08, 7, DAEMON.gr_gid), [], False),
    ],
)
def test_access_by_a_list(place, entry, groups, allowed):
    acl(place, entry)
    assert changeable("nobody", f"{place}/dask", groups) == (str(place) if allowed else "")


@as_root
@pytest.mark.parametrize("user", ["nobody", "daemon"])
@pytest.mark.parametrize("group", [0, DAEMON.gr_gid])
@pytest.mark.parametrize("mode", [0o755, 0o775, 0o757, 0o777])
def test_permission_to_write_is_that_of_the_kernel(place, user, group, mode):
    os.chown(place, 0, group)
    place.chmod(mode)
    writable = as_user(user, lambda: os.access(place, os.W_OK))
    assert as_user(user, lambda: accounts.may_write(str(place), place.stat()), effective=True) is writable
    assert changeable(user, f"{place}/dask") == (str(place) if writable else "")


@as_root
def test_c_library_that_compares_the_real_ids(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode, **how: True)
    assert changeable("nobody", f"{place}/dask") == ""


# Paths that a user can change


@as_root
def test_paths_of_root_are_not_changeable(place):
    directory(place / "a")
    (place / "a/python").touch()
    (place / "link").symlink_to("a")
    for path in (place / "a/python", place / "link/python", place / "missing/dask"):
        assert changeable("nobody", str(path)) == "", path
    assert changeable("nobody", "/usr/bin/python3") == ""


@as_root
@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_directory_owned_by_the_user_is_changeable(place, mode):
    home = directory(place / "home", NOBODY.pw_uid, mode)
    directory(home / "python")
    assert changeable("nobody", str(home / "python/bin")) == str(home)
    (place / "link").symlink_to(home / "python")
    assert changeable("nobody", str(place / "link")) == str(home)
    # Another user cannot change it.
    assert changeable("daemon", str(home / "python/bin")) == ""
    assert changeable("root", str(home / "python/bin")) == ""


@as_root
def test_world_writable_paths_are_changeable(place):
    shared = directory(place / "shared", mode=0o777)
    assert changeable("nobody", str(shared / "dask")) == changeable("not-there", str(shared / "dask")) == str(shared)
    sticky = directory(place / "sticky", mode=0o1777)
    directory(sticky / "roots")
    assert changeable("nobody", str(sticky / "roots/python")) == ""
    assert changeable("nobody", str(sticky / "missing/python")) == str(sticky)  # the user could create it first
    mine = directory(sticky / "mine", NOBODY.pw_uid)
    assert changeable("nobody", str(mine / "python")) == str(mine)
    file = place / "python"
    file.touch()
    file.chmod(0o666)
    assert changeable("nobody", str(file)) == str(file)


@as_root
def test_links_on_the_way_count(place):
    """The path, what it leads to, and all directories above both belong to root."""
    scratch = directory(place / "scratch", NOBODY.pw_uid)
    for name in ("python3", "home"):
        (scratch / name).symlink_to("/usr/bin/python3" if name == "python3" else directory(place / "real"))
        (place / name).symlink_to(scratch / name)
        assert changeable("nobody", str(place / name)) == str(scratch)
    # The user cannot pass the first directory, but root can.
    closed = directory(place / "closed", mode=0o700)
    (closed / "link").symlink_to(scratch / "python3")
    assert changeable("nobody", str(closed / "link")) == str(scratch)


@as_root
def test_owner_of_a_link_in_a_sticky_directory_can_replace_it(place):
    sticky = directory(place / "sticky", mode=0o1777)
    (sticky / "bin").symlink_to("/usr/bin")
    assert changeable("nobody", str(sticky / "bin/python3")) == ""
    os.lchown(sticky / "bin", NOBODY.pw_uid, NOBODY.pw_gid)
    assert changeable("nobody", str(sticky / "bin/python3")) == str(sticky / "bin")
