# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect a host, validate what it reports, and compare its clock with the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.utils.display import Display
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import bounds
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import unbelievable

display = Display()


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        optional = arguments.pop("optional")
        before = time.time()
        try:
            result = self.execute(arguments, task_vars)
        except AnsibleConnectionFailure as error:
            if not optional:
                raise
            # With run_once, ignore_unreachable of the task would end the play.
            display.warning(f"{self._task.delegate_to or task_vars['inventory_hostname']} cannot be reached: {error}")
            return {"changed": False}
        if result.get("failed") or result.get("unreachable") or result.get("skipped"):
            return result
        wrong = unbelievable(result)
        if wrong:
            return {
                "failed": True,
                "msg": f"What this host says of itself cannot be true: {', '.join(wrong)}. Look at the host before you go "
                "on: somebody else may control it. Until then, leave it out with --limit.",
            }
        result["clock"] = bounds(before, time.time(), *result["clock"])
        return result
