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
    errno.EROFS: "Mount the file system writable; if Linux made it read-only, see dmesg for the reason",
    errno.EPERM: "Check for an immutable file or directory (lsattr -d), and for rules of SELinux or AppArmor",
    errno.EACCES: "Check the permissions, the rules of SELinux or AppArmor, and that the play has become",
    errno.EIO: "The disk reports errors: see dmesg",
    errno.ESTALE: "Mount the network file system again",
    errno.ENOTDIR: "A file is in the place of a directory: move it away",
    errno.EISDIR: "A directory is in the place of a file: move it away",
    errno.ENOTEMPTY: "A directory is in the place of a file: move it away",
    errno.EEXIST: "Another file exists there: move it away",
    errno.ELOOP: "Symbolic links there form a loop: remove them",
    errno.EMFILE: "Raise the limit of open files of the login user",
    errno.ENFILE: "Raise fs.file-max",
    errno.ENOMEM: "Free memory on the host",
    errno.EXDEV: "Do not mount a file system there",
    errno.ENOENT: "Another process has removed it",
}


def explain(error: OSError) -> str:
    """Return two sentences about an `OSError`: the path and the reason, and the remedy."""
    path = error.filename2 or error.filename
    path = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "See dmesg and the host's journal")
    return f"{path + ': ' if path else ''}{reason}. {remedy}, then run again."


@contextlib.contextmanager
def reported(module: Any, doing: str) -> Iterator[None]:
    """Fail the module with a message instead of a traceback when the operating system reports an error.

    Parameters
    ----------
    module : AnsibleModule
    doing : str
        The operation, such as ``"writing the certificates"``. After a semicolon, the state after a failure.
    """
    try:
        yield
    except OSError as error:
        what, dummy, state = doing.partition("; ")
        module.fail_json(
            msg=f"On this host {what} failed{f' ({state})' if state else ''}: {explain(error)}", errno=error.errno
        )
