# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find file systems that are unfit for a scratch directory, because spilling is slow or uses the memory it should free."""

from __future__ import annotations

#: Types of file systems in Linux, by the reason why they are unfit.
UNFIT = {
    "is in memory": ("ramfs", "tmpfs"),
    "is on the network": (
        *("acfs", "afs", "beegfs", "beegfs_nodev", "ceph", "cifs", "coda", "dvs", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("lustre", "lustre_lite", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs"),
        "wekafs",
    ),
    "is a directory of the virtual machine's host": ("9p", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"),
}

#: File systems in user space (FUSE) that keep their files on a local disk.
LOCAL = ("fuse.fuse-overlayfs", "fuse.ntfs", "fuse.ntfs-3g", "fuseblk")


def unfit_for_scratch(kind: str) -> str:
    """Return why a type of file system is unfit for a scratch directory, to follow "which"; empty if it is not unfit."""
    for reason, kinds in UNFIT.items():
        if kind in kinds:
            return reason
    if kind in LOCAL:
        return ""
    # Other file systems in user space, such as fuse.sshfs, are slow, even on a local disk.
    return "is a file system in user space, slow or on the network" if kind.partition(".")[0] == "fuse" else ""
