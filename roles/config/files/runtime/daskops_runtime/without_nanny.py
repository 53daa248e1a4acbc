# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support for workers without a nanny, which systemd restarts.

Dask sends nanny plugins to the existing nannies, and does not report that there are none. Dask's clients reject the restart
of a worker without a nanny. The scheduler corrects both, because users choose the version of Dask.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from distributed import Scheduler, SchedulerPlugin
from distributed.protocol.pickle import loads
from distributed.scheduler import WorkerState
from distributed.utils import Deadline

from daskops_runtime import release, watchdog

logger = logging.getLogger("distributed.daskops.without_nanny")

#: Name that clients see as the nanny of a worker that systemd restarts.
SYSTEMD = "systemd"
#: Dask's plugins that install packages: names of the classes, and prefixes of the names of older ones.
PACKAGE_PLUGINS = {"InstallPlugin", "PackageInstall"}
PACKAGE_PREFIXES = ("pip-install-", "conda-install-")

INSTEAD = (
    "Ask the administrator to set dask_worker_nanny, or nanny of a pool, in the inventory of daskops.cluster."
    " Without a nanny, use client.upload_file for a module, dask_environment_lock for packages and your own code, and"
    " dask_environment_variables for environment variables."
)


def has_systemd(ws: WorkerState) -> bool:
    """Return whether systemd restarts a worker: it runs a release and has no nanny."""
    return not ws.nanny and bool(ws.extra.get(release.KEY))


class WithoutNanny(SchedulerPlugin):
    """A scheduler plugin that replaces some methods of the scheduler and their handlers."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler
        self.told: set[str] = set()  # nanny plugins about which clients were warned
        self.dask = {}
        for method in (
            self.identity,
            self.register_nanny_plugin,
            self.register_scheduler_plugin,
            self.register_worker_plugin,
            self.restart_workers,
        ):
            name = method.__name__
            self.dask[name] = getattr(scheduler, name)
            scheduler.handlers[name] = method
            if name != "identity":  # files and pages also have the result of this method, and must not change
                setattr(scheduler, name, method)

    # Plugins

    def lacking(self) -> list[WorkerState]:
        return [ws for ws in self.scheduler.workers.values() if not ws.nanny]

    def warn(self, text: str) -> None:
        """Show a warning to all clients, with the event "warn", to which Dask's clients subscribe."""
        logger.warning(text)
        self.scheduler.log_event("warn", text)

    async def register_nanny_plugin(self, comm: Any, plugin: bytes, name: str, **options: Any) -> Any:
        lacking = self.lacking()
        if lacking and len(lacking) == len(self.scheduler.workers):
            raise RuntimeError(
                f"The plugin {name} needs a nanny, but no worker of this cluster has one. It was not registered. {INSTEAD}"
            )
        if lacking:
            names = ", ".join(sorted(str(ws.name) for ws in lacking)[:5])
            self.warn(
                f"The plugin {name} has no effect on {len(lacking)} workers without a nanny, such as {names}. {INSTEAD}"
            )
            self.told.add(name)
        return await self.dask["register_nanny_plugin"](comm, plugin=plugin, name=name, **options)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        ws = scheduler.workers.get(worker)
        names = sorted(scheduler.nanny_plugins.keys() - self.told)
        if ws and not ws.nanny and names:
            self.told.update(names)
            self.warn(
                f"Nanny plugins have no effect on worker {ws.name}, which has no nanny: {', '.join(names)}. {INSTEAD}"
            )

    async def register_scheduler_plugin(self, plugin: Any, name: str | None = None, **options: Any) -> Any:
        if not isinstance(plugin, SchedulerPlugin):
            plugin = loads(plugin)
        if PACKAGE_PLUGINS & {one.__name__ for one in type(plugin).__mro__}:
            self.reject_packages(type(plugin).__name__)
        return await self.dask["register_scheduler_plugin"](plugin, name=name, **options)

    async def register_worker_plugin(self, comm: Any, plugin: bytes, name: str, **options: Any) -> Any:
        if str(name).startswith(PACKAGE_PREFIXES):
            self.reject_packages(name)
        return await self.dask["register_worker_plugin"](comm, plugin=plugin, name=name, **options)

    def reject_packages(self, name: str) -> None:
        raise RuntimeError(
            f"{name} cannot install packages, because the environment of this cluster is read-only and the same on all"
            " hosts. Ask the administrator to add the packages to the lock in dask_environment_lock, and to run upgrade.yml"
            " of daskops.cluster."
        )

    # Restarts

    def identity(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the identity with systemd as the nanny of workers without one, and with the scheduler's worker-ttl."""
        identity = self.dask["identity"](*args, **options)
        workers = {}
        for address, worker in identity["workers"].items():
            ws = self.scheduler.workers.get(address)
            workers[address] = {**worker, "nanny": SYSTEMD} if ws and has_systemd(ws) else worker
        return {**identity, "workers": workers, watchdog.TTL: self.scheduler.worker_ttl}

    async def restart_workers(
        self, workers: list[str] | None = None, *, timeout: float = 30, wait_for_workers: bool = True, **options: Any
    ) -> dict[str, str]:
        """Restart workers like Dask, including those without a nanny. "OK" means that a worker registered in time."""
        chosen = self.scheduler.workers.keys() if workers is None else self.scheduler.workers.keys() & set(workers)
        names = {
            address: self.scheduler.workers[address].name
            for address in chosen
            if has_systemd(self.scheduler.workers[address])
        }
        deadline = Deadline.after(timeout)
        for address in names:
            # Do not wait for tasks, because a nanny would also kill the worker. Dask's later request to close has no effect.
            self.scheduler.worker_send(
                address, {"op": "close", "reason": "restart", "executor_wait": False, "timeout": 2}
            )
        restarted = await self.dask["restart_workers"](
            workers, timeout=timeout, wait_for_workers=wait_for_workers, **options
        )
        if not wait_for_workers:
            return restarted
        while missing := set(names.values()) - {ws.name for ws in self.scheduler.workers.values()}:
            if deadline.expired:
                break
            await asyncio.sleep(0.1)
        if missing and options.get("on_error", "raise") == "raise":
            raise TimeoutError(
                f"{len(missing)} worker(s) did not restart within {timeout:g} s: {', '.join(sorted(map(str, missing)))}"
            )
        return {**restarted, **{address: "timed out" if name in missing else "OK" for address, name in names.items()}}


def start(scheduler: Scheduler) -> None:
    """Install the plugin."""
    scheduler.add_plugin(WithoutNanny(scheduler), name="daskops-without-nanny")
