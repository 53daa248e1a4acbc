# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a release on its host. If it does not start, name the variable that is the probable cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.utils.display import Display
from ansible_collections.daskops.cluster.plugins.module_utils.release_names import name_of
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.blame import UNLOCKED, condensed, sentence
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import host_settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import set_by_user
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, values_of

display = Display()

OF_SCHEDULERS = ("dask_scheduler_",)
OF_WORKERS = ("dask_worker_", "dask_nanny_")
#: Number of journal lines in the message. The search for the cause reads all lines.
LINES = 15


def settings_of(unit: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a service reads."""
    if unit.startswith("dask-scheduler"):
        return {variable: value for variable, value in settings.items() if not variable.startswith(OF_WORKERS)}
    # A worker reads only the settings of its own pool.
    found = re.search(r"@(?:([a-z][a-z0-9_]*)-)?\d+\.service", unit)
    pool = found[1] if found else None
    return {
        variable: value
        for variable, value in settings.items()
        if not variable.startswith(OF_SCHEDULERS)
        and (not variable.startswith("dask_worker_pools.") or variable.split(".")[1] == pool)
    }


def explain(host: str, release: str, failure: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return the message about a service that failed in a trial.

    Parameters
    ----------
    host, release : str
        Name of the host, and name of the release with its label.
    failure : dict
        ``unit``, ``problem``, ``late`` and ``journal``.
    settings : dict
        Settings of the user, by variable.
    """
    last = "\n".join(condensed(failure["journal"]).splitlines()[-LINES:])
    variable = sentence(failure["journal"], settings_of(failure["unit"], settings), failure["late"])
    return (
        f"{host}: {failure['unit']} of the new release {release} {failure['problem']}. This was a "
        f"trial beside the running services, and nothing was stopped. {variable} To skip the trial, set dask_trial to "
        f"false. Last lines of the journal:\n{last}"
    )


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        release = plan["hosts"][host]["release"]
        chosen = release["trial"]
        tried = ["dask-scheduler.service"] * chosen["scheduler"] + chosen["workers"]
        if self._task.check_mode:
            display.display(f"{host}: would be tried beside the running services: {', '.join(tried)}.")
            return {"changed": False}
        values = values_of(self._templar, self._task, task_vars, [host])[host]
        settings = host_settings(values, host_infos([host], task_vars["hostvars"])[host], plan["addresses"])
        about = {"home": settings.home, "release": release["id"], "tls": settings.tls}
        answer = self.execute("try_release", {**arguments, **chosen, **about}, task_vars)
        failure = answer.pop("failure", None)
        if failure:
            users = set_by_user(settings, plan["hosts"][host]["kinds"])
            users.update({name: values[name] for name in UNLOCKED})
            said = explain(host, name_of(release), failure, users)
            return {"changed": False, "failed": True, "unit": failure["unit"], "msg": said}
        return {"msg": f"Tried: {', '.join(tried)} of release {name_of(release)}.", **answer}
