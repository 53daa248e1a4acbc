# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ship a host the certificates that its services need, in one module execution."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import stale_services, wanted_files
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, Unusable
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


def nothing_to_do(seen, arguments):
    """Whether a host has what the module would install, and its services have read it."""
    texts = arguments["authorities"], arguments["certificates"]
    return seen["installed"] == wanted_files(*texts, arguments["user"]) and not stale_services(seen["loaded"], *texts)


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        host = task_vars["inventory_hostname"]
        try:
            directory = Directory(arguments["directory"])
            names = {kind: directory.name_for(kind, host, arguments["made"]) for kind in arguments["kinds"]}
            if self._task.check_mode and {"ca", *names.values()} & set(arguments.get("planned", [])):
                return dict(result, changed=True)  # they would be made before
            with directory.locked(write=False):
                certificates = {kind: directory.bundle(name) for kind, name in names.items()}
                authorities = directory.trusted()
        except (Unusable, IndexError) as error:  # IndexError: there is none
            reason = (
                str(error) if isinstance(error, Unusable) else f"{arguments['directory']} has no certificate for it"
            )
            return refuse(result, [f"{host}: {reason}. Run site.yml without --tags."])
        module_arguments = {
            "home": arguments["home"],
            "user": arguments["user"],
            "authorities": authorities,
            "certificates": certificates,
        }
        if "seen" in arguments and nothing_to_do(arguments["seen"], module_arguments):
            return dict(result, changed=False, written=[], reloaded=[])
        result.update(
            self._execute_module("daskops.cluster.certificates", module_args=module_arguments, task_vars=task_vars)
        )
        return result
