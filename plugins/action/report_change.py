# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail with what went wrong, what was put back, and what runs now."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils import reverting


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
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
        return dict(result, failed=True, msg="\n".join(line for line in said if line))
