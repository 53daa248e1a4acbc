# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions of several ``Cluster`` objects to the workers of one scheduler."""

import contextlib

import pytest
from conftest import scheduler, wait_until, worker
from daskops import Cluster


@pytest.fixture
def running(tmp_path):
    """Return a scheduler without workers."""
    with scheduler(tmp_path, runtime=True) as started:
        yield started


def subscriptions(client):
    return client.run_on_scheduler(
        lambda dask_scheduler: sorted(name for name in dask_scheduler.plugins if name.startswith("worker-status"))
    )


def test_all_clusters_follow_the_workers(running):
    with contextlib.ExitStack() as stack:
        clusters = [stack.enter_context(Cluster(running.address)) for dummy in range(3)]
        with worker(running, "w1"):
            for cluster in clusters:
                wait_until(lambda cluster=cluster: cluster.observed == {"w1"})
        for cluster in clusters:
            wait_until(lambda cluster=cluster: not cluster.observed)


def test_subscriptions_of_ended_programs_are_removed(running):
    with running.client() as client:
        for dummy in range(3):
            with Cluster(running.address):
                wait_until(lambda: len(subscriptions(client)) == 1)
        with Cluster(running.address):
            assert subscriptions(client) == ["worker-status-4"]
