# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``daskops.Cluster``: Dask's interface of a cluster, as Dask's own tests of it use it, over provisioned workers."""

import asyncio
import contextlib
import warnings

import dask
import distributed.deploy
import pytest
from conftest import wait_until
from dask.distributed import Client
from daskops import Cluster
from test_scaling import Cluster as Units


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """Return a scheduler with two units of workers."""
    with contextlib.ExitStack() as stack:
        running = Units(tmp_path_factory.mktemp("units"), stack)
        running.start("w1", "w2")
        yield running


@pytest.fixture
def configured(units):
    """Configure the account of a user like ``client.yml``, and start all workers."""
    units.ask("daskops_scale")
    units.wait_for("w1", "w2")
    client = {"address": units.scheduler.address, "security": None}
    with dask.config.set({"daskops": {"client": client, "dashboard": "https://head:8787/status"}}):
        yield units


def test_cluster_without_arguments(configured):
    with Cluster() as cluster:
        assert isinstance(cluster, distributed.deploy.Cluster)
        assert cluster.scheduler_address == configured.scheduler.address
        assert cluster.dashboard_link == "https://head:8787/status"
        assert repr(cluster).startswith("Cluster(127.0.0.1, 'tcp://127.0.0.1:")
        assert "workers=2, threads=2, memory=2.00 GiB" in repr(cluster)
        assert 'href="https://head:8787/status"' in cluster._repr_html_()
        assert "Pool default: Manual, 2 to 2 of 2 workers, 0 on standby" in cluster._scaling_status()
        told = cluster._scaling
        hidden = {**told["pools"]["default"], "outside_hours": ["w2"], "wanted": ["w1"]}
        cluster._scaling = {**told, "pools": {"default": hidden}}
        assert "0 on standby, 1 outside of their hours" in cluster._scaling_status()
        cluster._scaling = told
        assert cluster.plan == cluster.requested == cluster.observed == {"w1", "w2"}
        with cluster.get_client() as client:
            assert client.submit(sum, [1, 2]).result(20) == 3
            assert client.dashboard_link == cluster.dashboard_link
            assert cluster.get_client() is client
        with Cluster() as other:
            assert other == cluster
    assert cluster.status.name == "closed"
    cluster.close()
    assert configured.names() == {"w1", "w2"}  # they belong to everybody


def test_client_of_a_cluster(configured):
    with Cluster() as cluster, Client(cluster, set_as_default=False) as client:
        assert client.submit(sum, [1, 2]).result(20) == 3


def test_name_of_a_pool_is_no_html(configured):
    with Cluster() as cluster:
        (pool,) = cluster._scaling["pools"].values()
        cluster._scaling = {"pools": {"<b>&": pool}}
        status = cluster._scaling_status()
        assert "Pool &lt;b&gt;&amp;: Manual" in status and "<b>" not in status


def test_scale_and_wait(configured):
    with Cluster() as cluster:
        cluster.scale(1)
        wait_until(lambda: len(cluster.observed) == 1)
        assert len(cluster.plan) == 1 and "Workers: 1 / 1" in cluster._scaling_status()
        with pytest.raises(TimeoutError):
            cluster.wait_for_workers(2, timeout=0.5)
        with pytest.raises(ValueError, match="must be a positive integer"):
            cluster.wait_for_workers(0)
        cluster.scale(2)
        cluster.wait_for_workers(2, timeout=40)
        logs = cluster.get_logs()
        assert "scale to 1, requested from tcp://127.0.0.1" in logs["Cluster"]
        assert {"Cluster", "Scheduler"} < set(logs) and len(logs) == 4
        assert list(cluster.get_logs(cluster=False, scheduler=False, workers=False)) == []


def warned(parameter, asked, possible, used):
    return f"^{parameter} is {asked}, but the number of workers that can run now is {possible}. The scheduler uses {used}. "


def test_impossible_numbers_of_workers(configured):
    """Before, the scheduler ran another number of workers and did not say so."""
    with Cluster() as cluster, warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster.scale(2)
        cluster.adapt(minimum=2, maximum=20)  # a limit, and no request for 20 workers
        with pytest.warns(UserWarning, match=warned("n", 5, "0 to 2", 2)) as found:
            cluster.scale(5)
        assert found[0].filename == __file__
        assert "scale to 5, effectively 2, because 0 to 2 are possible, requested from" in cluster.get_logs()["Cluster"]
        with pytest.warns(UserWarning, match=warned("minimum", 7, "0 to 2", 2)):
            cluster.adapt(minimum=7, maximum=9)
        cluster.wait_for_workers(2, timeout=40)


def test_impossible_number_of_workers_asynchronously(configured):
    async def run():
        async with Cluster(asynchronous=True) as cluster:
            with pytest.warns(UserWarning, match=warned("n", 3, "0 to 2", 2)):
                await cluster.scale(3)
            with pytest.warns(UserWarning, match=warned("minimum", 3, "0 to 2", 2)):
                await cluster.adapt(minimum=3, maximum=9)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_limits_of_the_inventory_limit_a_request(tmp_path):
    limits = {"DASKOPS_POOL_MINIMUM": "1", "DASKOPS_POOL_MAXIMUM": "2"}
    with contextlib.ExitStack() as stack:
        units = Units(tmp_path, stack)
        units.start("w1", "w2", "w3", **limits)
        wait_until(lambda: len(units.state()["standby"]) == 1, 40)
        with Cluster(units.scheduler.address) as cluster:
            with pytest.warns(UserWarning, match=warned("n", 3, "1 to 2", 2)):
                cluster.scale(3)
            with pytest.warns(UserWarning, match=warned("n", 0, "1 to 2", 1)):
                cluster.scale(0)
            with pytest.warns(UserWarning, match=warned("maximum", 0, "1 to 2", 1)):
                cluster.adapt(maximum=0)


def test_adaptive_scaling_outlives_the_cluster_object(configured):
    with Cluster() as cluster:
        adaptive = cluster.adapt(minimum=1, maximum=2, interval="100ms", wait_count=1)
        assert (adaptive.minimum, adaptive.maximum) == (1, 2)
        wait_until(lambda: len(cluster.observed) == 1)
    state = configured.state()
    assert (state["adaptive"], state["minimum"], state["maximum"]) == (True, 1, 2)
    with Cluster() as cluster:
        assert "Adaptive, 1 to 2 of 2 workers" in cluster._scaling_status()
        cluster.adapt().stop()
        assert configured.state()["adaptive"] is False and len(cluster.plan) == 1
        with pytest.raises(TypeError):
            cluster.adapt(1, 2)
        with pytest.raises(ValueError, match="There is no pool 'gpu'"):
            cluster.adapt(pool="gpu")


def test_asynchronous_cluster(configured):
    async def run():
        async with Cluster(asynchronous=True) as cluster:
            cluster.scale(1)  # without await, like other clusters of Dask
            while len(cluster.observed) != 1:
                await asyncio.sleep(0.05)
            await cluster.scale(2)
            await cluster.wait_for_workers(2)
            adaptive = await cluster.adapt(minimum=2)
            await adaptive.stop()
            assert "Scheduler" in await cluster.get_logs(workers=False)
            async with Client(cluster, asynchronous=True, set_as_default=False) as client:
                assert await client.submit(sum, [1, 2]) == 3
        cluster = await Cluster(asynchronous=True)
        await cluster.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_cluster_follows_a_restart_of_the_scheduler(configured):
    with Cluster() as cluster:
        before = cluster.scheduler_info["id"]
        configured.restart_scheduler()
        wait_until(lambda: cluster.scheduler_info["id"] != before, 30)
        wait_until(lambda: cluster.observed == {"w1", "w2"}, 40)
        cluster.scale(1)
        wait_until(lambda: len(cluster.observed) == 1)


def test_cluster_that_does_not_exist(configured):
    with dask.config.set({"daskops": {}}), pytest.raises(ValueError, match="names no cluster. Ask the administrator"):
        Cluster()
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(OSError, match="Timed out"):
        Cluster("tcp://127.0.0.1:1")


def test_cluster_without_scaling_works_and_names_the_variable(ours, stock):
    with Cluster(ours.scheduler.address) as cluster:
        assert cluster.observed == {"w1", "w2"} and "/status" in cluster.dashboard_link
        with pytest.raises(ValueError, match="set dask_worker_scaling to manual or adaptive"):
            cluster.scale(1)
        with pytest.raises(ValueError, match="set dask_worker_scaling"):
            cluster.adapt(maximum=1)
    with Cluster(stock.scheduler.address) as cluster:
        with pytest.raises(RuntimeError, match="with dask_worker_scaling in the inventory"):
            cluster.scale(1)
        assert "Scheduler" in cluster.get_logs()
    assert sorted(ours.addresses()) == sorted(stock.addresses()) == ["w1", "w2"]
