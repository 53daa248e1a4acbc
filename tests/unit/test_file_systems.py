# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that are unfit for spilling."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.file_systems import unfit_for_scratch


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("tmpfs", "is in memory"),
        ("ramfs", "is in memory"),
        *((kind, "is on the network") for kind in ("nfs", "nfs4", "cifs", "smb3", "afs", "ceph", "lustre", "beegfs")),
        *((kind, "is on the network") for kind in ("gpfs", "wekafs", "panfs", "ocfs2", "gfs2", "orangefs")),
        *((kind, "is a directory of the virtual machine's host") for kind in ("9p", "virtiofs", "vboxsf")),
        *((kind, "is a file system in user space") for kind in ("fuse", "fuse.sshfs", "fuse.s3fs", "fuse.glusterfs")),
    ],
)
def test_unfit_file_systems_have_a_reason(kind, reason):
    assert unfit_for_scratch(kind).startswith(reason)


@pytest.mark.parametrize(
    "kind", ["btrfs", "ext4", "f2fs", "fuseblk", "fuse.fuse-overlayfs", "overlay", "xfs", "zfs", "fusection", ""]
)
def test_local_file_systems_are_fit(kind):
    assert unfit_for_scratch(kind) == ""
