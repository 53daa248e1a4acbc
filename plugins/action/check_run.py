# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the groups, the limit and the tags of a run. Ansible ignores misspelt names without a message."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible import context
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import problems
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.tags import tags_of, unknown_tags


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        found: list[object] = list(
            problems(task_vars["groups"], arguments["purpose"] == "connect", task_vars["ansible_play_hosts_all"])
        )
        # Ignore tags that Ansible's configuration skips. They apply to every playbook, so a playbook need not have them.
        skipped = [tag for tag in task_vars["ansible_skip_tags"] if tag not in C.TAGS_SKIP]
        options = {"--tags": task_vars["ansible_run_tags"], "--skip-tags": skipped}
        playbooks = context.CLIARGS.get("args")
        # Reading the playbooks again takes a second, so do it only if there are tags to check.
        if playbooks and any(tag not in ("all", "always") for tags in options.values() for tag in tags):
            known, complete = tags_of(playbooks, self._loader, self._task.get_variable_manager())
            unknown = list(unknown_tags(known, options))
            if complete:
                found += unknown
            elif unknown:
                result["warnings"] = unknown
        return failed_if(result, found)
