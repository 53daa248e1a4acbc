#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Write and remove text files below a directory in one execution
version_added: "0.1.0"
description:
  - Writes all files whose content differs, or none of them if one cannot be written, and removes others. Creates missing
    directories, and removes empty ones. A task with C(ansible.builtin.copy) for each file takes several times as long.
  - Files and directories are readable for all.
  - Fails if another account than root and the one that runs this module could change a directory on the path. A link, FIFO
    or device in the place of a file is replaced, and never opened.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports what would change.
  diff_mode:
    support: full
    description: Shows the content of each file before and after.
options:
  directory:
    description: The directory of the files, as an absolute path.
    type: path
    required: true
  files:
    description: Content of each file, by its path in the directory.
    type: dict
    default: {}
  absent:
    description: Paths in the directory of files that must not exist, unless they are in O(files).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write the files
  daskops.cluster.file_set:
    directory: /etc/prometheus/dask
    files:
      dask-rules.yml: "groups: []\n"
    absent: [dask-prometheus.yml]
"""

RETURN = r"""
written:
  description: Paths in the directory of the files that were written.
  type: list
  elements: str
  returned: success
removed:
  description: Paths in the directory of the files that were removed.
  type: list
  elements: str
  returned: success
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.replacement import Replacement, remove_empty
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import (
    NotRegular,
    changeable_by_others,
    open_regular,
)
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Largest file that is compared, in bytes. A larger one is replaced.
LIMIT = 16 * 1024**2


def content(path: str) -> str | None:
    """Return the content of a file; None if it does not exist, is not a regular file, or is too large."""
    try:
        return read_text(path, LIMIT, open_regular)
    except (FileNotFoundError, NotRegular, ValueError):
        return None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with reported(module, "writing the files; none of them was changed"):
        change(module)


def change(module: AnsibleModule) -> None:
    """Write and remove the files, and exit the module."""
    directory, files = module.params["directory"], module.params["files"]

    def full(name: str) -> str:
        return os.path.join(directory, name)

    if not os.path.isabs(directory):
        module.fail_json(msg=f"{directory} is not an absolute path. Give the path from the root directory.")
    for path in sorted({os.path.dirname(full(name)) for name in [*files, *module.params["absent"]]}):
        if changeable := changeable_by_others(path):
            module.fail_json(
                msg=f"{path}: other users can change {changeable}, so nothing was written there. Give it to root or to the "
                "account that runs this, writable only for its owner, or name another directory, such as in "
                "dask_monitoring_directory."
            )
    before = {name: content(full(name)) for name in [*files, *module.params["absent"]]}
    written = [name for name in files if before[name] != files[name]]
    removed = [name for name in module.params["absent"] if name not in files and os.path.lexists(full(name))]
    if not module.check_mode:
        replacement = Replacement()
        for name in written:
            replacement.file(full(name), files[name])
        for name in removed:
            replacement.remove(full(name))
        try:
            replacement.prepare()
            replacement.commit()
        finally:
            replacement.discard()
        for name in removed:
            remove_empty(os.path.dirname(full(name)))
        remove_empty(directory)
    diff = [
        {
            "before_header": full(name),
            "after_header": full(name),
            "before": before[name] or "",
            "after": files.get(name, ""),
        }
        for name in [*written, *removed]
    ]
    module.exit_json(changed=bool(diff), written=written, removed=removed, diff=diff)


if __name__ == "__main__":
    main()
