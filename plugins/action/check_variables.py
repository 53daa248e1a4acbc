# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check every variable of the inventory separately, on the controller, before it is used."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import GROUPS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.names import PREFIX
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import problems
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import evaluation_of, variables_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        hosts = [host for group in GROUPS for host in task_vars["groups"].get(group, [])]
        evaluation = evaluation_of(self._templar)
        read: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        for host, variables in variables_of(hosts, task_vars["hostvars"]).items():
            names = [name for name in variables if str(name).startswith(PREFIX)]
            values, errors = evaluation.values([name for name in names if name in SETTINGS], variables)
            unknown = dict.fromkeys(name for name in names if name not in SETTINGS)
            read[host] = ({**values, **unknown}, {name: str(error) for name, error in errors.items()})
        return failed_if({}, problems(read, task_vars["ansible_play_hosts_all"]))
