# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail with what went wrong, what was put back, and what runs now."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils import reverting
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        about = arguments["scheduler"]
        said = [*arguments["failures"], *reverting.last_words(arguments["journals"])]
        if arguments["kind"] == "worker":
            said += reverting.went_back(arguments["results"], arguments["ways"], arguments["enabled"])
            said.append("Hosts whose turn had not come were not touched.")
            said.append(reverting.about_scheduler(about["seen"], about["turn"], about["wanted"], about["back"]))
        else:
            (host,) = arguments["ways"]
            said += reverting.scheduler_state(
                arguments["ways"][host],
                arguments["results"][host],
                about["again"],
                about["expected"],
                about["served"],
                arguments["enabled"],
                about["stopped"],
                about["workers"],
            )
        return {"failed": True, "msg": "\n".join(filter(None, said))}
