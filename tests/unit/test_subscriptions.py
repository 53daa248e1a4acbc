# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions of several ``Cluster`` objects to the workers of one scheduler."""

import asyncio
import contextlib

import pytest
from conftest import scheduler, wait_until, worker
from daskops import Cluster
from daskops_runtime import subscriptions
from distributed.core import connect


@pytest.fixture
def running(tmp_path):
    """Return a scheduler without workers."""
    with scheduler(tmp_path, runtime=True) as started:
        yield started


def number_of_streams(client):
    name = subscriptions.Subscriptions.name
    return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.plugins[name].streams))


def test_all_clusters_follow_the_workers(running):
    with contextlib.ExitStack() as stack:
        clusters = [stack.enter_context(Cluster(running.address)) for dummy in range(3)]
        with worker(running, "w1"):
            for cluster in clusters:
                wait_until(lambda cluster=cluster: cluster.observed == {"w1"})
            with Cluster(running.address) as later:
                assert later.observed == {"w1"} and later.scheduler_info["id"] == clusters[0].scheduler_info["id"]
        for cluster in clusters:
            wait_until(lambda cluster=cluster: not cluster.observed)


def test_subscriptions_of_ended_programs_are_removed(running):
    with running.client() as client:
        for dummy in range(3):
            with Cluster(running.address):
                wait_until(lambda: number_of_streams(client) == 1)
        with worker(running, "w1"):
            wait_until(lambda: number_of_streams(client) == 0)


def test_connection_subscribes_once(running):
    async def ask(number):
        comm = await connect(running.address)
        answers = []
        for dummy in range(number):
            await comm.write({"op": subscriptions.COMMAND})
            answers.append(await comm.read())
        return comm, answers

    async def check():
        comm, answers = await ask(20)
        assert len({answer["id"] for answer in answers}) == 1
        with running.client() as client:
            assert number_of_streams(client) == 1
        await comm.close()

    asyncio.run(asyncio.wait_for(check(), 60))


def test_too_many_subscriptions_are_refused(monkeypatch):
    class Open:
        def closed(self):
            return False

    monkeypatch.setattr(subscriptions, "LIMIT", 2)
    monkeypatch.setattr(subscriptions.BatchedSend, "start", lambda stream, comm: None)
    plugin, comms = subscriptions.Subscriptions(), [Open(), Open(), Open()]
    for comm in comms[:2]:
        plugin.subscribe(comm)
    plugin.subscribe(comms[0])
    with pytest.raises(RuntimeError, match="2 Cluster objects are connected to this scheduler. Close unused ones."):
        plugin.subscribe(comms[2])
