# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect a host, validate the result, and compare the host's clock with the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.utils.display import Display
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils._inspection import arguments_for, checked
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import values_of

display = Display()

#: Keys of a failed result.
FAILURE = ("changed", "failed", "unreachable", "msg", "exception", "module_stderr", "module_stdout", "rc")


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        optional = arguments.pop("optional")
        host = self._task.delegate_to or task_vars["inventory_hostname"]
        inspected = task_vars.get("__dask_lock") or {}
        if inspected.get("host") == host and inspected.get("info"):
            return dict(inspected["info"])  # `cluster_lock` has inspected this host in the same remote command
        try:
            values = values_of(self._templar, self._task, task_vars, [host])[host]
            asked = arguments_for(host, values, task_vars)
        except ValueError as error:
            return failed_if({}, [str(error)])
        # Options of the task take precedence over those from the variables.
        arguments = {**arguments, **{name: asked[name] for name in asked if name not in self._task.args}}
        before = time.time()
        try:
            result = self.execute("inspect_host", arguments, task_vars)
        except AnsibleConnectionFailure as error:
            # Do not fail: with run_once, even ignore_unreachable ends the play. A host in maintenance may be off.
            if not optional and not values["dask_maintenance"]:
                raise
            display.warning(f"{host} cannot be reached: {error}")
            return {"changed": False}
        if result.get("failed") or result.get("unreachable"):
            # The other keys of the result were not validated.
            return {name: result[name] for name in FAILURE if name in result}
        return checked(result, arguments["worker_interfaces"], before, time.time())
