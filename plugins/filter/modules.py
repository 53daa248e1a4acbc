# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: modules
short_description: The modules that files and names stand for
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Preload modules and modules with HTTP routes are given as files on the controller (C(.py)), or as what is importable on
    the hosts. A file is shipped, and imported by its name.
options:
  _input:
    description: Files and names. One that is given arguments is a dictionary of C(name) and C(arguments).
    type: list
    elements: raw
    required: true
"""

EXAMPLES = r"""
- name: Show what is imported
  ansible.builtin.debug:
    msg: "{{ dask_worker_preloads | daskops.cluster.modules | map(attribute='module') }}"
  vars:
    dask_worker_preloads:
      - my_company.dask_monitor
      - name: preloads/greeting.py
        arguments: [--language, en]
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each, with C(module), the name that it is imported by; C(file), its path on the controller, or
      nothing; and C(arguments), a list of strings.
  type: list
  elements: dict
"""

import os


def modules(entries):
    """Module, file and arguments of every entry."""
    found = []
    for entry in entries:
        about = {"name": entry} if isinstance(entry, str) else entry
        name = about["name"]
        is_file = name.endswith(".py") and "://" not in name
        found.append(
            {
                "module": os.path.basename(name)[: -len(".py")] if is_file else name,
                "file": os.path.realpath(os.path.expanduser(name)) if is_file else "",
                "arguments": [str(argument) for argument in about.get("arguments", [])],
            }
        )
    return found


class FilterModule:
    """Filters about what Dask is to import."""

    def filters(self):
        return {"modules": modules}
