# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the results of `host_info` and `doctor_info` of all hosts."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.doctor import ERROR, Examined, diagnose, report
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.status_files import WrongFile, destination, replace
from ansible_collections.daskops.cluster.plugins.plugin_utils.support_bundle import archive, contents
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import connection_names, host_infos, values_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        plan, playing, hostvars = arguments["plan"], task_vars["ansible_play_hosts_all"], task_vars["hostvars"]
        try:
            values = values_of(self._templar, self._task, task_vars, playing)
        except ValueError as error:
            return failed_if({}, [str(error)])
        infos = host_infos(playing, hostvars)
        facts = {host: dict(hostvars.raw_get(host).get("__dask_result") or {}) for host in playing}
        examined = Examined(
            groups=task_vars["groups"],
            infos={host: infos.get(host, {}) for host in playing},
            facts=facts,
            values=values,
            plans=plan["hosts"],
            maintenance=plan["maintenance"],
            names=connection_names(playing, hostvars),
            scheduler_host=host_of(plan["addresses"]["scheduler"]),
        )
        findings = diagnose(examined)
        lines = report(findings, len(playing))
        problems: list[str] = []
        if arguments["bundle"]:
            files = contents(task_vars["groups"], values, plan, infos, facts, lines)
            problems = self._write(arguments["bundle"], files)
        return {
            "changed": bool(arguments["bundle"]) and not problems,
            "findings": [
                {**dataclasses.asdict(one), "severity": one.severity, "remedy": one.remedy} for one in findings
            ],
            "lines": [*lines, *problems],
            # A problem with the archive must not prevent the report.
            "errors": [*(one.line() for one in findings if one.severity == ERROR), *problems],
        }

    def _write(self, given: str, files: dict[str, str]) -> list[str]:
        """Write the archive, and return the problems. Only its owner can read it."""
        path = os.path.abspath(os.path.expanduser(given))
        try:
            destination(path, follow=False)
            if not self._task.check_mode:
                replace(path, archive(files, time.time()), 0o600, follow=False)
        except WrongFile as error:
            return [f"dask_support_bundle: {error}"]
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            return [f"dask_support_bundle: {path} cannot be written ({why}). Name a file in a directory that exists."]
        return []
