# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a host: their command lines, the files of their release, and what of it users have set.

``plan`` is what `plan_host` returned for the host, and ``kinds`` are those of its services, ``scheduler`` and ``worker``.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import (
    modules,
    nanny_modules,
    scheduler_configuration,
    worker_configuration,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import where

SCHEDULER = "dask-scheduler.service"

#: The collection's own directory.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

Plan = Mapping[str, Any]
Worker = Mapping[str, Any]


def services(kinds: Iterable[str], plan: Plan) -> dict[str, str]:
    """Kind by unit of the services of a host."""
    found = {SCHEDULER: "scheduler"} if "scheduler" in kinds else {}
    return {**found, **{worker["unit"]: "worker" for worker in plan["workers"]}}


# Command lines and what units open


def outside(paths: Iterable[str], directories: Iterable[str]) -> list[str]:
    """The paths that are none of the directories and lie in none of them.

    The sandbox of a unit opens directories of the host. A path in one of them is open already, and must not be opened by its
    own name: whoever may write to the directory could replace it by a link to another place.
    """
    roots = [posixpath.normpath(directory) for directory in directories]
    return [
        path
        for path in paths
        if not any(posixpath.commonpath([root, posixpath.normpath(path)]) == root for root in roots)
    ]


def dashboard_addresses(settings: Settings, address: str) -> list[str]:
    """Where the scheduler's pages listen.

    Behind a proxy they listen on their own host alone. Without one they do so too, so that a proxy can come and go.
    """
    if settings.dashboard_proxy:
        hosts = ["127.0.0.1"]
    elif address == "0.0.0.0":
        hosts = [address]
    else:
        hosts = list(dict.fromkeys(["127.0.0.1", address]))
    return [f"{host}:{settings.scheduler_dashboard_port}" for host in hosts]


def scheduler_arguments(settings: Settings, address: str) -> list[str]:
    """The command line of the scheduler, which listens at ``address``."""
    return [
        *("--host", address),
        *("--port", str(settings.scheduler_port)),
        *("--dashboard-address", ",".join(dashboard_addresses(settings, address))),
        *(["--scheduler-file", settings.scheduler_file] if settings.scheduler_file else []),
        # daskops_runtime.dashboard loads its pages when somebody asks for them.
        "--no-dashboard",
    ]


def worker_arguments(settings: Settings, worker: Worker) -> list[str]:
    """The command line of a worker, as `plan_host` planned it."""
    pool = settings.pools[worker["pool"]]
    resources = sorted(pool["resources"].items(), key=lambda resource: str(resource[0]).lower())
    common = [
        settings.scheduler_address,
        *("--name", worker["name"]),
        *("--nthreads", worker["threads"]),
        *("--memory-limit", worker["memory_limit"]),
        *("--host", worker["address"]),
        *("--worker-port", worker["port"]),
        *("--dashboard-address", f"{worker['address']}:{worker['dashboard_port']}"),
        *("--local-directory", pool["scratch_directory"]),
        *("--death-timeout", 60),
        *(["--resources", ",".join(f"{name}={number}" for name, number in resources)] if resources else []),
        *pool["arguments"],
    ]
    if pool["command"] == "dask cuda worker":
        # It does not read which modules to preload from the configuration.
        own = _options("--preload", "daskops_runtime.worker", modules(settings.worker_preloads))
    elif pool["nanny"]:
        nannies = _options("--preload-nanny", "daskops_runtime.nanny", nanny_modules(settings))
        own = ["--no-dashboard", "--nanny", "--nanny-port", worker["nanny_port"], *nannies]
    else:
        own = ["--no-dashboard", "--no-nanny"]
    # Without the pages of the dashboard at first: daskops_runtime.dashboard loads them when somebody asks for them.
    return [str(argument) for argument in [*common, *own]]


def _options(option: str, ours: str, users: Iterable[Any]) -> list[str]:
    """An option for the collection's module and for each of the user's."""
    return [word for name in [ours, *(module.name for module in users)] for word in (option, name)]


# The files of the release


@dataclass(frozen=True)
class File:
    """A file of a release, or a directory of Python modules.

    Parameters
    ----------
    path : str
        Path in the release of what the template renders, or directory in it for the source. Files below ``systemd`` are read
        by systemd.
    kinds : tuple of str
        Kinds of the services that read it, and are restarted when it changes.
    template : str
        A template, by path below the collection's directory ``roles``.
    source : str
        A file or a directory of Python modules on the controller.
    kind : str
        The kind that a file for systemd belongs to.
    service : str, optional
        The one service that reads it, where not all of its kind do.
    variables : dict
        For the template.
    """

    path: str
    kinds: tuple[str, ...]
    template: str = ""
    source: str = ""
    kind: str = ""
    service: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def files(settings: Settings, kinds: Iterable[str], plan: Plan) -> Iterator[File]:
    """What the release of a host is made of."""
    kinds = tuple(kinds)
    yield File("python", kinds, source=os.path.join(ROOT, "roles/config/files/runtime"), kind=kinds[0])
    yield File("run.sh", kinds, template="config/templates/run.sh.j2", kind=kinds[0])
    if "scheduler" in kinds:
        yield from _scheduler_files(settings, plan)
    if "worker" in kinds:
        yield from _worker_files(settings, plan)


def _scheduler_files(settings: Settings, plan: Plan) -> Iterator[File]:
    def template(path: str, name: str, variables: Mapping[str, Any], service: str | None = None) -> File:
        return File(path, ("scheduler",), template=name, kind="scheduler", service=service, variables=variables)

    config = {"__dask_config": scheduler_configuration(settings)}
    yield template("scheduler/dask_configuration.yaml", "config/templates/dask_configuration.yaml.j2", config)
    yield from _sources("scheduler", settings.scheduler_preloads, settings.scheduler_routes)
    directories = [os.path.dirname(settings.scheduler_file)] if settings.scheduler_file else []
    about = {
        "__dask_service": {
            "binds": outside(directories, [settings.user_home]),
            "environment_variables": settings.environment_variables,
            "arguments": scheduler_arguments(settings, plan["address"]),
        }
    }
    yield template(f"systemd/{SCHEDULER}", "scheduler/templates/dask-scheduler.service.j2", about)
    yield template(f"services/{SCHEDULER}.env", "scheduler/templates/scheduler.env.j2", about, SCHEDULER)


def _worker_files(settings: Settings, plan: Plan) -> Iterator[File]:
    def template(path: str, name: str, variables: Mapping[str, Any], service: str | None = None) -> File:
        return File(path, ("worker",), template=name, kind="worker", service=service, variables=variables)

    yield File("boot", ("worker",), source=os.path.join(ROOT, "plugins/module_utils/directories.py"), kind="worker")
    config = {"__dask_config": worker_configuration(settings)}
    yield template("worker/dask_configuration.yaml", "config/templates/dask_configuration.yaml.j2", config)
    nannies = settings.nanny_preloads if settings.has_nannies else []
    yield from _sources("worker", settings.worker_preloads, settings.worker_routes, nannies)
    binds = [*outside(settings.worker_paths, [settings.user_home]), *settings.worker_devices]
    shared = {"__dask_service": {"binds": binds}}
    yield template("systemd/dask-worker@.service", "worker/templates/dask-worker@.service.j2", shared)
    # No kind of service reads it: which workers there are is no reason to restart one that stays.
    units = {"__dask_service": {"units": [worker["unit"] for worker in plan["workers"]]}}
    target = "worker/templates/dask-workers.target.j2"
    yield File("systemd/dask-workers.target", (), template=target, kind="worker", variables=units)
    for worker in plan["workers"]:
        unit, about = worker["unit"], {"__dask_service": _about_worker(settings, worker)}
        yield template(f"systemd/{unit}.d/daskops.conf", "worker/templates/daskops.conf.j2", about, unit)
        yield template(f"services/{unit}.env", "worker/templates/worker.env.j2", about, unit)


def _about_worker(settings: Settings, worker: Worker) -> dict[str, Any]:
    """What the templates of a worker use: its plan, the settings of its pool, and what follows from both."""
    pool = settings.pools[worker["pool"]]
    open_already = [settings.user_home, *settings.worker_paths]
    return {
        **pool,
        **worker,
        "environment_variables": {**settings.environment_variables, **pool["environment_variables"]},
        "arguments": worker_arguments(settings, worker),
        "binds": outside([pool["scratch_directory"]], open_already),
    }


def _sources(kind: str, *lists: Iterable[Any]) -> Iterator[File]:
    """The files of users' modules, each once."""
    for source in dict.fromkeys(module.file for entries in lists for module in modules(entries) if module.file):
        yield File("python", (kind,), source=source, kind=kind)


# What users have set


def user_environment_variables(settings: Settings, kinds: Iterable[str]) -> dict[str, Any]:
    """The users' environment variables of the services, by the name of the setting that holds them."""
    found = {"dask_environment_variables": settings.environment_variables}
    if "worker" in kinds:
        for name, pool in settings.pools.items():
            found[where(name, "environment_variables")] = pool["environment_variables"]
    return found


def set_by_user(settings: Settings, kinds: Iterable[str]) -> dict[str, Any]:
    """What users have set that can keep a service from starting, by the name of the setting."""
    found = user_environment_variables(settings, kinds)
    if "worker" in kinds:
        found.update({where(name, "arguments"): pool["arguments"] for name, pool in settings.pools.items()})
    names = (
        *("config", "scheduler_config", "worker_config", "scheduler_preloads", "scheduler_routes", "worker_preloads"),
        *("worker_routes", "nanny_preloads", "scheduler_file", "worker_paths", "worker_devices"),
    )
    return {**found, **{f"dask_{name}": getattr(settings, name) for name in names}}


def pool_settings(settings: Settings) -> dict[str, Any]:
    """The settings of each pool that the host's Dask checks, by what the names of the pool's settings begin with."""
    checked = ("arguments", "command", "lifetime", "lifetime_stagger")
    return {where(name, ""): {key: pool[key] for key in checked} for name, pool in settings.pools.items()}


def checks(settings: Settings, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """What the host's Dask is asked about before the release is staged, by kind of service; only what users have set."""
    found: list[dict[str, Any]] = []
    shared = [settings.config, settings.environment_variables]
    writable = [settings.user_home, "/tmp", "/var/tmp"]
    scheduler = [settings.scheduler_config, settings.scheduler_preloads, settings.scheduler_routes]
    if "scheduler" in kinds and any([*shared, *scheduler]):
        directories = [os.path.dirname(settings.scheduler_file)] if settings.scheduler_file else []
        found.append(
            {
                "kind": "scheduler",
                "asked": {"dask_config": settings.config, "dask_scheduler_config": settings.scheduler_config},
                "namespaces": settings.config_extra_namespaces,
                "nanny": True,  # whether workers have one, their hosts know
                "writable": [*writable, *directories],
            }
        )
    worker = [settings.worker_config, settings.worker_preloads, settings.worker_routes, settings.nanny_preloads]
    pools = settings.pools.values()
    if "worker" in kinds and any([*shared, *worker, *map(_has_own_settings, pools)]):
        scratch = [pool["scratch_directory"] for pool in pools]
        found.append(
            {
                "kind": "worker",
                "asked": {"dask_config": settings.config, "dask_worker_config": settings.worker_config},
                "namespaces": settings.config_extra_namespaces,
                "nanny": settings.has_nannies,
                "writable": [*writable, *settings.worker_paths, *scratch],
                "pools": pool_settings(settings),
                "error_monitor": settings.error_monitor,
            }
        )
    return found


def _has_own_settings(pool: Mapping[str, Any]) -> bool:
    """Whether users have set what the host's Dask has to check of a pool."""
    asked = pool["arguments"] or pool["lifetime"] or pool["environment_variables"]
    return bool(asked) or pool["command"] != "dask worker"
