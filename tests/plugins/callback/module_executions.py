# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the modules that a run really executes on each host: what a run costs, whatever its tasks look like.

A task may execute several modules (``template``: two), one (most), or none (an action that works on the controller),
so it is not tasks that are counted but calls of the one method through which every module goes to a host.
"""

from __future__ import annotations

import collections
import os
import tempfile

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: module_executions
type: aggregate
short_description: Count module executions by host
description:
  - Prints how many modules a run executed on each host.
options: {}
"""


class CallbackModule(CallbackBase):
    """Patches `ActionBase._execute_module` before Ansible forks; the forks write a line for each call."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_executions"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        handle, self.path = tempfile.mkstemp(prefix="module-executions-")
        os.close(handle)
        execute, path = ActionBase._execute_module, self.path

        def counting(action, *args, **kwargs):
            host = action._task.delegate_to or (kwargs.get("task_vars") or {}).get("inventory_hostname", "?")
            name = kwargs.get("module_name") or (args[0] if args else None) or action._task.action
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{host}\t{name}\n")
            return execute(action, *args, **kwargs)

        ActionBase._execute_module = counting

    def v2_playbook_on_stats(self, stats):
        with open(self.path, encoding="utf-8") as file:
            calls = collections.Counter(line.split("\t")[0] for line in file)
        os.remove(self.path)
        self._display.banner("MODULE EXECUTIONS")
        for host in sorted(stats.processed):
            self._display.display(f"{host:<26} : {calls[host]}")
