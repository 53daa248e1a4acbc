# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a host's Dask services and check that the host can run them, on the controller."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import plan_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        plan, problems = plan_host(task_vars["inventory_hostname"], arguments["info"], plain(arguments["settings"]))
        return refuse({**result, **plan}, problems)
