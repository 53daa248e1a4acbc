# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of root and of another user, for tests that act as both. Defines a fixture."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as root and as another user")


@pytest.fixture
def place():
    """Return a directory that only root can change, as /srv is."""
    directory = tempfile.mkdtemp(prefix="daskops-test-", dir="/run")
    os.chmod(directory, 0o755)
    yield Path(directory)
    shutil.rmtree(directory)


def directory(path, owner=0, mode=0o755):
    """Create a directory with an owner and a mode, and return it."""
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path
