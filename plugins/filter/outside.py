# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: outside
short_description: The paths that lie in none of some directories
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - A unit's sandbox opens directories of the host. A path in one of them is open already, and is not to be named on its
    own, because whoever may write to the directory could replace it by a link to another place.
options:
  _input:
    description: Absolute paths.
    type: list
    elements: str
    required: true
  _directories:
    description: Absolute paths of directories.
    type: list
    elements: str
    required: true
positional: _directories
"""

EXAMPLES = r"""
- name: Show that one of two paths is open already
  ansible.builtin.debug:
    msg: "{{ ['/var/lib/dask/scratch', '/srv/data'] | daskops.cluster.outside(['/var/lib/dask']) }}"
"""

RETURN = r"""
_value:
  description: The paths that are none of the directories and lie in none of them.
  type: list
  elements: str
"""

import posixpath


def outside(paths, directories):
    """The paths that are neither one of the directories nor in one of them."""
    roots = [posixpath.normpath(directory) for directory in directories]
    return [
        path
        for path in paths
        if not any(posixpath.commonpath([root, posixpath.normpath(path)]) == root for root in roots)
    ]


class FilterModule:
    """Ansible looks here for the filter."""

    def filters(self):
        return {"outside": outside}
