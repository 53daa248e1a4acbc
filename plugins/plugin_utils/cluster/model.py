# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The input of a plan: the cluster, and the settings of a host's release."""

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
class Environment:
    """The environment that the services of a host run.

    Parameters
    ----------
    id : str
        Name of its directory in ``dask_home``.
    prefixes : tuple of str
        Other directories with its files, which must be visible in the sandbox of services.
    boot_python : str
        Interpreter that root runs before a worker starts; empty for that of the environment.
    """

    id: str
    prefixes: tuple[str, ...] = ()
    boot_python: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Environment:
        """Return the environment in a mapping, which may contain other keys, too."""
        return cls(values["id"], tuple(values["prefixes"]), values["boot_python"])


@dataclass(frozen=True)
class Settings:
    """The settings of the services of a host.

    A field has the name of its variable without ``dask_``, with three exceptions: ``user_home`` is the actual home directory
    of the services' account, ``scheduler_address`` is never empty, and ``pools`` has the complete settings of each pool of
    workers by name.
    """

    home: str
    user: str
    user_home: str
    user_groups: list[str]
    umask: str
    tls: bool
    dashboard_proxy: bool
    application: list[str]
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
        """Return the settings in a mapping, which may contain other keys."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})

    @property
    def has_nannies(self) -> bool:
        """Return whether any worker of the host has a nanny."""
        return any(pool["nanny"] for pool in self.pools.values())


ByHost = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cluster:
    """The input of a plan.

    Parameters
    ----------
    groups : dict of list of str
        Groups of the inventory.
    playing : list of str
        Hosts of the run, after ``--limit``.
    values : dict of dict
        Complete variables of the hosts of the run, by host.
    infos : dict of dict
        Result of `host_info` for the inspected hosts of the run, by host.
    scheduler_info : dict
        Result of `host_info` for the scheduler's host, which may not be in the run. Empty if it was not inspected.
    missing : collection of str
        Hosts of the run that could not be inspected.
    ssh_ports : dict of int
        Port to which Ansible connects, by host.
    run : dict
        Tags of the run, ``ansible_run_tags`` and ``ansible_skip_tags``, and the groups.
    monitoring : dict of dict
        Complete variables of the hosts that get the files for Prometheus, by host.
    """

    groups: Groups
    playing: list[str]
    values: ByHost = field(repr=False)
    infos: ByHost = field(repr=False)
    scheduler_info: Mapping[str, Any] = field(repr=False)
    missing: Collection[str] = ()
    ssh_ports: Mapping[str, int] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    monitoring: ByHost = field(default_factory=dict, repr=False)

    @property
    def scheduler(self) -> str:
        """Name of the scheduler's host; empty if another system runs the scheduler."""
        return scheduler_of(self.groups)

    @property
    def asked_host(self) -> str:
        """Name of the host that queries the scheduler."""
        return asked_host(self.groups, self.playing)

    @property
    def members(self) -> list[str]:
        """Names of all hosts of the cluster."""
        return members(self.groups)

    @property
    def maintenance(self) -> list[str]:
        """Names of the hosts of the run that are in maintenance."""
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
        """Variables of one host of the run, to read variables that are the same for all hosts."""
        return self.values.get(self.asked_host) or next(iter(self.values.values()))

    @property
    def addresses(self) -> dict[str, str]:
        """Addresses of the scheduler and its HTTP routes; see `addresses.addresses`."""
        settings = {name.removeprefix("dask_"): value for name, value in self.common.items()}
        return addresses(settings, self.scheduler_info)

    @property
    def scheduler_host(self) -> str:
        """Name or address under which hosts connect to the scheduler."""
        return host_of(self.addresses["scheduler"])
