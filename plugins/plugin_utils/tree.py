# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an environment as one stream, packed by the controller and unpacked by hosts.

It is a script for both. It needs Zstandard, which Python has from 3.14 on and ``backports.zstd`` before, and which a host
unpacks three times as fast as what wheels are packed with.

    tree.py LIBRARY pack DIRECTORY STREAM
    tree.py LIBRARY unpack ARCHIVE MEMBER ENVIRONMENT

LIBRARY is a directory with ``backports.zstd``, where it is needed. ``unpack`` makes ENVIRONMENT a virtual environment of the
interpreter that runs the script, and reads the stream from an archive without unpacking that first.

In the stream stand a line with the length of a table, the table in JSON, and the contents of the files one after the other.
The table has each file's name, its size, and whether it may be executed. Reading the headers of a tar takes Python longer
than to decompress and write all the files.
"""

import json
import os
import shutil
import sys
import tarfile
import venv

#: 412 MB in 110 MB; the next levels take twice the time for a twentieth less.
LEVEL = 6

#: How far back what repeats may lie, as a power of two: as much as stays in a processor's cache while files are written.
#: With the level's own, the archive is a twenty-fifth smaller, and a host decompresses it in a third more time.
WINDOW_LOG = 19

#: What is read at once. The C library gives memory from 128 KiB on back, to ask for it anew.
CHUNK = 1 << 16


def pack(directory, stream):
    """Write the files below a directory into a stream, the same for the same files."""
    # Links to uv's cache are files like any other.
    paths = sorted(os.path.join(parent, name) for parent, _, names in os.walk(directory) for name in names)
    table = [
        [os.path.relpath(path, directory), os.path.getsize(path), os.stat(path).st_mode & 0o100 > 0] for path in paths
    ]
    encoded = json.dumps(table).encode()
    options = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.window_log: WINDOW_LOG,
        zstd.CompressionParameter.nb_workers: os.cpu_count() or 1,
        zstd.CompressionParameter.checksum_flag: True,
    }
    with zstd.open(stream, "wb", options=options) as file:
        file.write(b"%d\n" % len(encoded) + encoded)
        for path in paths:
            with open(path, "rb") as source:
                shutil.copyfileobj(source, file)


def unpack(archive, member, environment):
    """Make a virtual environment of the files in a stream, which is a member of an archive."""
    builder = venv.EnvBuilder(symlinks=True)
    context = builder.ensure_directories(environment)
    builder.create_configuration(context)
    builder.setup_python(context)
    with tarfile.open(archive) as tar, zstd.open(tar.extractfile(member)) as stream:
        table = json.loads(stream.read(int(stream.readline())))
        os.chdir(environment)
        parent = None
        for path, size, executable in table:
            if os.path.dirname(path) != parent:
                parent = os.path.dirname(path)
                os.makedirs(parent or ".", exist_ok=True)
            write(path, 0o755 if executable else 0o644, stream, size)
        stream.read(1)  # at its end the stream is compared with its checksum


def write(path, mode, stream, size):
    """Write the next bytes of a stream into a new file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        while size > 0:
            chunk = stream.read(min(size, CHUNK))
            if not chunk:
                raise EOFError(f"it ends before {path} does")
            size -= file.write(chunk)


if __name__ == "__main__":
    library, action, *arguments = sys.argv[1:]
    sys.path.insert(0, library)
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    try:
        {"pack": pack, "unpack": unpack}[action](*arguments)
    except (EOFError, zstd.ZstdError) as error:
        sys.exit(f"the archive is damaged ({error}). Remove it from dask_cache on the controller, and run again.")
