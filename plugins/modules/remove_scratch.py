#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remove_scratch
short_description: Remove the files of services in directories of their account
version_added: "0.1.0"
description:
  - Removes C(dask-scratch-space) from the scratch directories with the permissions of the services' account. Then removes
    the scratch directories that are empty.
  - Keeps files that this account may not remove, and scratch directories that are mount points or links.
  - Also removes single files with these permissions.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports which directories exist.
  diff_mode:
    support: none
    description: The content of files that tasks wrote is not shown.
options:
  directories:
    description: The scratch directories.
    type: list
    elements: path
    default: []
  files:
    description: Paths of files. A link is removed itself, and a directory of this name is removed with its content.
    type: list
    elements: path
    default: []
  user:
    description: Account that the services ran as.
    type: str
    required: true
  groups:
    description: Groups that the services had in addition to those of O(user).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Remove the files of workers
  daskops.cluster.remove_scratch:
    directories: [/var/lib/dask/scratch]
    user: dask
"""

RETURN = r"""
left:
  description: The directories and files that still exist.
  type: list
  elements: str
  returned: success
"""

import contextlib
import functools
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user
from ansible_collections.daskops.cluster.plugins.module_utils.directories import remove

#: The directory that Dask creates in a scratch directory.
CONTENT = "dask-scratch-space"


def unlink(path: str) -> None:
    """Remove a file or link, or a directory, which a task can create instead of a file."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except IsADirectoryError:
        shutil.rmtree(path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "user": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    directories, files, user = module.params["directories"], module.params["files"], module.params["user"]

    def existing() -> list[str]:
        paths = [path for directory in directories for path in (directory, os.path.join(directory, CONTENT))]
        return [path for path in [*paths, *files] if os.path.lexists(path)]

    before = existing()
    if not module.check_mode:
        for directory in directories:
            try:
                remove(directory, user, CONTENT, module.params["groups"])
            except OSError as error:
                module.warn(f"{directory} was not removed: {error.strerror}. Remove it by hand.")
        for path in files:
            try:
                as_user(user, functools.partial(unlink, path), groups=module.params["groups"])
            except (OSError, ValueError) as error:
                module.warn(f"{path} was not removed: {error}. Remove it by hand.")
    after = existing()
    module.exit_json(
        changed=bool(before) if module.check_mode else before != after,
        left=[path for path in after if path in directories or path in files],
    )


if __name__ == "__main__":
    main()
