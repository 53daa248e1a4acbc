# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the commands and file transfers that a run really sends to each host.

A task may send several (``template``), one (most), or none (an action that works on the controller), so it is not tasks that
are counted but calls of the methods through which everything goes to a host.
"""

from __future__ import annotations

import collections
import os
import tempfile

from ansible.executor.task_executor import TaskExecutor
from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: remote_commands
type: aggregate
short_description: Count remote commands by host
description:
  - Prints how many commands and files the tasks of a run sent to each host.
options: {}
"""


class CallbackModule(CallbackBase):
    """Patches Ansible before it forks; the forks write a line for each call."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "remote_commands"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        handle, self.path = tempfile.mkstemp(prefix="remote-commands-")
        os.close(handle)
        run, path, playbook = TaskExecutor.run, self.path, os.getpid()
        executors = []

        def remembering(executor):
            executors[:] = [executor]  # a fork runs one
            return run(executor)

        def counting(method):
            def call(*args, **kwargs):
                host = executors[0]._task.delegate_to or executors[0]._host.name
                # The process that renews the cluster's lock every 15 s has another parent.
                if os.getppid() == playbook:
                    with open(os.open(path, os.O_WRONLY | os.O_APPEND), "a") as file:
                        file.write(f"{host}\n")
                return method(*args, **kwargs)

            return call

        TaskExecutor.run = remembering
        ActionBase._low_level_execute_command = counting(ActionBase._low_level_execute_command)
        ActionBase._transfer_file = counting(ActionBase._transfer_file)

    def v2_playbook_on_stats(self, stats):
        with open(self.path, encoding="utf-8") as file:
            calls = collections.Counter(file.read().split())
        os.remove(self.path)
        self._display.banner("REMOTE COMMANDS")
        for host in sorted(stats.processed):
            self._display.display(f"{host:<26} : {calls[host]}")
