# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell, on the controller, which certificates are to be made."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import module_loader
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse

# What makes them. Galaxy installs it together with this collection; a checkout has to find it installed.
MAKER = "community.crypto"


def missing_maker(wanted):
    """A sentence if there is something to make, and nothing to make it with."""
    needed = wanted["authority"] or wanted["certificates"]
    if needed and not module_loader.find_plugin_with_context(f"{MAKER}.openssl_privatekey").resolved:
        yield (
            f"Certificates are made with the collection {MAKER}, which is not installed on the controller. Run "
            f"ansible-galaxy collection install {MAKER}, or install the Python package ansible, which has it."
        )


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        wanted, problems = plan(
            arguments["directory"],
            arguments["made"],
            arguments["scheduler_hosts"],
            arguments.get("authorities", {}),
            arguments.get("rotation", ""),
            arguments.get("joins", False),
        )
        result.update(wanted, previous=Directory(arguments["directory"]).has("ca.pem"))
        if self._task.check_mode:
            # What makes them does not run then.
            files = ["ca"] * wanted["authority"] + wanted["certificates"]
            listing = "".join(f"{name}.pem\n" for name in files)
            result["changed"] = bool(files)
            result["diff"] = {
                "before_header": "",
                "after_header": arguments["directory"],
                "before": "",
                "after": listing,
            }
        return refuse(result, [*problems, *missing_maker(wanted)])
