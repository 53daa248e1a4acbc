# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what a run does to each host, from the variables of all hosts and the results of `host_info`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.firewall import resolve
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import ByHost, Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import Outside, Rejected, make_plan
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import environments, lock_file
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import host_infos_in, values_of, variables_of


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        try:
            cluster = self._cluster(arguments, task_vars)
            outside = Outside(
                environments=fetched,
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
        collected = variables_of(playing, hostvars)
        found = host_infos_in(collected)
        infos = {host: info for host, info in found.items() if "running" in info and not info.get("failed")}
        return Cluster(
            groups=groups,
            playing=playing,
            values=values_of(self._templar, task_vars, playing, collected),
            infos=infos,
            scheduler_info=infos.get(scheduler_of(groups)) or arguments["scheduler_info"],
            missing=[host for host in found if host not in infos],
            ssh_ports={
                host: hostvars[host].get("ansible_port", 22) for host in infos if arguments["purpose"] == "show"
            },
            run={name: task_vars[name] for name in ("ansible_run_tags", "ansible_skip_tags", "groups")},
        )

    def _filtered_hosts(self, cluster: Cluster, task_vars: dict[str, Any]) -> list[str]:
        """Return the hosts of the cluster, inside or outside the run, whose firewall the collection manages."""
        others = [host for host in cluster.members if host not in cluster.values]
        values = {**cluster.values, **(values_of(self._templar, task_vars, others) if others else {})}
        return [host for host in cluster.members if values[host]["dask_firewall"] != "none"]


def fetched(infos: ByHost, common: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the environment of each host, and the problems; see `environments`."""
    return environments(
        infos,
        common["dask_environment_lock"],
        common["dask_environment_source"],
        common["dask_environment_index_url"],
        common["dask_cache"],
    )


def addresses_of(hostvars: Any, host: str) -> functools.partial[list[str]]:
    """Return a function that returns the addresses of a host."""
    return functools.partial(resolve, hostvars[host].get("ansible_host", host))
