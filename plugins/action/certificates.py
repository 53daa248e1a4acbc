# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the certificates that a host's services need, in one module execution."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import (
    Directory,
    Unusable,
    has_certificates,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, tls_files


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host = task_vars["inventory_hostname"]
        try:
            files = tls_files(self._templar, task_vars)
        except ValueError as error:
            return failed_if({}, [f"{host}: {error}"])
        try:
            directory = Directory(arguments["directory"], files)
            names = {kind: directory.name_for(kind, host, arguments["made"]) for kind in arguments["kinds"]}
            if self._task.check_mode and {"ca", *names.values()} & set(arguments["planned"]):
                return {"changed": True}  # an earlier task would make them
            with directory.locked(write=False):
                kept = [kind for kind, name in names.items() if name in arguments["kept"]]
                certificates = {kind: directory.bundle(name) for kind, name in names.items() if kind not in kept}
                authorities = directory.trusted()
        except (Unusable, IndexError) as error:  # IndexError: there is no certificate
            reason = (
                str(error)
                if isinstance(error, Unusable)
                else f"{arguments['directory']} has no certificate for this host"
            )
            return failed_if({}, [f"{host}: {reason}. Run site.yml without --tags."])
        module_arguments = {
            "home": arguments["home"],
            "user": arguments["user"],
            "authorities": authorities,
            "certificates": certificates,
            "kept": kept,
        }
        state = host_infos([host], task_vars["hostvars"]).get(host, {}).get("certificates")
        if state and has_certificates(state, authorities, certificates, arguments["user"], kept):
            return {"changed": False, "written": [], "reloaded": [], "current": state["current"]}
        return self.execute("install_certificates", module_arguments, task_vars)
