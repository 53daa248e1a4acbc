# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explain errors of the operating system to an administrator."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

#: Remedy by error number.
REMEDIES = {
    errno.ENOSPC: "Free space or inodes there (df -h, df -i)",
    errno.EDQUOT: "Raise the disk quota, or free space",
    errno.EROFS: "Mount the file system writable; if Linux made it read-only, dmesg tells why",
    errno.EPERM: "Look for an immutable file or directory (lsattr -d) and for rules of SELinux or AppArmor",
    errno.EACCES: "Look at the permissions, and for rules of SELinux or AppArmor; the play needs become",
    errno.EIO: "The disk reports errors: see dmesg",
    errno.ESTALE: "Mount the network file system again",
    errno.ENOTDIR: "A file lies where a directory should be: move it away",
    errno.EISDIR: "A directory lies where a file should be: move it away",
    errno.ENOTEMPTY: "A directory lies where a file should be: move it away",
    errno.EEXIST: "Something else lies there: move it away",
    errno.ELOOP: "Links there lead in a circle: remove them",
    errno.EMFILE: "Raise the limit of open files of the login user",
    errno.ENFILE: "Raise fs.file-max",
    errno.ENOMEM: "Free memory on the host",
    errno.EXDEV: "Do not mount a file system there",
    errno.ENOENT: "Something removed it meanwhile",
}


def explain(error: OSError) -> str:
    """Return two sentences: the path and the reason of an `OSError`, and what to do."""
    path = error.filename2 or error.filename
    path = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "Look at dmesg and at the host's journal")
    return f"{path + ': ' if path else ''}{reason}. {remedy}, then run again."


@contextlib.contextmanager
def reported(module: Any, doing: str) -> Iterator[None]:
    """Fail the module with a message instead of a traceback when the operating system reports an error.

    Parameters
    ----------
    module : AnsibleModule
    doing : str
        The operation, such as ``"writing the certificates"``; after a semicolon, the state that a failure leaves behind.
    """
    try:
        yield
    except OSError as error:
        what, _, state = doing.partition("; ")
        module.fail_json(
            msg=f"On this host {what} failed{f' ({state})' if state else ''}: {explain(error)}", errno=error.errno
        )
