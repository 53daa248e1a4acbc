# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Execute the module of the same name on one host for all hosts, without facts that this host could set for them."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return self.execute(self.module, arguments, task_vars)
