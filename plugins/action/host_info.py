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
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import PROXY_SITE, host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import pools_of, questions
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import unbelievable
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import values_of

display = Display()


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        optional = arguments.pop("optional")
        host = self._task.delegate_to or task_vars["inventory_hostname"]
        try:
            asked = self._asked(host, task_vars)
        except ValueError as error:
            return failed_if({}, [str(error)])
        # What a task names itself wins.
        arguments = {**arguments, **{name: asked[name] for name in asked if name not in self._task.args}}
        before = time.time()
        try:
            result = self.execute(arguments, task_vars)
        except AnsibleConnectionFailure as error:
            if not optional:
                raise
            # With run_once, ignore_unreachable of the task would end the play.
            display.warning(f"{host} cannot be reached: {error}")
            return {"changed": False}
        if result.get("failed") or result.get("unreachable") or result.get("skipped"):
            return result
        wrong = unbelievable(result)
        if wrong:
            return {
                "failed": True,
                "msg": f"This host reported invalid values: {', '.join(wrong)}. Inspect the host before you continue: it "
                "may be compromised. Until then, exclude it with --limit.",
            }
        result["clock"] = bounds(before, time.time(), *result["clock"])
        return result

    def _asked(self, host: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The arguments that follow from the host's variables."""
        values = values_of(self._templar, task_vars, [host])[host]
        address = values["dask_scheduler_address"]
        scheduler_host = host_of(address) if address else values["dask_scheduler_host"]
        return questions(values, pools_of(values), scheduler_host, PROXY_SITE)
