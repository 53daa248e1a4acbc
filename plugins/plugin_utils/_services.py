# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of action plugins that change services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.module_utils.journals import command
from ansible_collections.daskops.cluster.plugins.module_utils.units import BOOT, kind_of
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils._planned_release import planned_release
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import runs_release
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos


class ServicesAction(Action):
    """Base class of action plugins that execute the modules `change_services` and `cluster_health`."""

    def change(
        self,
        kind: str,
        state: str,
        release: Mapping[str, Any],
        arguments: Mapping[str, Any],
        task_vars: dict[str, Any],
        changed_before: bool = False,
    ) -> dict[str, Any]:
        """Change the services of a kind to a state, and return the result of the module `change_services`.

        Does not connect to a host that already runs the release according to its result of `host_info`.

        Parameters
        ----------
        kind, state : str
            See the module's documentation.
        release : dict
            The release to run, in the form of `host_info`. Empty to stop services.
        arguments : dict
            Other arguments of the module, and the plan. Unknown arguments are ignored.
        changed_before : bool
            Whether this run has changed the services since the host was inspected.
        """
        options = ("home", "start_timeout", "hint", "back", "keep")
        given = {
            **{name: arguments[name] for name in options if name in arguments},
            "kind": kind,
            "state": state,
            "boot": BOOT[kind],
        }
        infos = host_infos([task_vars["inventory_hostname"]], task_vars["hostvars"])
        if state == "started" and not changed_before:
            for about in infos.values():
                if runs_release(about, release.get("id", ""), kind, release.get("services", {}).get(kind, {})):
                    return {"changed": False, "restarted": [], "removed": []}
        if state in ("started", "restarted"):
            try:
                planned = self._planned(kind, release, arguments["plan"], task_vars)
            except ValueError as error:
                return failed_if({}, [str(error)])
            given.update(release=release.get("id"), planned=planned)
        self._announce(kind, infos, task_vars)
        return self.execute("change_services", given, task_vars)

    def _announce(self, kind: str, infos: Mapping[str, Mapping[str, Any]], task_vars: Mapping[str, Any]) -> None:
        """Print that workers may drain, which can take minutes."""
        units = [unit for about in infos.values() for unit in about.get("running", {}) if kind_of(unit) == kind]
        if kind == "worker" and units and not self._task.check_mode:
            names = join([unit.removesuffix(".service") for unit in units])
            begins(f"changing {names}: each drains until its tasks end", task_vars["inventory_hostname"])

    def _planned(
        self, kind: str, release: Mapping[str, Any], plan: Mapping[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the services and units of a release that check mode has not staged; None if the host has them."""
        staged = not self._task.check_mode or plan.get("purpose") != "change"
        if staged or release["id"] != plan["hosts"][task_vars["inventory_hostname"]]["release"]["id"]:
            return None
        dummy, rendered = planned_release(self._templar, self._task, task_vars, plan)
        return {"services": rendered.services[kind], "units": rendered.units[kind]}

    def try_to_change(
        self,
        kind: str,
        state: str,
        release: Mapping[str, Any],
        arguments: Mapping[str, Any],
        task_vars: dict[str, Any],
        changed_before: bool = False,
    ) -> dict[str, Any]:
        """Call `change`, but return a failed result if the connection is lost, so that the change can be reverted."""
        try:
            return self.change(kind, state, release, arguments, task_vars, changed_before)
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}

    def ask(self, question: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the result of `cluster_health`. The result is failed if the module cannot be executed."""
        try:
            return self.execute("cluster_health", {**question, "fail_when_unhealthy": False}, task_vars)
        except Exception as error:  # AnsibleConnectionFailure, AnsibleError, and exceptions of connection plugins
            return {"failed": True, "msg": str(error)}

    def journal(self, unit: str) -> str:
        """Return the last 15 lines of a unit's journal; empty if the host cannot be reached."""
        try:
            said = self._low_level_execute_command(command(unit, 15), executable="/bin/sh").get("stdout", "")
            # The services' account writes to the journal, so remove control characters that could affect a terminal.
            return printable(str(said)).strip()
        except AnsibleConnectionFailure:
            return ""
