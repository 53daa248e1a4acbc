# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask's interface of a cluster, for notebooks. The workers are stopped and started by the scheduler.

Tested with distributed 2025.7 and 2026.8.
"""

from __future__ import annotations

import asyncio
import html
import math
import warnings
from collections.abc import Awaitable, Generator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed.deploy
from distributed import Security
from distributed.core import Status, rpc
from distributed.objects import SchedulerInfo
from distributed.utils import Log

#: Seconds between two attempts to connect to a scheduler that restarts.
RETRY = 1.0

UNKNOWN = (
    "The scheduler cannot stop or start workers. Ask the administrator to run site.yml of this version of daskops.cluster,"
    " with dask_worker_scaling in the inventory."
)
NO_CLUSTER = (
    "The Dask configuration names no cluster. Ask the administrator to run client.yml of daskops.cluster for this account,"
    " or give an address."
)


def warn_if_limited(answer: dict[str, Any]) -> None:
    """Warn if a request is for a number of workers that is not possible now. An older scheduler does not say so."""
    limited = answer.get("limited")
    if limited:
        possible = f"{limited['least']} to {limited['most']}" if limited["least"] < limited["most"] else limited["most"]
        warnings.warn(
            f"{limited['parameter']} is {limited['asked']}, but the number of workers that can run now is {possible}. "
            f"The scheduler uses {limited['effective']}. The limits are the workers that exist and are within their hours, "
            "and dask_worker_minimum and dask_worker_maximum in the inventory.",
            stacklevel=4,
        )


class Adaptive:
    """Adaptive scaling that the scheduler does. It goes on after this program has ended.

    Attributes
    ----------
    minimum, maximum : int
        Smallest and largest number of workers. ``maximum`` is infinite for all workers.
    """

    def __init__(self, cluster: Cluster, pool: str | None, minimum: int, maximum: float, started: Awaitable | None):
        self.cluster = cluster
        self.pool = pool
        self.minimum = minimum
        self.maximum = maximum
        self.started = started

    def stop(self, reason: str = "") -> Any:
        """Keep the present number of workers. ``reason`` is accepted like by Dask's class, and not used."""
        return self.cluster._command("daskops_stop_adapting", pool=self.pool)

    def __await__(self) -> Generator[Any, None, Adaptive]:
        async def wait() -> Adaptive:
            if self.started:
                await self.started
            return self

        return wait().__await__()


class Cluster(distributed.deploy.Cluster):
    """A connection to a provisioned cluster. Closing it changes nothing in the cluster.

    Parameters
    ----------
    address : str, optional
        Address of the scheduler. By default, the one in the Dask configuration that ``client.yml`` wrote.
    security : Security, optional
        Certificates of the client. By default, those in the Dask configuration.
    asynchronous : bool
        Whether to use the cluster with ``async with`` and ``await``.
    """

    scheduler_comm: Any

    def __init__(
        self,
        address: str | None = None,
        security: Security | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        name: str | None = None,
        quiet: bool = True,
    ):
        configured = dask.config.get("daskops.client", None) or {}
        address = address or configured.get("address")
        if not address:
            raise ValueError(NO_CLUSTER)
        is_configured = address == configured.get("address")
        if security is None:
            security = Security(**((configured.get("security") or {}) if is_configured else {}))
        self.security = security
        self._link = dask.config.get("daskops.dashboard", "") if is_configured else ""
        self._scaling: dict[str, Any] = {}
        self._address = address
        super().__init__(
            asynchronous=asynchronous, loop=loop, quiet=quiet, name=name or urlsplit(address).hostname or address
        )
        if not self.called_from_running_loop:
            self._loop_runner.start()
            self.sync(self._start)

    async def _start(self) -> None:
        if self.status != Status.created:
            return
        self.scheduler_comm = rpc(self._address, connection_args=self.security.get_connection_args("client"))
        try:
            self._scaling = await self.scheduler_comm.daskops_scaling() or {}
            await super()._start()
        except BaseException:
            await self.scheduler_comm.close_rpc()
            self.status = Status.closed
            raise

    def __await__(self) -> Generator[Any, None, Cluster]:
        async def wait() -> Cluster:
            await self._start()
            return self

        return wait().__await__()

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        self.status = Status.closing
        self._adaptive = None  # the scheduler goes on
        task, self._watch_worker_status_task = self._watch_worker_status_task, None
        if task:
            task.cancel()
            await asyncio.wait({task}, timeout=5)
        await super()._close()

    @property
    def _is_open(self) -> bool:
        return self.status not in (Status.closing, Status.closed)

    async def _watch_worker_status(self, comm: Any) -> None:
        """Follow the workers, also after a restart of the scheduler."""
        while self._is_open:
            await super()._watch_worker_status(comm)
            while comm.closed() and self._is_open:
                await asyncio.sleep(RETRY)
                with suppress(OSError):
                    new = await self.scheduler_comm.live_comm()
                    new.name = "Cluster worker status"
                    await new.write({"op": "subscribe_worker_status"})
                    self.scheduler_info = SchedulerInfo(await new.read())
                    self._watch_worker_status_comm = comm = new

    async def _sync_cluster_info(self) -> None:
        """Read the state of the scaling, instead of writing the name of this object to the scheduler."""
        while self._scaling and self._is_open:
            await asyncio.sleep(self._sync_interval)
            with suppress(OSError):
                self._scaling = await self.scheduler_comm.daskops_scaling() or {}

    def _command(self, command: str, **options: Any) -> Any:
        async def ask() -> dict[str, Any]:
            await self._start()
            answer: dict[str, Any] | None = await getattr(self.scheduler_comm, command)(**options)
            if answer is None:
                raise RuntimeError(UNKNOWN)
            self._scaling = answer
            return answer

        async def ask_and_warn() -> None:
            warn_if_limited(await ask())

        if self.asynchronous:
            return asyncio.ensure_future(ask_and_warn())
        # Warn here, where Python finds the line of the user's program, and not on the event loop.
        warn_if_limited(self.sync(ask))
        return None

    def scale(self, n: int | None = None, pool: str | None = None) -> Any:
        """Run ``n`` workers of a pool, or of all pools together. Without a number, let the inventory decide again.

        Workers that stop first finish their tasks and move their data to other workers. With several pools, ``n`` is divided
        in proportion to their sizes. Warns if ``n`` workers are not possible now; then the scheduler runs the nearest number
        that is.
        """
        self._adaptive = None
        return self._command("daskops_scale", n=n, pool=pool)

    def adapt(  # type: ignore[override]
        self,
        *,
        minimum: int = 0,
        maximum: float | None = None,
        pool: str | None = None,
        interval: Any = None,
        wait_count: int | None = None,
        target_duration: Any = None,
    ) -> Adaptive:
        """Let the scheduler start workers of a pool, or of all pools, if there is work, and stop idle ones.

        The parameters have the meaning of those of ``distributed.deploy.Adaptive``.
        """
        if maximum == math.inf:
            maximum = None
        options = {"interval": interval, "wait_count": wait_count, "target_duration": target_duration}
        started = self._command("daskops_adapt", minimum=minimum, maximum=maximum, pool=pool, **options)
        limit = math.inf if maximum is None else maximum
        adaptive = self._adaptive = Adaptive(self, pool, minimum, limit, started)
        return adaptive

    async def _get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True) -> Any:
        if cluster and self._scaling:
            self._scaling = await self.scheduler_comm.daskops_scaling() or {}
            self._cluster_manager_logs = [(None, line) for line in self._scaling.get("log", ())]
        journals = await self.scheduler_comm.daskops_journals(workers=workers, scheduler=scheduler)
        if journals is None:  # another scheduler, of which Dask has the logs that it keeps in memory
            return await super()._get_logs(cluster=cluster, scheduler=scheduler, workers=workers)
        logs = await super()._get_logs(cluster=cluster, scheduler=False, workers=False)
        logs.update({name: Log("\n".join(lines)) for name, lines in journals.items()})
        return logs

    @property
    def dashboard_link(self) -> str:
        return self._link or super().dashboard_link

    @property
    def plan(self) -> set[str]:
        """Names of the workers that should run."""
        pools = self._scaling.get("pools", {}).values()
        stopped = {name for pool in pools for name in set(pool["workers"]) - set(pool["wanted"])}
        return {name for pool in pools for name in pool["wanted"]} | (self.observed - stopped)

    @property
    def requested(self) -> set[str]:
        return self.plan

    def _scaling_status(self) -> str:
        rows = [f"Workers: {len(self.observed)} / {len(self.plan)}"]
        for name, pool in sorted(self._scaling.get("pools", {}).items()):
            mode = "Adaptive" if pool["adaptive"] else "Manual"
            limits = f"{pool['minimum']} to {pool['maximum']} of {len(pool['workers'])} workers"
            row = f"Pool {html.escape(name)}: {mode}, {limits}, {len(pool['standby'])} on standby"
            outside = len(pool.get("outside_hours", ()))  # a scheduler with an older runtime does not have it
            rows.append(f"{row}, {outside} outside of their hours" if outside else row)
        return "<table>" + "".join(f'<tr><td style="text-align: left;">{row}</td></tr>' for row in rows) + "</table>"
