# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of a host's release: command lines of the services, files, and settings of the user.

``plan`` is the result of `host_plan.plan_host` for the host, and ``kinds`` are the kinds of its services: ``scheduler``,
``worker`` or both.
"""

from __future__ import annotations

import functools
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.hours import MARGIN, parse_hours
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import in_url
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import (
    modules,
    nanny_modules,
    scheduler_configuration,
    worker_configuration,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Environment, Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rendering import ROOT, configuration_text, render
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import where
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import parse_size

SCHEDULER = "dask-scheduler.service"

#: Name of the pool of a host without pools, in the names of units and files.
UNNAMED = "default"

#: Largest number of lines that a reader of the journal gets of a unit, and of all units of a kind of a host.
UNIT_LINES, HOST_LINES = 1_000, 20_000

Plan = Mapping[str, Any]
Worker = Mapping[str, Any]


def services(kinds: Iterable[str], plan: Plan) -> dict[str, str]:
    """Return the kind of each service of a host, by unit."""
    found = {SCHEDULER: "scheduler"} if "scheduler" in kinds else {}
    return {**found, **{worker["unit"]: "worker" for worker in plan["workers"]}}


# Command lines, and the directories to which units may write


def outside(paths: Iterable[str], directories: Iterable[str]) -> list[str]:
    """Return the paths that are outside of the directories.

    The sandbox of a unit gives access to directories of the host, including the paths in them. Such a path must not be
    listed separately, because a program that may write to the directory could replace the path with a link to another one.
    """
    roots = [posixpath.normpath(directory) for directory in directories]
    return [
        path
        for path in paths
        if not any(posixpath.commonpath([root, posixpath.normpath(path)]) == root for root in roots)
    ]


def dashboard_addresses(settings: Settings, address: str) -> list[str]:
    """Return the addresses at which the scheduler's dashboard listens.

    Behind a proxy, the only address is localhost. Without a proxy, localhost is one of the addresses, so that a proxy can be
    added or removed without a restart.
    """
    if settings.dashboard_proxy:
        hosts = ["127.0.0.1"]
    elif address == "0.0.0.0":
        hosts = [address]
    else:  # "::" does not include IPv4
        hosts = list(dict.fromkeys(["127.0.0.1", address]))
    return [f"{in_url(host)}:{settings.scheduler_dashboard_port}" for host in hosts]


def dashboard_of(settings: Settings) -> str:
    """Return the port and the path of the scheduler's dashboard, such as ``8787/dask/``."""
    return f"{settings.scheduler_dashboard_port}{settings.dashboard_prefix.rstrip('/')}/"


def scheduler_arguments(settings: Settings, address: str) -> list[str]:
    """Return the command line of the scheduler, which listens at ``address``."""
    return [
        *("--host", in_url(address)),
        *("--port", str(settings.scheduler_port)),
        *("--dashboard-address", ",".join(dashboard_addresses(settings, address))),
        *(["--scheduler-file", settings.scheduler_file] if settings.scheduler_file else []),
        *(["--dashboard-prefix", settings.dashboard_prefix.strip("/")] if settings.dashboard_prefix != "/" else []),
        *map(str, settings.scheduler_arguments),
        # daskops_runtime.dashboard loads the pages at the first request.
        "--no-dashboard",
    ]


def worker_arguments(settings: Settings, worker: Worker) -> list[str]:
    """Return the command line of a planned worker."""
    pool = settings.pools[worker["pool"]]
    resources = sorted(pool["resources"].items(), key=lambda resource: str(resource[0]).lower())
    common = [
        settings.scheduler_address,
        *("--name", worker["name"]),
        *("--nthreads", worker["threads"]),
        *("--memory-limit", worker["memory_limit"]),
        *_listening(settings.scheduler_address.partition("://")[0], worker),
        *("--dashboard-address", f"{in_url(worker['address'])}:{worker['dashboard_port']}"),
        *("--local-directory", pool["scratch_directory"]),
        *("--death-timeout", 60),
        *(["--resources", ",".join(f"{name}={number}" for name, number in resources)] if resources else []),
        *pool["arguments"],
    ]
    if pool["command"] == "dask cuda worker":
        # `dask cuda worker` does not read the preload modules from the configuration.
        own = _options("--preload", "daskops_runtime.worker", modules(settings.worker_preloads))
    elif pool["nanny"]:
        nannies = _options("--preload-nanny", "daskops_runtime.nanny", nanny_modules(settings))
        own = ["--no-dashboard", "--nanny", "--nanny-port", worker["nanny_port"], *nannies]
    else:
        own = ["--no-dashboard", "--no-nanny"]
    # --no-dashboard: daskops_runtime.dashboard loads the pages at the first request.
    return [str(argument) for argument in [*common, *own]]


def _listening(protocol: str, worker: Worker) -> list[Any]:
    """Return the options for where a worker listens, and for where others reach it if this differs."""
    if not worker["contact_host"]:
        return ["--host", in_url(worker["address"]), "--worker-port", worker["port"]]
    addresses = {"--listen-address": worker["address"], "--contact-address": worker["contact_host"]}
    return [
        word for option, host in addresses.items() for word in (option, f"{protocol}://{in_url(host)}:{worker['port']}")
    ]


def _options(option: str, ours: str, users: Iterable[Any]) -> list[str]:
    """Return an option for the collection's module and for each module of the user."""
    return [word for name in [ours, *(module.name for module in users)] for word in (option, name)]


# The files of the release


@dataclass(frozen=True)
class File:
    """A file of a release.

    Parameters
    ----------
    path : str
        Path in the release. systemd reads the files below ``systemd``.
    content : str
        Text of the file.
    kinds : tuple of str
        Kinds of the services that read the file. They are restarted when it changes.
    kind : str
        Kind of service to which a unit file belongs.
    service : str, optional
        The only service that reads the file. None if all services of the kinds read it.
    """

    path: str
    content: str = field(repr=False)
    kinds: tuple[str, ...]
    kind: str
    service: str | None = None


def files(settings: Settings, kinds: Iterable[str], plan: Plan, environment: Environment) -> list[File]:
    """Return the files of a host's release, without duplicate paths, with the kinds of all services that read them.

    Parameters
    ----------
    environment : Environment
        The host's environment.

    Raises
    ------
    ValueError
        If two different files would have the same path, or a file does not exist on the controller.
    """
    kinds = tuple(kinds)
    merged: dict[str, File] = {}
    for file in _all_files(settings, kinds, plan, environment):
        known = merged.setdefault(file.path, file)
        if known.content != file.content:
            raise ValueError(f"Two files of the release have the path {file.path}. Rename one of them.")
        if known is not file:
            merged[file.path] = replace(known, kinds=tuple(sorted({*known.kinds, *file.kinds})))
    return list(merged.values())


def _all_files(settings: Settings, kinds: tuple[str, ...], plan: Plan, environment: Environment) -> Iterator[File]:
    yield from _source("python", os.path.join(ROOT, "roles/config/files/runtime"), kinds, kinds[0])
    yield File("run.sh", _text(os.path.join(ROOT, "roles/config/files/run.sh")), kinds, kinds[0])
    for path, content in setup_files(settings.environment_setup).items():
        yield File(path, content, kinds, kinds[0])
    if "scheduler" in kinds:
        yield from _scheduler_files(settings, plan, environment)
    if "worker" in kinds:
        yield from _worker_files(settings, plan, environment)


def setup_files(lines: Iterable[Any]) -> dict[str, str]:
    """Return the files that run lines of shell before a service, by name; none without lines."""
    text = "".join(f"{line}\n" for line in lines)
    script = os.path.join(ROOT, "roles/config/files/setup.sh")
    return {"setup.sh": _text(script), "setup.lines": text} if text else {}


def _scheduler_files(settings: Settings, plan: Plan, environment: Environment) -> Iterator[File]:
    def file(path: str, content: str, service: str | None = None) -> File:
        return File(path, content, ("scheduler",), "scheduler", service)

    yield file("scheduler/dask_configuration.yaml", configuration_text(scheduler_configuration(settings)))
    yield from _sources("scheduler", settings.scheduler_preloads, settings.scheduler_routes)
    directories = [os.path.dirname(settings.scheduler_file)] if settings.scheduler_file else []
    about = {
        "settings": settings,
        "readable": [settings.home, *environment.prefixes, *settings.scheduler_import_paths],
        "binds": outside(directories, [settings.user_home]),
        "environment_variables": settings.environment_variables,
        "memory_max": parse_size(settings.scheduler_memory) if settings.scheduler_memory else 0,
        "arguments": scheduler_arguments(settings, plan["address"]),
        "scaling_file": f"{settings.user_home}/{scaling_file(plan['address'], int(settings.scheduler_port))}",
    }
    yield file(f"systemd/{SCHEDULER}", render("dask-scheduler.service.j2", **about))
    yield from _journal_files(settings, "scheduler", [SCHEDULER])
    yield file(f"services/{SCHEDULER}.env", render("scheduler.env.j2", **about), SCHEDULER)


def scaling_file(address: str, port: int) -> str:
    """Return the name of the file in which a scheduler keeps which workers are stopped.

    The directory may be on a network file system, with schedulers of other clusters, so the name has the address and port.
    """
    return f"daskops-scaling-{re.sub(r'[^A-Za-z0-9.-]+', '_', address)}-{port}.json"


def _worker_files(settings: Settings, plan: Plan, environment: Environment) -> Iterator[File]:
    def file(path: str, content: str, service: str | None = None) -> File:
        return File(path, content, ("worker",), "worker", service)

    yield from _source("boot", os.path.join(ROOT, "plugins/module_utils/directories.py"), ("worker",), "worker")
    yield file("worker/dask_configuration.yaml", configuration_text(worker_configuration(settings)))
    nannies = settings.nanny_preloads if settings.has_nannies else []
    yield from _sources("worker", settings.worker_preloads, settings.worker_routes, nannies)
    binds = [*outside(settings.worker_paths, [settings.user_home]), *settings.worker_devices]
    readable = [settings.home, *environment.prefixes, *settings.worker_import_paths]
    shared = {"settings": settings, "readable": readable, "binds": binds}
    yield file("systemd/dask-worker@.service", render("dask-worker@.service.j2", **shared))
    units = [worker["unit"] for worker in plan["workers"]]
    helpers = [*_hours_files(settings, plan), *_journal_files(settings, "worker", units)]
    yield from helpers
    # The file has no kinds, so that a change of the number of workers does not restart the other workers.
    units += [posixpath.basename(file.path) for file in helpers if file.path.endswith((".socket", ".timer"))]
    target = render("dask-workers.target.j2", units=units)
    yield File("systemd/dask-workers.target", target, (), "worker")
    boot = environment.boot_python or f"{settings.home}/current/environment/bin/python"
    for worker in plan["workers"]:
        unit, about = worker["unit"], {"settings": settings, "boot_python": boot, **_about_worker(settings, worker)}
        yield file(f"systemd/{unit}.d/daskops.conf", render("daskops.conf.j2", **about), unit)
        yield file(f"services/{unit}.env", render("worker.env.j2", **about), unit)


def _hours_files(settings: Settings, plan: Plan) -> Iterator[File]:
    """Yield the hours of each pool that has some, and the timer that restarts its workers when they begin or end.

    The files have no kinds, because a change of the hours restarts no worker: units and workers read the new file.
    """
    drain = int(settings.worker_drain_timeout) + MARGIN
    for pool in dict.fromkeys(worker["pool"] for worker in plan["workers"]):
        hours = parse_hours(settings.pools[pool]["hours"])
        if hours.always:
            continue
        about = {
            "pool": pool or UNNAMED,
            "units": [worker["unit"] for worker in plan["workers"] if worker["pool"] == pool],
            "events": hours.calendar(drain),
            "hours_file": f"{settings.home}/current/{hours_file(pool)}",
            "settings": settings,
        }
        yield File(hours_file(pool), json.dumps({"hours": settings.pools[pool]["hours"]}) + "\n", (), "worker")
        unit = f"systemd/dask-worker-hours@{pool or UNNAMED}"
        yield File(f"{unit}.timer", render("dask-worker-hours.timer.j2", **about), (), "worker")
        yield File(f"{unit}.service", render("dask-worker-hours.service.j2", **about), (), "worker")


def _journal_files(settings: Settings, kind: str, units: list[str]) -> Iterator[File]:
    """Yield the units with which the services of a kind read their journal. Their change restarts no service."""
    lines = min(UNIT_LINES, HOST_LINES // max(1, len(units)))
    about = {"settings": settings, "kind": kind, "units": units, "lines": lines}
    yield File(f"systemd/dask-{kind}-journal.socket", render("dask-journal.socket.j2", **about), (), kind)
    yield File(f"systemd/dask-{kind}-journal@.service", render("dask-journal@.service.j2", **about), (), kind)


def hours_file(pool: str) -> str:
    """Return the path in a release of the file with the hours of a pool's workers. Without hours, it does not exist."""
    return f"worker/hours-{pool or UNNAMED}.json"


def _about_worker(settings: Settings, worker: Worker) -> dict[str, Any]:
    """Return the variables of a worker's templates: its plan, the settings of its pool, and values computed from both."""
    pool = settings.pools[worker["pool"]]
    open_already = [settings.user_home, *settings.worker_paths]
    return {
        **pool,
        **worker,
        "environment_variables": {**settings.environment_variables, **pool["environment_variables"]},
        "arguments": worker_arguments(settings, worker),
        "binds": outside([pool["scratch_directory"]], open_already),
        "hours_file": f"{settings.home}/current/{hours_file(worker['pool'])}",
    }


def _sources(kind: str, *lists: Iterable[Any]) -> Iterator[File]:
    """Yield the files of the user's modules, without duplicates."""
    for source in dict.fromkeys(module.file for entries in lists for module in modules(entries) if module.file):
        yield from _source("python", source, (kind,), kind)


@functools.cache
def _source(directory: str, source: str, kinds: tuple[str, ...], kind: str) -> tuple[File, ...]:
    """Return the Python files in ``source``, a file or a directory on the controller, as files of ``directory``.

    Cached for the run.
    """
    return tuple(File(os.path.join(directory, path), content, kinds, kind) for path, content in _python_files(source))


@functools.cache
def _python_files(source: str) -> tuple[tuple[str, str], ...]:
    """Return relative paths and texts of the Python files in a directory, or of one file. Cached for the run."""
    if not os.path.exists(source):
        raise ValueError(f"{source} does not exist on the controller.")
    if os.path.isfile(source):
        return ((os.path.basename(source), _text(source)),)
    found = []
    for directory, directories, names in os.walk(source):
        directories[:] = sorted(set(directories) - {"__pycache__"})
        paths = [os.path.join(directory, name) for name in sorted(names) if name.endswith(".py")]
        found += [(os.path.relpath(path, source), _text(path)) for path in paths]
    return tuple(found)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


# Settings of the user


def user_environment_variables(settings: Settings, kinds: Iterable[str]) -> dict[str, Any]:
    """Return the user's environment variables of the services, by the name of the setting that contains them."""
    found = {"dask_environment_variables": settings.environment_variables}
    if "worker" in kinds:
        for name, pool in settings.pools.items():
            found[where(name, "environment_variables")] = pool["environment_variables"]
    return found


def set_by_user(settings: Settings, kinds: Iterable[str]) -> dict[str, Any]:
    """Return the user's settings that can prevent a service from starting, by the name of the setting."""
    found = user_environment_variables(settings, kinds)
    if "worker" in kinds:
        found.update({where(name, "arguments"): pool["arguments"] for name, pool in settings.pools.items()})
    names = (
        *("config", "scheduler_config", "worker_config", "scheduler_preloads", "scheduler_routes", "worker_preloads"),
        *("scheduler_import_paths", "worker_import_paths", "user_groups"),
        *("worker_routes", "nanny_preloads", "scheduler_file", "worker_paths", "worker_devices", "environment_setup"),
        *("scheduler_arguments", "scheduler_memory"),
    )
    return {**found, **{f"dask_{name}": getattr(settings, name) for name in names}}


def pool_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of pools that the host's Dask validates, by the prefix of the names of the pool's settings."""
    checked = ("arguments", "command", "lifetime", "lifetime_stagger")
    return {where(name, ""): {key: pool[key] for key in checked} for name, pool in settings.pools.items()}


def checks(settings: Settings, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """Return the user's settings that the host's Dask validates before the release is staged, for each kind of service."""
    found: list[dict[str, Any]] = []
    shared = [settings.config, settings.environment_variables, settings.application]
    writable = [settings.user_home, "/tmp", "/var/tmp"]
    scheduler = [settings.scheduler_config, settings.scheduler_preloads, settings.scheduler_routes]
    if "scheduler" in kinds and any([*shared, *scheduler, settings.scheduler_arguments]):
        directories = [os.path.dirname(settings.scheduler_file)] if settings.scheduler_file else []
        found.append(
            {
                "kind": "scheduler",
                "asked": {"dask_config": settings.config, "dask_scheduler_config": settings.scheduler_config},
                "namespaces": settings.config_extra_namespaces,
                "nanny": True,  # worker hosts validate the settings of nannies
                "writable": [*writable, *directories],
                "arguments": [str(argument) for argument in settings.scheduler_arguments],
                "import_paths": settings.scheduler_import_paths,
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
                "import_paths": settings.worker_import_paths,
                "pools": pool_settings(settings),
                "error_monitor": settings.error_monitor,
            }
        )
    return found


def _has_own_settings(pool: Mapping[str, Any]) -> bool:
    """Return whether a pool has settings of the user that the host's Dask must validate."""
    asked = pool["arguments"] or pool["lifetime"] or pool["environment_variables"]
    return bool(asked) or pool["command"] != "dask worker"
