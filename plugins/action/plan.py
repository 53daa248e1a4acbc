# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what a run does to each host, from the variables of all hosts and the results of `host_info`."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import Application, application_of, pack
from ansible_collections.daskops.cluster.plugins.plugin_utils.caches import unsafe_cache
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import resolve
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import ByHost, Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import Outside, Rejected, make_plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import Choice
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import (
    client_packages,
    environments,
    lock_file,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.python_builds import Source, Wanted, provide
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos_in, values_of, variables_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        try:
            cluster = self._cluster(arguments, task_vars)
            outside = Outside(
                unsafe_cache=unsafe_cache,
                pythons=provided,
                environments=environments,
                client_packages=client_packages,
                application=application,
                pack=lambda made, common: pack(made, common["dask_cache"]),
                addresses_of=functools.partial(addresses_of, task_vars["hostvars"]),
                resolve=resolve,
                filtered_hosts=functools.partial(self._filtered_hosts, cluster, task_vars),
            )
            lock = lock_file(cluster.common["dask_environment_lock"])
            return make_plan(cluster, arguments["purpose"], lock, outside)
        except Rejected as rejected:
            return failed_if({}, rejected.problems)
        except ValueError as error:  # a variable that cannot be evaluated
            return failed_if({}, [str(error)])

    def _cluster(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> Cluster:
        groups, hostvars, playing = task_vars["groups"], task_vars["hostvars"], task_vars["ansible_play_hosts_all"]
        collected = variables_of(playing, hostvars, self._task)
        found = host_infos_in(collected)
        infos = {host: info for host, info in found.items() if "running" in info and not info.get("failed")}
        return Cluster(
            groups=groups,
            playing=playing,
            values=values_of(self._templar, self._task, task_vars, playing, collected),
            infos=infos,
            scheduler_info=infos.get(scheduler_of(groups)) or arguments["scheduler_info"],
            missing=[host for host in found if host not in infos],
            ssh_ports={
                host: hostvars[host].get("ansible_port", 22) for host in infos if arguments["purpose"] == "show"
            },
            run={name: task_vars[name] for name in ("ansible_run_tags", "ansible_skip_tags", "groups")},
            monitoring=self._monitoring(arguments["purpose"], task_vars),
        )

    def _monitoring(self, purpose: str, task_vars: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the variables of the hosts that get the files for Prometheus, if the run needs them."""
        if purpose not in ("monitor", "show", "remove"):
            return {}
        hosts = task_vars["groups"].get("dask_monitoring")
        found = values_of(self._templar, self._task, task_vars, hosts or ["localhost"])
        if not hosts:
            # On the controller, a relative path starts in the working directory, like the others of the collection.
            own = found["localhost"]
            own["dask_monitoring_directory"] = os.path.abspath(os.path.expanduser(own["dask_monitoring_directory"]))
        return found

    def _filtered_hosts(self, cluster: Cluster, task_vars: dict[str, Any]) -> list[str]:
        """Return the hosts of the cluster whose firewall the collection manages, also those outside the run."""
        others = [host for host in cluster.members if host not in cluster.values]
        values = {**cluster.values, **(values_of(self._templar, self._task, task_vars, others) if others else {})}
        return [host for host in cluster.members if values[host]["dask_firewall"] != "none"]


def application(common: Mapping[str, Any]) -> Application:
    """Return the application; see `application_of`."""
    return application_of(
        common["dask_application"],
        common["dask_application_build_lock"],
        common["dask_environment_index_url"],
        common["dask_cache"],
    )


def provided(choice: Choice, infos: ByHost, common: Mapping[str, Any]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the managed Python of each host that gets one, and the problems; see `provide`."""
    hosts = {
        host: Wanted(versions, infos[host]["architecture"], infos[host]["pythons"])
        for host, versions in choice.managed.items()
    }
    source = Source(
        common["dask_python_mirror"],
        common["dask_python_sha256"],
        os.path.expanduser(common["dask_cache"]),
        common["dask_environment_index_url"],
    )
    return provide(hosts, source)


def addresses_of(hostvars: Any, host: str) -> functools.partial[list[str]]:
    """Return a function that returns the addresses of a host."""
    return functools.partial(resolve, hostvars[host].get("ansible_host", host))
