# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the functions of this package work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What is set for the services of a host.

    A field has the name of its variable without ``dask_``. These differ: ``user_home`` is the home that the services' user
    really has, ``scheduler_address`` is never empty, and ``pools`` are the complete settings of each pool of workers, by
    its name.
    """

    home: str
    user: str
    user_home: str
    tls: bool
    dashboard_proxy: bool
    config: Mapping[str, Any]
    config_extra_namespaces: list[str]
    scheduler_config: Mapping[str, Any]
    worker_config: Mapping[str, Any]
    environment_variables: Mapping[str, Any] = field(repr=False)
    scheduler_preloads: list[Any]
    worker_preloads: list[Any]
    nanny_preloads: list[Any]
    scheduler_routes: list[Any]
    worker_routes: list[Any]
    summary_route: bool
    worker_pages_route: bool
    shutdown_token: str = field(repr=False)
    error_monitor: bool
    error_monitor_values: bool
    release_resources: bool
    scheduler_address: str
    scheduler_port: int | str
    scheduler_dashboard_port: int | str
    scheduler_file: str
    worker_paths: list[str]
    worker_devices: list[str]
    worker_drain_timeout: int
    watchdog_timeout: int
    open_files: int
    process_limit: int
    pools: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """The settings in a mapping, which may hold others."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})

    @property
    def has_nannies(self) -> bool:
        """Whether any worker of the host has a nanny."""
        return any(pool["nanny"] for pool in self.pools.values())
