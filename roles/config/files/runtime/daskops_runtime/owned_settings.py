# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask settings that the collection manages, and the variable to use instead of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask

#: Variable to use, by key. A key includes all keys below it.
OWNED = {
    "distributed.comm.default-scheme": "dask_tls",
    "distributed.comm.require-encryption": "dask_tls",
    "distributed.comm.tls.ca-file": "dask_tls_certificates",
    "distributed.comm.tls.scheduler": "dask_tls_certificates",
    "distributed.comm.tls.worker": "dask_tls_certificates",
    "distributed.comm.tls.client": "dask_tls_certificates",
    "distributed.scheduler.dashboard.tls": "dask_tls_certificates",
    "distributed.scheduler.dashboard.bokeh-application.prefix": "dask_dashboard_prefix",
    "distributed.scheduler.contact-address": "dask_scheduler_host",
    "distributed.scheduler.preload": "dask_scheduler_preloads",
    "distributed.scheduler.preload-argv": "dask_scheduler_preloads",
    "distributed.worker.preload": "dask_worker_preloads",
    "distributed.worker.preload-argv": "dask_worker_preloads",
    "distributed.worker.lifetime.duration": "dask_worker_lifetime",
    "distributed.worker.lifetime.stagger": "dask_worker_lifetime_stagger",
    "distributed.worker.lifetime.restart": "dask_worker_lifetime",
    "distributed.nanny.preload": "dask_nanny_preloads",
    "distributed.nanny.preload-argv": "dask_nanny_preloads",
    "scheduler-address": "dask_scheduler_host or dask_scheduler_address",
    "temporary-directory": "dask_worker_scratch_directory",
    # Dask does not have these keys, but users expect them. The message names the variable that has the effect.
    "distributed.scheduler.address": "dask_scheduler_host or dask_scheduler_address",
    "distributed.scheduler.host": "dask_bind_address",
    "distributed.scheduler.interface": "dask_interface",
    "distributed.scheduler.port": "dask_scheduler_port",
    "distributed.scheduler.dashboard.address": "dask_scheduler_dashboard_port",
    "distributed.scheduler.dashboard-address": "dask_scheduler_dashboard_port",
    "distributed.scheduler.dashboard.port": "dask_scheduler_dashboard_port",
    "distributed.scheduler.scheduler-file": "dask_scheduler_file",
    "distributed.scheduler.protocol": "dask_tls",
    "distributed.comm.protocol": "dask_tls",
    "distributed.comm.tls.enabled": "dask_tls",
    "distributed.comm.tls.cert": "dask_tls_certificates",
    "distributed.comm.tls.key": "dask_tls_certificates",
    "distributed.dashboard.address": "dask_scheduler_dashboard_port",
    "distributed.dashboard.port": "dask_scheduler_dashboard_port",
    "distributed.dashboard.prefix": "dask_dashboard_prefix",
    "distributed.worker.host": "dask_bind_address",
    "distributed.worker.interface": "dask_worker_interface",
    "distributed.worker.port": "dask_worker_port",
    "distributed.worker.dashboard-address": "dask_worker_dashboard_port",
    "distributed.worker.name": "dask_worker_pools",
    "distributed.worker.nthreads": "dask_worker_threads",
    "distributed.worker.threads": "dask_worker_threads",
    "distributed.worker.cores": "dask_worker_threads",
    "distributed.worker.nworkers": "dask_worker_count",
    "distributed.worker.memory-limit": "dask_worker_memory",
    "distributed.worker.memory.limit": "dask_worker_memory",
    "distributed.worker.local-directory": "dask_worker_scratch_directory",
    "distributed.worker.env-vars": "dask_worker_environment_variables",
    "distributed.worker.environ": "dask_worker_environment_variables",
    "distributed.nanny.enabled": "dask_worker_nanny",
    "distributed.nanny.port": "dask_worker_nanny_port",
    "local-directory": "dask_worker_scratch_directory",
    # Dask reads DASK_SCHEDULER_PORT as scheduler-port, because it divides names only at two underscores.
    "scheduler-port": "dask_scheduler_port",
    "worker-memory-limit": "dask_worker_memory",
}
#: Additional sentences for the message, by key.
REMARKS = {
    "temporary-directory": "For the temporary files of tasks, set TMPDIR in dask_environment_variables.",
    "distributed.worker.lifetime.duration": "Dask's own lifetime does not wait for running tasks.",
}
NOTHING = object()


def get_name(path: str) -> str:
    """Return the current name of a key, with hyphens. Dask also accepts underscores and deprecated names."""
    name = path.replace("_", "-")
    while newer := dask.config.deprecations.get(name):
        name = newer
    return name


def find_owner(path: str) -> tuple[str, str] | None:
    """Return the key of `OWNED` that equals or contains a key, and its variable; None if the key is not managed."""
    parts = get_name(path).split(".")
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if key in OWNED:
            return key, OWNED[key]
    return None


def walk_values(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of each leaf of nested mappings."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from walk_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_owned(tree: dict, defaults: dict) -> Iterator[tuple[str, Any, bool]]:
    """Yield the managed keys in a tree: path, value, and whether the value is Dask's default."""
    for path, value in walk_values(tree):
        if find_owner(path):
            default = dask.config.get(get_name(path), NOTHING, config=defaults)
            yield path, value, value == default and type(value) is type(default)


def find_problems(variable: str, tree: dict, defaults: dict, effective: dict | None = None) -> Iterator[str]:
    """Yield a message for each managed key that a user's variable sets to another value than Dask's default.

    Parameters
    ----------
    variable : str
        Name of the user's variable.
    tree : dict
        The settings in the variable.
    defaults : dict
        Dask's default configuration.
    effective : dict, optional
        The configuration file, if the settings have a higher precedence, such as environment variables. A value that is
        Dask's default must then also be the value in the file.
    """
    for path, value, is_default in find_owned(tree, defaults):
        if is_default and (effective is None or value == dask.config.get(get_name(path), value, config=effective)):
            continue
        key, ours = find_owner(path) or ("", "")
        remark = f" {REMARKS[key]}" if key in REMARKS else ""
        yield f"{variable}: {path} is set by daskops.cluster itself. Remove it, and use {ours} instead.{remark}"
