# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing and unpacking the files of an environment as one compressed stream."""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import tree

try:
    from compression import zstd
except ImportError:
    from backports import zstd

# Longer than one chunk, and random, so that it cannot be compressed.
LARGE = os.urandom(3 * tree.CHUNK + 1)
FILES = {"LICENCE": b"none", "bin/dask": b"#!python\n", "lib/a/__init__.py": b"", "lib/a/b/large.so": LARGE, "z": b"\n"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-I", tree.__file__, "", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture
def stream(tmp_path):
    """Return the path of a stream with the files above, of which bin/dask is executable."""
    for name, content in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o700 if name == "bin/dask" else 0o600)
    packed = tmp_path / "packages.zst"
    done = run("pack", tmp_path / "tree", packed)
    assert done.returncode == 0, done.stderr
    return packed


def unpack(stream, tmp_path):
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(stream, stream.name)
    return run("unpack", archive, stream.name, tmp_path / "environment")


def test_unpacked_files_equal_the_packed_ones(stream, tmp_path):
    done = unpack(stream, tmp_path)
    assert done.returncode == 0, done.stderr
    environment = tmp_path / "environment"
    for name, content in FILES.items():
        assert (environment / name).read_bytes() == content
        assert (environment / name).stat().st_mode & 0o777 == (0o755 if name == "bin/dask" else 0o644)
    # The result is a virtual environment.
    prefix = subprocess.run(
        [environment / "bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert prefix.stdout.strip() == str(environment)


@pytest.mark.parametrize("codec", ["zst", "gz"])
def test_environment_with_its_own_interpreter_is_unpacked_as_it_is(stream, tmp_path, codec):
    packed = tmp_path / "tree"
    (packed / "bin/python3.11").write_bytes(b"an interpreter")
    links = {"bin/python": "python3.11", "lib64": "lib", "lib/a/dangling": "../nothing"}
    for name, target in links.items():
        (packed / name).symlink_to(target)
    stream = tmp_path / f"compiled.{codec}"
    assert run("pack", packed, stream).returncode == 0
    done = unpack(stream, tmp_path)
    assert done.returncode == 0, done.stderr
    environment = tmp_path / "environment"
    assert {name: os.readlink(environment / name) for name in links} == links
    assert (environment / "lib64/a/b/large.so").read_bytes() == LARGE
    assert not (environment / "pyvenv.cfg").exists()
    again = tmp_path / "again" / stream.name  # gzip records the name
    again.parent.mkdir()
    assert run("pack", packed, again).returncode == 0
    assert again.read_bytes() == stream.read_bytes()


def test_damaged_gzip_stream_is_rejected(stream, tmp_path):
    stream = tmp_path / "packages.gz"
    assert run("pack", tmp_path / "tree", stream).returncode == 0
    content = bytearray(stream.read_bytes())
    for damaged in (content[:-4], content[: len(content) // 2], content[:-8] + bytes(8)):
        stream.write_bytes(damaged)
        done = unpack(stream, tmp_path)
        assert done.returncode == 1 and done.stderr.startswith("the archive is damaged (")
        shutil.rmtree(tmp_path / "environment")


def test_file_is_decompressed(tmp_path):
    (tmp_path / "a.zst").write_bytes(zstd.compress(LARGE))
    assert run("decompress", tmp_path / "a.zst", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == LARGE
    (tmp_path / "a.zst").write_bytes(zstd.compress(LARGE)[:-9])
    done = run("decompress", tmp_path / "a.zst", tmp_path / "a")
    assert done.returncode == 1 and done.stderr.endswith("). Copy it again, and run again.\n")


def assert_rejected(stream, tmp_path, why):
    done = unpack(stream, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"the archive is damaged ({why}")
    assert done.stderr.endswith("). Remove it from dask_cache on the controller, and run again.\n")


@pytest.mark.parametrize(
    "missing", [1, 4, tree.CHUNK]
)  # bytes: part of the checksum, the whole checksum, a chunk of files
def test_truncated_stream_is_rejected(stream, tmp_path, missing):
    stream.write_bytes(stream.read_bytes()[:-missing])
    assert_rejected(stream, tmp_path, "Compressed file ended before the end-of-stream marker was reached")


@pytest.mark.parametrize("where", [0.5, 1])  # relative position: within the files, within the checksum
def test_stream_with_a_flipped_bit_is_rejected(stream, tmp_path, where):
    content = bytearray(stream.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    stream.write_bytes(content)
    assert_rejected(stream, tmp_path, "Unable to decompress Zstandard data")


def test_stream_shorter_than_its_table_is_rejected(stream, tmp_path):
    stream.write_bytes(zstd.compress(zstd.decompress(stream.read_bytes())[:-1]))
    assert_rejected(stream, tmp_path, "it ends within z")
