# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a host's release."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import addresses, host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import (
    Groups,
    asked_host,
    members,
    scheduler_of,
)


@dataclass(frozen=True)
class Settings:
    """The settings of the services of a host.

    A field has the name of its variable without ``dask_``, with three exceptions: ``user_home`` is the actual home of the
    services' user, ``scheduler_address`` is never empty, and ``pools`` has the complete settings of each pool of workers by
    name.
    """

    home: str
    user: str
    user_home: str
    user_groups: list[str]
    umask: str
    tls: bool
    dashboard_proxy: bool
    config: Mapping[str, Any]
    config_extra_namespaces: list[str]
    scheduler_config: Mapping[str, Any]
    worker_config: Mapping[str, Any]
    environment_variables: Mapping[str, Any] = field(repr=False)
    environment_setup: list[str]
    scheduler_preloads: list[Any]
    worker_preloads: list[Any]
    nanny_preloads: list[Any]
    scheduler_import_paths: list[str]
    worker_import_paths: list[str]
    scheduler_routes: list[Any]
    worker_routes: list[Any]
    summary_route: bool
    worker_pages_route: bool
    shutdown_token: str = field(repr=False)
    error_monitor: bool
    error_monitor_values: bool
    release_resources: bool
    release_label: str
    scheduler_address: str
    scheduler_port: int | str
    scheduler_dashboard_port: int | str
    dashboard_prefix: str
    scheduler_file: str
    scheduler_memory: str
    scheduler_arguments: list[str]
    worker_paths: list[str]
    worker_devices: list[str]
    worker_drain_timeout: int
    watchdog_timeout: int
    open_files: int
    process_limit: int
    pools: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings in a mapping, which may contain other keys, too."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})

    @property
    def has_nannies(self) -> bool:
        """Return whether any worker of the host has a nanny."""
        return any(pool["nanny"] for pool in self.pools.values())


ByHost = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cluster:
    """What a plan follows from.

    Parameters
    ----------
    groups : dict of list of str
        The inventory's groups.
    playing : list of str
        The hosts of the run, which ``--limit`` may have left.
    values : dict of dict
        The variables of the hosts of the run, complete, by host.
    infos : dict of dict
        What `host_info` returned, by host of the run that it could look at.
    scheduler_info : dict
        The same of the scheduler's host, which may not be in the run; empty if it was not looked at.
    missing : collection of str
        The hosts of the run that could not be looked at.
    ssh_ports : dict of int
        The port that Ansible connects to, by host.
    run : dict
        The tags of the run, ``ansible_run_tags`` and ``ansible_skip_tags``, and the groups.
    """

    groups: Groups
    playing: list[str]
    values: ByHost = field(repr=False)
    infos: ByHost = field(repr=False)
    scheduler_info: Mapping[str, Any] = field(repr=False)
    missing: Collection[str] = ()
    ssh_ports: Mapping[str, int] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scheduler(self) -> str:
        """The scheduler's host; empty if another system runs the scheduler."""
        return scheduler_of(self.groups)

    @property
    def asked_host(self) -> str:
        """The host from which the scheduler is asked."""
        return asked_host(self.groups, self.playing)

    @property
    def members(self) -> list[str]:
        """All hosts of the cluster."""
        return members(self.groups)

    @property
    def maintenance(self) -> list[str]:
        """The hosts of the run that are in maintenance."""
        return [host for host in self.playing if self.values[host]["dask_maintenance"]]

    def without(self, hosts: Collection[str]) -> Cluster:
        """Return the cluster without some of its hosts."""

        def rest(names: Iterable[str]) -> list[str]:
            return [name for name in names if name not in hosts]

        return replace(
            self,
            groups={name: rest(members) for name, members in self.groups.items()},
            playing=rest(self.playing),
            infos={host: self.infos[host] for host in rest(self.infos)},
            missing=rest(self.missing),
        )

    @property
    def common(self) -> Mapping[str, Any]:
        """Variables of a host of the run, for those that all hosts share."""
        return self.values.get(self.asked_host) or next(iter(self.values.values()))

    @property
    def addresses(self) -> dict[str, str]:
        """Where the scheduler and its pages are reached."""
        settings = {name.removeprefix("dask_"): value for name, value in self.common.items()}
        return addresses(settings, self.scheduler_info)

    @property
    def scheduler_host(self) -> str:
        """Name or address under which hosts reach the scheduler."""
        return host_of(self.addresses["scheduler"])
