#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remove_scratch
short_description: Remove the files of workers in their scratch directories
version_added: "0.1.0"
description:
  - Removes C(dask-scratch-space) from the scratch directories with the permissions of the services' account. Then removes
    the scratch directories that are empty.
  - Keeps files that this account may not remove, and scratch directories that are mount points or links.
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
    required: true
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
  description: The directories that still exist.
  type: list
  elements: str
  returned: success
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.directories import remove

#: The directory that Dask creates in a scratch directory.
CONTENT = "dask-scratch-space"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "required": True},
            "user": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    directories = module.params["directories"]

    def existing() -> list[str]:
        paths = [path for directory in directories for path in (directory, os.path.join(directory, CONTENT))]
        return [path for path in paths if os.path.lexists(path)]

    before = existing()
    if not module.check_mode:
        for directory in directories:
            try:
                remove(directory, module.params["user"], CONTENT, module.params["groups"])
            except OSError as error:
                module.warn(f"{directory} was not removed: {error.strerror}. Remove it by hand.")
    after = existing()
    module.exit_json(
        changed=bool(before) if module.check_mode else before != after,
        left=[path for path in after if path in directories],
    )


if __name__ == "__main__":
    main()
