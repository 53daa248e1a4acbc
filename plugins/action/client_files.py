# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files with which an account connects, with the client certificate of the controller or of ``dask_tls_files``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, Unusable, make, plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.client_package import build_wheel
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import tls_files

#: Host names in the certificate of clients, by its name.
CLIENT = {"client": ["client"]}


def client_certificate(
    connection: Mapping[str, Any], files: Mapping[str, Any], make_missing: bool
) -> tuple[str, str] | None:
    """Return the certificate and the key of clients, in PEM format.

    If the key of the CA is in ``files``, the controller may have no client certificate, or one that expires soon. Then the
    function makes one in the controller's directory. Without ``make_missing``, it returns None instead.

    Parameters
    ----------
    connection : dict
        ``connection`` in the result of the module `plan`.
    files : dict
        Value of ``dask_tls_files``.

    Raises
    ------
    Unusable
        If there is no usable client certificate.
    """
    directory = Directory(connection["certificates"], files)
    if directory.authority_is_given and directory.has("ca.key") and not directory.is_given("client"):

        def due() -> dict[str, Any]:
            days, warn_days = connection["days"], connection["warn_days"]
            wanted, problems, dummy = plan(directory, CLIENT, days=days, warn_days=warn_days)
            if problems:
                raise Unusable("\n".join(problems))
            return wanted

        with directory.locked(write=False):
            missing = due()["certificates"]
        if missing and not make_missing:
            return None
        if missing:
            with directory.locked(write=True):  # decide again, because the task of another host may have made it by now
                wanted = due()
                if wanted["certificates"]:
                    make(directory, wanted, CLIENT, connection["days"])
                    directory.commit()
    fault = directory.missing("client")
    if fault:
        raise Unusable(f"{fault}. Run site.yml, or set it in dask_tls_files.")
    return directory.read("client.pem"), directory.read("client.key")


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        connection = arguments.pop("connection")
        module_arguments = {
            **arguments,
            "address": connection["address"],
            "dashboard": connection.get("dashboard"),
            "authorities": connection["authorities"],
        }
        if arguments["state"] == "present":
            given = {"path": "lock", "python": "interpreter", "application": "wheels"}
            given.update({name: name for name in ("build", "cache", "requirements")})
            options = {parameter: connection[name] for parameter, name in given.items()}
            try:
                packages = client_lock(**options, more=dict([build_wheel()]))
            except LockError as error:
                return failed_if({}, [str(error)])
            module_arguments.update(lock=packages["text"], wheels=packages["wheels"])
        if connection["authorities"]:
            try:
                files = tls_files(self._templar, task_vars)
                found = client_certificate(connection, files, not self._task.check_mode)
            except (Unusable, ValueError) as error:
                return failed_if({}, [str(error)])
            if not found:
                return {"changed": True, "directory": arguments["directory"]}
            module_arguments["certificate"], module_arguments["key"] = found
        return self.execute("client_bundle", module_arguments, task_vars)
