# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that root creates and removes for the services' user, who may attack root with links."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import directories
from ansible_collections.daskops.cluster.plugins.module_utils.directories import belongs_to_root, descend
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import outside
from owned_directories import NOBODY, as_root, directory

PROGRAM = directories.__file__

# Replaces a path in a loop: with nothing, a directory, and links.
SWAP = """
import contextlib, os, random, sys, time
path, victim = sys.argv[1:]
print("ready", flush=True)
while True:
    for target in ("", victim, "directory", victim, victim + "/missing"):
        with contextlib.suppress(OSError):
            if target == "directory":
                os.mkdir(path)
            elif target:
                os.symlink(target, path)
        time.sleep(random.choice([0, 0, 0.0001, 0.001]))
        for remove in (os.unlink, os.rmdir):
            with contextlib.suppress(OSError):
                remove(path)
"""


def describe(path):
    about = path.lstat()
    return about.st_uid, about.st_gid, about.st_mode & 0o7777


def make(path, user="nobody", groups=()):
    """Run the program as a worker's unit does."""
    command = ["/usr/bin/python3", "-I", "-S", PROGRAM, user, path, *groups]
    return subprocess.run(command, capture_output=True, text=True)


@contextlib.contextmanager
def swapping(path, victim):
    command = ["/usr/bin/python3", "-c", SWAP, str(path), str(victim)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], cwd="/"
    ) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@as_root
def test_directory_below_one_of_root_is_created_for_the_user(place):
    assert make(place / "disk/dask/scratch").returncode == 0
    assert describe(place / "disk/dask/scratch") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o700)
    assert describe(place / "disk/dask") == describe(place / "disk") == (0, 0, 0o755)


@as_root
def test_directory_below_one_of_the_user_is_created_by_the_user(place):
    home = directory(place / "home", NOBODY.pw_uid)
    assert make(home / "a/scratch").returncode == 0
    assert describe(home / "a/scratch") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o700)
    assert describe(home / "a") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o755)


@as_root
def test_directory_below_one_of_a_further_group_is_created(place):
    shared = directory(place / "shared", mode=0o770)
    os.chown(shared, 0, 1)
    assert make(shared / "scratch").returncode != 0
    assert make(shared / "scratch", groups=["daemon"]).returncode == 0
    assert describe(shared / "scratch") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o700)


@as_root
def test_existing_directory_is_not_changed(place):
    for owner in (0, NOBODY.pw_uid):
        existing = directory(place / f"scratch{owner}", owner, 0o2775)
        before = describe(existing)
        assert make(existing).returncode == 0
        assert describe(existing) == before


@as_root
def test_links_of_root_are_followed(place):
    directory(place / "disk")
    (place / "absolute").symlink_to(place / "disk")
    directory(place / "other")
    (place / "other/relative").symlink_to("../absolute")
    assert make(place / "other/relative/scratch").returncode == 0
    assert describe(place / "disk/scratch")[0] == NOBODY.pw_uid
    (place / "loop").symlink_to("loop")
    said = make(place / "loop/scratch").stderr
    assert "Too many levels of symbolic links. Create it for the user nobody, or change" in said


@as_root
@pytest.mark.parametrize("target", ["victim", "victim/missing", "/etc/daskops-test"])
def test_root_creates_nothing_through_a_users_link(place, target):
    victim = directory(place / "victim")
    home = directory(place / "home", NOBODY.pw_uid)
    (home / "scratch").symlink_to(place / target)
    (home / "above").symlink_to(place / target)
    before = describe(victim)
    for path in (home / "scratch", home / "above/scratch"):
        done = make(path)
        assert done.returncode == 0 or "cannot be created" in done.stderr
    assert describe(victim) == before and not list(victim.iterdir())
    assert not Path("/etc/daskops-test").exists()


@as_root
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_directory_writable_by_others_is_not_trusted(place, mode):
    shared = directory(place / "shared", 0, mode)
    (shared / "scratch").symlink_to(directory(place / "victim"))
    assert make(shared / "scratch/own").returncode != 0
    assert not list((place / "victim").iterdir())
    done = make(shared / "mine")
    assert (done.returncode == 0) == (mode != 0o775), done.stderr
    if not done.returncode:
        assert describe(shared / "mine") == (NOBODY.pw_uid, NOBODY.pw_gid, 0o700)


@as_root
def test_swapping_the_directory_gives_the_user_no_other_directory(place):
    victim = directory(place / "victim")
    home = directory(place / "home", NOBODY.pw_uid)
    before = describe(victim)
    with swapping(home / "scratch", victim):
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            child = os.fork()
            if not child:
                with contextlib.suppress(OSError):
                    directories.make(str(home / "scratch"), "nobody")
                os._exit(0)
            os.waitpid(child, 0)
            assert describe(victim) == before
    assert not list(victim.iterdir())


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY.pw_uid])
def test_error_names_the_directory_that_cannot_be_created(place, owner):
    home = directory(place / "home", owner)
    (home / "scratch").touch()
    said = make(home / "scratch").stderr
    assert f"The scratch directory {home / 'scratch'} cannot be created: Not a directory." in said
    assert "Traceback" not in said
    assert "The user not-there does not exist" in make(home / "other", "not-there").stderr


def test_descent_ends_at_the_first_directory_writable_by_others(tmp_path):
    here, names = descend(str(tmp_path / "a/b"))
    try:
        assert names[-2:] == ["a", "b"]
        if len(names) > 2:
            assert not belongs_to_root(os.fstat(here))
    finally:
        os.close(here)


# Paths that the sandbox makes writable


@pytest.mark.parametrize(
    "path, inside",
    [
        ("/var/lib/dask", True),
        ("/var/lib/dask/", True),
        ("/var/lib/dask/scratch", True),
        ("/var/lib//dask/./scratch", True),
        ("/var/lib/dask-2", False),
        ("/var/lib", False),
        ("/scratch/var/lib/dask", False),
    ],
)
def test_path_below_a_writable_directory_is_left_out(path, inside):
    assert outside([path], ["/srv/data", "/var/lib/dask/"]) == ([] if inside else [path])
    assert outside([path], []) == [path]


def test_removal_stopped_by_the_user_does_not_block_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(directories, "become", lambda dummy: os.kill(os.getpid(), signal.SIGSTOP))
    directories.remove(str(tmp_path), "nobody", "dask-scratch-space")
