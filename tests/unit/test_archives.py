# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of environments: unpacked and rejected members."""

import io
import os
import resource
import subprocess
import tarfile
import zipfile

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.archives import ArchiveError, is_zstandard, unpack

LARGE = os.urandom((1 << 20) + 1)


def member(name, content=b"", **about):
    """Return a member and its content."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    return info, content


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, type=kind, linkname=target)


def write(path, *members, mode="w"):
    """Write an archive."""
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content) if content else None)
    return str(path)


GOOD = (
    member("./", type=tarfile.DIRTYPE, mode=0o2775),
    member("bin/tool", b"#!/bin/sh\n", mode=0o700, uid=1000, mtime=1_700_000_000.9),
    member("lib/data", LARGE, mode=0o666),
    member("./lib/empty"),
    link("lib/again", "lib/data", tarfile.LNKTYPE),
    link("lib64", "lib"),
    link("bin/link", "../lib64/data"),
    link("bin/dangling", "../lib/nothing"),
    # The interpreter of a virtual environment, which a host replaces.
    link("bin/python", "python3.11"),
    link("bin/python3.11", "/usr/bin/python3.11"),
    # conda-pack writes scripts of its own after those of the environment.
    member("bin/tool2", b"first"),
    member("bin/tool2", b"second"),
    link("lib/was-a-file", "empty"),
)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_files_and_links_are_unpacked(tmp_path, mode):
    directory = tmp_path / "out"
    unpack(write(tmp_path / "a.tar", *GOOD, mode=mode), str(directory))
    assert (directory / "lib/data").read_bytes() == (directory / "lib/again").read_bytes() == LARGE
    assert (directory / "lib/data").stat().st_mode & 0o777 == 0o644
    tool = (directory / "bin/tool").stat()
    assert (tool.st_mode & 0o7777, tool.st_uid, tool.st_mtime) == (0o755, os.geteuid(), 1_700_000_000)
    assert os.readlink(directory / "lib64") == "lib" and (directory / "bin/link").read_bytes() == LARGE
    assert os.readlink(directory / "bin/dangling") == "../lib/nothing"
    assert not os.path.lexists(directory / "bin/python3.11") and os.path.islink(directory / "bin/python")
    assert (directory / "bin/tool2").read_text() == "second"
    assert directory.stat().st_mode & 0o7000 == 0


BAD = {
    "absolute path": ([member("/etc/passwd", b"x")], "'/etc/passwd' would be outside of the environment"),
    "path to above": ([member("lib/../../x", b"x")], "'lib/../../x' would be outside of the environment"),
    "absolute link": (
        [link("lib/x", "/etc/passwd")],
        "the link 'lib/x' leads outside of the environment, to '/etc/passwd'",
    ),
    "link to above": ([link("lib/x", "../../x")], "the link 'lib/x' leads outside of the environment, to '../../x'"),
    "interpreter elsewhere": ([link("lib/python3", "/usr/bin/python3")], "the link 'lib/python3' leads outside"),
    "link over links": (
        # By its text alone, the second one leads to a/b/x.
        [member("top/f", b"x"), link("a/b/c/up", "../../../top"), link("x", "a/b/c/up/../../x")],
        "the link 'x' leads outside of the environment",
    ),
    "file below a link": ([link("d", "lib"), member("d/x", b"x")], "'d/x' is below a link"),
    "file below a link to above": ([link("d", "../.."), member("d/x", b"x")], "'d/x' is below a link"),
    "hard link to above": ([link("x", "../x", tarfile.LNKTYPE)], "'../x' would be outside of the environment"),
    "hard link to nothing": ([link("x", "etc/passwd", tarfile.LNKTYPE)], "'etc/passwd' is missing"),
    "hard link to a link": ([link("l", "x"), link("x", "l", tarfile.LNKTYPE)], "'l' is missing"),
    "name with control characters": ([member("/\x1b[2J\nx\udcff", b"x")], "'/?[2J?x?' would be outside of"),
    "device": ([member("dev/null", type=tarfile.CHRTYPE)], "'dev/null' is a device or a pipe"),
    "disk": ([member("dev/sda", type=tarfile.BLKTYPE)], "'dev/sda' is a device or a pipe"),
    "pipe": ([member("p", type=tarfile.FIFOTYPE)], "'p' is a device or a pipe"),
    "set-user-ID": ([member("bin/su", b"x", mode=0o4755)], "'bin/su' has the set-user-ID or set-group-ID bit"),
    "set-group-ID": ([member("bin/sg", b"x", mode=0o2755)], "'bin/sg' has the set-user-ID or set-group-ID bit"),
    "file and directory": ([member("a", b"x"), member("a/b", b"x")], "'a/b' is a directory and something else"),
    "directory and file": ([member("a/b", b"x"), member("a", b"x")], "'a' is a directory and something else"),
    "directory and link": ([member("a/b", b"x"), link("a", "c")], "'a' is a directory and something else"),
    "the whole is a link": ([member("a/b", b"x"), link(".", "a")], "is a directory and something else"),
}


@pytest.mark.parametrize("name", BAD)
def test_unsafe_archive_is_rejected(tmp_path, name):
    members, said = BAD[name]
    (tmp_path / "around").mkdir()
    with pytest.raises(ArchiveError) as error:
        unpack(write(tmp_path / "a.tar", *members), str(tmp_path / "around/out"))
    assert said in str(error.value)
    # Nothing is written beside the directory.
    assert [path.name for path in (tmp_path / "around").iterdir()] == ["out"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "around"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("damage", ["half", "bit", "last bytes"])
def test_damaged_archive_is_rejected(tmp_path, mode, damage):
    path = tmp_path / "a.tar"
    write(path, *GOOD, mode=mode)
    content = bytearray(path.read_bytes())
    if damage == "bit" and mode == "w":
        content[257] ^= 255  # the file has no checksum, but its headers have
    elif damage == "bit":
        content[len(content) // 2] ^= 255
    elif damage == "half" or mode != "w":
        del content[len(content) // 2 if damage == "half" else -10 :]
    else:
        del content[1 << 20 :]
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="^it is damaged, or not a tar archive"):
        unpack(str(path), str(tmp_path / "out"))


@pytest.mark.parametrize("content", [b"", b"not a tar archive", os.urandom(2048)])
def test_other_files_are_rejected(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveError, match="^it is damaged, or not a tar archive"):
        unpack(str(tmp_path / "a"), str(tmp_path / "out"))


def test_other_kinds_of_archives_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("x", "x")
    (tmp_path / "a.squashfs").write_bytes(b"hsqs" + bytes(100))
    (tmp_path / "a.sh").write_bytes(b"#!/bin/bash\nexit\n")
    said = {"a.zip": "it is a zip file", "a.squashfs": "it is an image of SquashFS", "a.sh": "it is a script"}
    for name, start in said.items():
        with pytest.raises(ArchiveError, match=f"^{start}.*, not a tar archive. Pack the environment as .tar.gz"):
            unpack(str(tmp_path / name), str(tmp_path / "out"))


def test_file_larger_than_the_disk_is_not_begun(tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(15 << 40)
    subprocess.run(["tar", "-C", tmp_path, "-cSf", tmp_path / "a.tar", "huge"], check=True)
    (tmp_path / "huge").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # so that this test never fills a disk
    try:
        with pytest.raises(OSError, match="No space left on device"):
            unpack(str(tmp_path / "a.tar"), str(tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "out/huge").exists()


def test_error_of_the_disk_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpack(write(tmp_path / "a.tar", *GOOD), str(tmp_path / "missing/out"))


def test_zstandard_is_recognized(tmp_path):
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd more")
    (tmp_path / "b").write_bytes(b"\x1f\x8b")
    assert is_zstandard(str(tmp_path / "a")) and not is_zstandard(str(tmp_path / "b"))
