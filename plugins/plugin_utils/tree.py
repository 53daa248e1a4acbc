# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the files of an environment into one stream on the controller, and unpack it on hosts.

Both run this file as a script. A stream ``NAME.zst`` needs Zstandard, which Python 3.14 and newer have. Older versions need
``backports.zstd``. A host unpacks Zstandard three times as fast as the compression of wheels. A stream ``NAME.gz`` is for
hosts whose Python is too old for it.

    tree.py LIBRARY pack DIRECTORY STREAM
    tree.py LIBRARY unpack ARCHIVE MEMBER ENVIRONMENT
    tree.py LIBRARY decompress FILE TARGET

LIBRARY is a directory with ``backports.zstd`` if it is needed. ``unpack`` creates ENVIRONMENT and reads the stream directly
from the archive. If the stream has no ``bin/python``, ENVIRONMENT becomes a virtual environment of the interpreter that runs
the script.

The stream has a line with the length of a table, the table in JSON, and the contents of all files. The table has the name
and size of each file, and whether it is executable, or the name and target of each symbolic link. The stream is not a tar
archive, because Python needs more time to read the headers of a tar archive than to decompress and write all files.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tarfile
import venv
import zlib
from collections.abc import Callable
from typing import IO, Any

#: This level packs 412 MB into 110 MB. Higher levels take twice the time and save 5 %.
LEVEL = 6

#: Binary logarithm of the window size. The window should stay in the processor's cache while files are written. With the
#: level's default, the archive is 4 % smaller, but a host needs a third more time to decompress it.
WINDOW_LOG = 19

#: Bytes per read. With 128 KiB and more, the C library returns the memory to the system after each read, which is slow.
CHUNK = 1 << 16


def zstandard() -> Any:
    """Return the module for Zstandard."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd


def damages() -> tuple[type[Exception], ...]:
    """Return the exceptions for a truncated or damaged stream."""
    try:
        return EOFError, zlib.error, gzip.BadGzipFile, zstandard().ZstdError
    except ImportError:
        return EOFError, zlib.error, gzip.BadGzipFile


def pack(directory: str, stream: str) -> None:
    """Write the files below a directory into a stream. The same files give the same stream."""
    paths = sorted(
        os.path.join(parent, name) for parent, directories, names in os.walk(directory) for name in names + directories
    )
    links = [path for path in paths if os.path.islink(path)]
    # Hard links to uv's cache are packed as files.
    files = [path for path in paths if not os.path.islink(path) and os.path.isfile(path)]
    table: list[list[Any]] = [[os.path.relpath(path, directory), os.readlink(path)] for path in links]
    table += [
        [os.path.relpath(path, directory), os.path.getsize(path), os.stat(path).st_mode & 0o100 > 0] for path in files
    ]
    encoded = json.dumps(table).encode()
    with opened_for_writing(stream) as file:
        file.write(b"%d\n" % len(encoded) + encoded)
        for path in files:
            with open(path, "rb") as source:
                shutil.copyfileobj(source, file)


def opened_for_writing(stream: str) -> Any:
    """Open a new stream with the compression of its file name extension."""
    if stream.endswith(".gz"):
        return gzip.GzipFile(stream, "wb", compresslevel=LEVEL, mtime=0)
    zstd = zstandard()
    options = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.window_log: WINDOW_LOG,
        zstd.CompressionParameter.nb_workers: os.cpu_count() or 1,
        zstd.CompressionParameter.checksum_flag: True,
    }
    return zstd.open(stream, "wb", options=options)


def unpack(archive: str, member: str, environment: str) -> None:
    """Create an environment from the files in a stream, which is a member of an archive."""
    opener: Callable[[Any], Any] = gzip.open if member.endswith(".gz") else zstandard().open
    with tarfile.open(archive) as tar, opener(tar.extractfile(member)) as stream:
        table = json.loads(stream.read(int(stream.readline())))
        if not any(path == "bin/python" for path, *_about in table):
            make_virtual_environment(environment)
        os.makedirs(environment, exist_ok=True)
        os.chdir(environment)
        parent = None
        for path, *about in table:
            if os.path.dirname(path) != parent:
                parent = os.path.dirname(path)
                os.makedirs(parent or ".", exist_ok=True)
            if len(about) == 1:
                os.symlink(about[0], path)
            else:
                size, executable = about
                write(path, 0o755 if executable else 0o644, stream, size)
        stream.read(1)  # verifies the checksum at the end of the stream


def make_virtual_environment(environment: str) -> None:
    """Create a virtual environment of the interpreter that runs this script, without packages."""
    builder = venv.EnvBuilder(symlinks=True)
    context = builder.ensure_directories(environment)
    builder.create_configuration(context)
    builder.setup_python(context)


def write(path: str, mode: int, stream: IO[bytes], size: int) -> None:
    """Write the next ``size`` bytes of a stream into a new file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        while size > 0:
            chunk = stream.read(min(size, CHUNK))
            if not chunk:
                raise EOFError(f"it ends within {path}")
            size -= file.write(chunk)


def decompress(path: str, target: str) -> None:
    """Write the content of a file that is compressed with Zstandard."""
    with zstandard().open(path) as source, open(target, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


if __name__ == "__main__":
    library, action, *arguments = sys.argv[1:]
    sys.path.insert(0, library)
    actions: dict[str, Callable[..., None]] = {"pack": pack, "unpack": unpack, "decompress": decompress}
    try:
        actions[action](*arguments)
    except damages() as error:
        remedy = "Copy it again" if action == "decompress" else "Remove it from dask_cache on the controller"
        sys.exit(f"the archive is damaged ({error}). {remedy}, and run again.")
