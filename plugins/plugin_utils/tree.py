# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the files of an environment into one stream on the controller, and unpack it on hosts.

Both run this file as a script. It needs Zstandard, which Python 3.14 and newer have. Older versions need ``backports.zstd``.
A host unpacks Zstandard three times as fast as the compression of wheels.

    tree.py LIBRARY pack DIRECTORY STREAM
    tree.py LIBRARY unpack ARCHIVE MEMBER ENVIRONMENT

LIBRARY is a directory with ``backports.zstd`` if it is needed. ``unpack`` creates ENVIRONMENT, a virtual environment of the
interpreter that runs the script, and reads the stream directly from the archive.

The stream has a line with the length of a table, the table in JSON, and the contents of all files. The table has the name
and size of each file, and whether it is executable. The stream is not a tar archive, because Python needs more time to read
the headers of a tar archive than to decompress and write all files.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import venv
from collections.abc import Callable
from typing import BinaryIO

#: This level packs 412 MB into 110 MB. Higher levels take twice the time and save 5 %.
LEVEL = 6

#: Binary logarithm of the window size. The window should stay in the processor's cache while files are written. With the
#: level's default, the archive is 4 % smaller, but a host needs a third more time to decompress it.
WINDOW_LOG = 19

#: Bytes per read. With 128 KiB and more, the C library returns the memory to the system after each read, which is slow.
CHUNK = 1 << 16


def pack(directory: str, stream: str) -> None:
    """Write the files below a directory into a stream. The same files give the same stream."""
    # Hard links to uv's cache are packed as files.
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


def unpack(archive: str, member: str, environment: str) -> None:
    """Create a virtual environment from the files in a stream, which is a member of an archive."""
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
        stream.read(1)  # verifies the checksum at the end of the stream


def write(path: str, mode: int, stream: BinaryIO, size: int) -> None:
    """Write the next ``size`` bytes of a stream into a new file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        while size > 0:
            chunk = stream.read(min(size, CHUNK))
            if not chunk:
                raise EOFError(f"it ends within {path}")
            size -= file.write(chunk)


if __name__ == "__main__":
    library, action, *arguments = sys.argv[1:]
    sys.path.insert(0, library)
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    try:
        actions: dict[str, Callable[..., None]] = {"pack": pack, "unpack": unpack}
        actions[action](*arguments)
    except (EOFError, zstd.ZstdError) as error:
        sys.exit(f"the archive is damaged ({error}). Remove it from dask_cache on the controller, and run again.")
