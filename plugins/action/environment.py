# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the packages of an environment, and its Python, to a host that lacks the environment, and build it there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import services_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import conda_packages
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos, values_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        host, plan = task_vars["inventory_hostname"], arguments.pop("plan")
        about, info = plan["hosts"][host], host_infos([host], task_vars["hostvars"])[host]
        name, environment = about["release"]["environment"], about["environment"]
        if host not in plan["plays"]["build"]:
            return {"changed": False, "environment": info["environments"][name]}
        shared = plan["environments"][name]
        arguments.update({key: environment[key] for key in ("python", "managed_python")})
        arguments.update(id=name, origin=shared["origin"])
        archive, packages = environment["archive"], shared["packages"]
        # The plan has archives only if the host lacks the environment, or its Python.
        if archive and not self._task.check_mode:
            size = os.path.getsize(archive) // 1_000_000
            begins(f"sending the packages ({size} MB), and building the environment", host)
            arguments["archive"] = self._copied(archive, "environment.tar")
            if environment["python_archive"]:
                arguments["python_archive"] = self._copied(environment["python_archive"], "python.tar.gz")
        services = services_of(values_of(self._templar, self._task, task_vars, [host])[host])
        arguments.update({key: services[key] for key in ("user", "groups")})
        path = shared["origin"].get("path", "")
        if path:
            found = info["environment_paths"][path]
            arguments["about"] = {key: found[key] for key in ("python", "packages", "by_conda")}
            arguments["about"]["conda"] = conda_packages(found)
            arguments["setup"] = services["setup"]
        result = self.execute("build_environment", arguments, task_vars)
        result.pop("diff", None)
        if packages and not result.get("failed"):
            current = info["environments"].get(info["current"].get("environment", ""), {})
            before = with_python(current.get("packages", {}), current.get("managed_python", ""))
            after = with_python(packages, environment["managed_python"].get("name", ""))
            result["diff"] = package_differences(before, after)
        if archive:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _copied(self, file: str, name: str) -> str:
        """Copy a file to the host, and return its path there."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        path: str = self._transfer_file(file, self._connection._shell.join_path(self._connection._shell.tmpdir, name))
        return path


def with_python(packages: Mapping[str, str], name: str) -> dict[str, str]:
    """Return packages with the managed Python of their environment as one of them; ``name`` is empty if it has none."""
    return {**packages, "managed-python": name} if name else dict(packages)
