# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a host's Dask services to a release."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._services import ServicesAction


class ActionModule(ServicesAction):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        about = arguments["plan"].get("hosts", {}).get(task_vars["inventory_hostname"], {})
        return self.change(arguments["kind"], arguments["state"], about.get("release", {}), arguments, task_vars)
