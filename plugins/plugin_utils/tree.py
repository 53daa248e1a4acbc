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
"""

import io
import os
import sys
import tarfile
import venv

#: 412 MB in 106 MB; the next levels take twice the time for a twentieth less.
LEVEL = 6

BUFFER = 1 << 17


def pack(directory, stream):
    """Write the files below a directory into a stream, the same for the same files."""

    def plain(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    options = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.nb_workers: os.cpu_count() or 1,
        zstd.CompressionParameter.checksum_flag: True,
    }
    # Links to uv's cache are files like any other.
    with zstd.open(stream, "wb", options=options) as file, tarfile.open(None, "w|", file, dereference=True) as tar:
        tar.add(directory, ".", filter=plain)  # in order of the names


def unpack(archive, name, environment):
    """Make a virtual environment of the files in a stream, which is a member of an archive."""
    builder = venv.EnvBuilder(symlinks=True)
    context = builder.ensure_directories(environment)
    builder.create_configuration(context)
    builder.setup_python(context)
    with tarfile.open(archive) as outer, zstd.open(outer.extractfile(name)) as stream:
        tar = tarfile.open(None, "r:", io.BufferedReader(stream, BUFFER))
        # tarfile's own extraction sets owner, mode and time of each file, one by one.
        for member in iter(tar.next, None):
            path = os.path.join(environment, member.name)
            if member.isdir():
                os.makedirs(path, exist_ok=True)
                continue
            tar.makefile(member, path)
            if member.mode & 0o100:
                os.chmod(path, 0o755)


if __name__ == "__main__":
    library, action, *arguments = sys.argv[1:]
    sys.path.insert(0, library)
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    {"pack": pack, "unpack": unpack}[action](*arguments)
