# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host's Dask services run a release; a host that was seen to run it is left alone, without a connection."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import runs_release
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        # What was seen is much, and has no vaulted texts in it.
        arguments = plain({name: value for name, value in self._task.args.items() if name != "seen"})
        seen = self._task.args.get("seen", {})
        if arguments.get("state", "started") == "started" and runs_release(
            seen, arguments.get("release", ""), arguments.get("kind", ""), arguments.get("services") or {}
        ):
            return {**result, "changed": False, "restarted": [], "removed": []}
        result.update(self._execute_module("daskops.cluster.services", module_args=arguments, task_vars=task_vars))
        return result
