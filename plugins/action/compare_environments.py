# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that all hosts of a play have the same packages, on the controller."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.hosts import differing_packages
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        packages = {}
        for host, info in host_infos(arguments["plan"]["hosts"], task_vars["hostvars"]).items():
            planned = arguments["plan"]["hosts"][host]["release"]["environment"]
            # In check mode, an environment that is not built yet has no packages to compare.
            about = arguments["built"].get(host) or info["environments"].get(planned)
            if about:
                packages[host] = about["packages"]
        return failed_if({}, differing_packages(packages))
