# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the inventory as a whole, on the controller, before the first connection to a host."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import wrong_environment
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import is_needed, problems
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import evaluation_of, values_of, variables_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        groups = task_vars["groups"]
        hosts = [host for group in ("dask_scheduler", "dask_workers") for host in groups.get(group, [])]
        evaluation = evaluation_of(self._templar)
        read: dict[str, dict[str, Any]] = {}
        for host, variables in variables_of(hosts, task_vars["hostvars"], self._task).items():
            values, errors = evaluation.values([name for name in variables if is_needed(str(name))], variables)
            # Give a value that cannot be evaluated a unique value. Ansible reports the error when it connects.
            read[host] = {**values, **dict.fromkeys(errors, host)}
        try:
            # These variables apply to the whole cluster, so read them from one host. A different value on another host is
            # one of the reported problems.
            common = next(iter(values_of(self._templar, self._task, task_vars, hosts[:1]).values()), {})
        except ValueError as error:
            return failed_if({}, [str(error)])
        found = problems(
            groups,
            read,
            common.get("dask_scheduler_address", ""),
            common.get("dask_scheduler_platform", "linux"),
            common.get("dask_tls", True),
            common.get("dask_dashboard_proxy", False),
            common.get("dask_client_scheduler_host", ""),
            common.get("dask_scheduler_host", "") if groups.get("dask_scheduler") else "",
        )
        return failed_if({}, [*found, *(wrong_environment(common) if common else [])])
