# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed Pythons on a host: allowed members of an archive, complete installations, and their removal."""

import contextlib
import json
import os
import stat
import subprocess
import sys
import tarfile

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import pythons
from ansible_collections.daskops.cluster.plugins.module_utils.pythons import (
    PythonError,
    complete_pythons,
    extract,
    install,
    interpreter,
    prune_pythons,
)
from hypothesis import given
from hypothesis import strategies as st
from python_archives import MACHINE, VERSION, build_relocatable, member, program, sha256_of, write_archive

NAME = f"{VERSION}+20261129-{MACHINE}"


def run(what, *command):
    """Run a command as the module does."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{what} failed: {done.stderr}")
    return done.stdout


#: Directories whose SELinux contexts were set.
RELABELLED = []


def build(archive, name=NAME, version=VERSION):
    return {"name": name, "version": version, "machine": MACHINE, "sha256": sha256_of(archive)}


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "archive.tar.gz", program())


def contents(directory):
    """Return the relative paths of everything in a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# Members of an archive


def test_members_have_no_owner_and_no_mode_bits_of_their_own(archive, tmp_path):
    os.umask(0o022)
    extract(str(archive), str(tmp_path / "out"))
    modes = {path: stat.S_IMODE((tmp_path / "out" / path).stat().st_mode) for path in contents(tmp_path / "out")}
    assert modes == {
        "bin": 0o755,
        "bin/python3": 0o755,  # followed
        "bin/python3.1": 0o755,
        "lib": 0o755,
        "lib/os.py": 0o644,
    }
    owners = {(tmp_path / "out" / path).lstat().st_uid for path in contents(tmp_path / "out")}
    assert owners == {os.geteuid()}


LEADING_OUT = {
    "a path outside": member("python/../../escaped", b"x"),
    "an absolute path": member("/tmp/escaped", b"x"),
    "another directory": member("other/file", b"x"),
    "a file of the directory's name": member("python", b"x"),
    "a link to a parent": member("python/lib/link", type=tarfile.SYMTYPE, linkname="../../.."),
    "an absolute link": member("python/link", type=tarfile.SYMTYPE, linkname="/etc"),
    "a hard link outside": member("python/link", type=tarfile.LNKTYPE, linkname="python/../../shadow"),
    "an absolute hard link": member("python/link", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
    "a device": member("python/device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a pipe": member("python/pipe", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("what", LEADING_OUT)
def test_archive_that_leads_out_is_rejected(tmp_path, what):
    path = write_archive(tmp_path / "archive.tar.gz", [*program(), LEADING_OUT[what]])
    with pytest.raises(PythonError, match="the archive has '"):
        extract(str(path), str(tmp_path / "in" / "out"))
    assert not (tmp_path / "escaped").exists() and not (tmp_path / "in/escaped").exists()


def test_member_behind_a_link_is_rejected(tmp_path):
    behind = [
        member("python/lib", type=tarfile.DIRTYPE),
        member("python/link", type=tarfile.SYMTYPE, linkname="lib"),
        member("python/link/file", b"x"),
    ]
    with pytest.raises(PythonError, match="'link/file', which is below a link"):
        extract(str(write_archive(tmp_path / "archive.tar.gz", behind)), str(tmp_path / "out"))


#: By its text alone, the last link leads to a/b.
UP = [
    member("python/a/b", type=tarfile.DIRTYPE),
    member("python/a/b/top", type=tarfile.SYMTYPE, linkname="../.."),
    member("python/out", type=tarfile.SYMTYPE, linkname="a/b/top/.."),
]
OVER_LINKS = {
    "a link": UP,
    "a hard link below a link": [*UP, member("python/x", type=tarfile.LNKTYPE, linkname="python/out/secret")],
    "a file in the place of a link": [
        *UP[:2],
        member("python/x", type=tarfile.SYMTYPE, linkname="a/b/top/../secret"),
        member("python/x", b"changed"),
    ],
    "a hard link to a link": [
        member("python/l", type=tarfile.SYMTYPE, linkname="bin"),
        member("python/x", type=tarfile.LNKTYPE, linkname="python/l"),
    ],
}


@pytest.mark.parametrize("what", OVER_LINKS)
def test_archive_that_leads_out_over_links_is_rejected(tmp_path, what):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    path = write_archive(tmp_path / "archive.tar.gz", [*program(), *OVER_LINKS[what]])
    with pytest.raises(PythonError, match="the archive has '"):
        extract(str(path), str(tmp_path / "out"))
    about = (tmp_path / "secret").stat()
    assert (stat.S_IMODE(about.st_mode), about.st_nlink) == (0o600, 1)
    assert (tmp_path / "secret").read_text() == "secret"


def test_message_has_no_control_characters(tmp_path):
    path = write_archive(tmp_path / "archive.tar.gz", [member("\x1b[2J\nx", b"x")])
    with pytest.raises(PythonError, match=r"the archive has '\?\[2J\?x'"):
        extract(str(path), str(tmp_path / "out"))


PARTS = st.sampled_from(["python", "a", "b", "..", ".", "", "/"])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


@given(
    st.lists(
        st.tuples(PATHS, st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]), PATHS),
        max_size=6,
    )
)
def test_no_archive_writes_outside(tmp_path_factory, entries):
    root = tmp_path_factory.mktemp("extract")
    members = [member(name, b"x" if kind == tarfile.REGTYPE else b"", type=kind, linkname=link)
               for name, kind, link in entries]  # fmt: skip
    archive = write_archive(root / "archive.tar.gz", members)
    out = root / "deep" / "er" / "out"
    with contextlib.suppress(PythonError, OSError, KeyError):
        extract(str(archive), str(out))
    outside = [path for path in root.rglob("*") if out not in (path, *path.parents)]
    assert sorted(path.name for path in outside) == ["archive.tar.gz", "deep", "er"]
    for path in out.rglob("*"):
        assert os.path.realpath(path).startswith(str(out)) or not path.exists()


@pytest.mark.parametrize("length", [0, 10, 200])
def test_damaged_archive_is_rejected(archive, tmp_path, length):
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(PythonError, match="the archive is damaged"):
        extract(str(archive), str(tmp_path / "out"))


# Installation


def test_relocatable_python_is_installed_and_runs(tmp_path):
    archive = build_relocatable(tmp_path)
    install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    assert RELABELLED[-1] == str(tmp_path / "pythons" / f".partial-{NAME}")
    assert complete_pythons(str(tmp_path)) == [NAME]
    python = interpreter(str(tmp_path), NAME)
    code = "import sys, json; print(json.dumps([sys.prefix, json.__file__, json.__cached__]))"
    prefix, source, cached = json.loads(run("", python, "-I", "-c", code))
    assert prefix == str(tmp_path / "pythons" / NAME)
    assert source.startswith(prefix) and os.path.exists(cached)
    assert json.loads((tmp_path / "pythons" / NAME / "python.json").read_text()) == build(archive)


def test_archive_with_another_hash_is_not_installed(archive, tmp_path):
    expected = build(archive)
    with open(archive, "ab") as file:
        file.write(b"\0")
    with pytest.raises(
        PythonError, match=f"the SHA-256 of the archive differs.* Remove python-{NAME.replace('+', '.')}"
    ):
        install(str(tmp_path), expected, str(archive), run, RELABELLED.append)
    assert contents(tmp_path / "pythons") == []


@pytest.mark.parametrize("other", [program(version="3.1.1"), program(machine="riscv64")])
def test_archive_of_another_python_is_not_installed(tmp_path, other):
    archive = write_archive(tmp_path / "archive.tar.gz", other)
    with pytest.raises(PythonError, match=rf"the archive has Python .* for .*, not {VERSION} for {MACHINE}"):
        install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    assert contents(tmp_path / "pythons") == []


def test_python_that_does_not_start_is_not_installed(tmp_path):
    archive = write_archive(tmp_path / "archive.tar.gz", [member("python/bin/python3", b"#!/bin/false\n", mode=0o755)])
    with pytest.raises(SystemExit, match="Starting the managed Python failed"):
        install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    assert contents(tmp_path / "pythons") == []


def test_interrupted_installation_is_not_complete_and_is_removed(archive, tmp_path):
    partial = tmp_path / "pythons" / f".partial-{NAME}"
    extract(str(archive), str(partial))
    (partial / "python.json").write_text(json.dumps(build(archive)))
    assert complete_pythons(str(tmp_path)) == []
    install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    assert complete_pythons(str(tmp_path)) == [NAME]
    assert [path.name for path in (tmp_path / "pythons").iterdir()] == [NAME]


@pytest.mark.parametrize("damage", ["interpreter", "description", "other description"])
def test_damaged_installation_is_replaced(archive, tmp_path, damage):
    install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    home = tmp_path / "pythons" / NAME
    if damage == "interpreter":
        (home / "bin/python3").unlink()
    else:
        (home / "python.json").write_text("" if damage == "description" else '{"name": "other"}')
    assert complete_pythons(str(tmp_path)) == []
    install(str(tmp_path), build(archive), str(archive), run, RELABELLED.append)
    assert complete_pythons(str(tmp_path)) == [NAME]


# Removal


def add(home, name):
    (home / "pythons" / name / "bin").mkdir(parents=True)
    (home / "pythons" / name / "python.json").write_text(json.dumps({"name": name}))


def add_environment(home, name, **about):
    (home / "environments" / name).mkdir(parents=True)
    described = {"id": name, "python": "3.13.1", "packages": {}, **about}
    (home / "environments" / name / "environment.json").write_text(json.dumps(described))


def test_only_pythons_of_environments_are_kept(tmp_path):
    for name in ("3.13.1+1-x86_64", "3.13.2+1-x86_64", "3.13.3+1-x86_64"):
        add(tmp_path, name)
    add_environment(tmp_path, "a", managed_python="3.13.2+1-x86_64")
    add_environment(tmp_path, "b")
    add_environment(tmp_path, ".partial-c", managed_python="3.13.3+1-x86_64")
    paths = [str(tmp_path / "pythons" / name) for name in ("3.13.1+1-x86_64", "3.13.3+1-x86_64")]
    assert prune_pythons(str(tmp_path)) == paths
    assert [path.name for path in (tmp_path / "pythons").iterdir()] == ["3.13.2+1-x86_64"]
    assert prune_pythons(str(tmp_path)) == []


def test_python_of_a_process_is_kept(tmp_path):
    add(tmp_path, NAME)
    library = tmp_path / "pythons" / NAME / "library.so"
    library.write_bytes(b"\0" * 4096)
    code = """
import mmap, sys
file = open(sys.argv[1], "rb")
loaded = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print(1, flush=True)
input()
"""
    command = [sys.executable, "-c", code, str(library)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "1\n"
        assert prune_pythons(str(tmp_path)) == []
        process.communicate("\n")
    assert prune_pythons(str(tmp_path)) == [str(tmp_path / "pythons" / NAME)]


def test_interrupted_removal_is_completed(tmp_path):
    add(tmp_path, ".removed-3.13.1")
    assert prune_pythons(str(tmp_path)) == []
    assert list((tmp_path / "pythons").iterdir()) == []


def test_host_without_managed_pythons_is_not_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(pythons, "directories_in_use", None)
    assert prune_pythons(str(tmp_path)) == []
