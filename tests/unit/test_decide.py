# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of a run: releases to stage, services to restart, trials and expected workers."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import (
    SCHEDULER,
    expected_workers,
    interrupts_maintenance,
    interrupts_scheduler,
    is_current,
    is_staged,
    runs_release,
    scheduler_is_older,
    scheduler_is_pending,
    services_to_try,
    units_to_restart,
    untried,
)

ONE, TWO = "dask-worker@1.service", "dask-worker@2.service"
POOLS = ["dask-worker@a-1.service", "dask-worker@b-1.service"]


def test_units_with_another_release_are_restarted():
    running = {SCHEDULER: "s", ONE: "w", TWO: ""}
    assert units_to_restart(running, {SCHEDULER: "s"}, "scheduler") == []
    assert units_to_restart(running, {SCHEDULER: "t"}, "scheduler") == [SCHEDULER]
    assert units_to_restart(running, {ONE: "w", TWO: "w"}, "worker") == [TWO]
    assert units_to_restart(running, {TWO: ""}, "worker") == [ONE]
    assert units_to_restart({}, {ONE: "w"}, "worker") == []


# Hosts that need nothing


def settled(**changed):
    """Return the result of `host_info` for a host that runs release ``r`` with content ``c``."""
    current = {"id": "r", "content": "c", "settled": ["worker"], "services": {"worker": {ONE: "w", TWO: "w"}}}
    current.update({name: value for name, value in changed.items() if name in current})
    running = changed.get("running", {SCHEDULER: "s", ONE: "w", TWO: "w"})
    return {"current": current, "running": running, "unfinished": changed.get("unfinished", 0)}


def test_release_is_current_also_after_a_rollback():
    reverted = {**settled(), "unfinished": 8}
    assert is_current(settled(), "c") and is_current(reverted, "c") and not is_staged(reverted, "c")
    assert not is_current(reverted, "d") and not is_current({}, "c")


def test_release_is_staged():
    assert is_staged(settled(), "c")
    assert not is_staged({}, "c")
    assert not is_staged({**settled(), "current": {}}, "c")
    assert not is_staged(settled(), "d")
    assert not is_staged(settled(content=""), "c")
    assert not is_staged(settled(settled=[]), "c")
    assert is_staged(settled(settled=["scheduler", "worker"]), "c")
    assert not is_staged(settled(unfinished=1_800_000_000), "c")


def test_services_that_run_the_release_are_not_changed():
    wanted = {ONE: "w", TWO: "w"}
    assert runs_release(settled(), "r", "worker", wanted)
    assert not runs_release({}, "r", "worker", wanted)
    assert not runs_release({**settled(), "current": {}}, "r", "worker", wanted)
    assert not runs_release(settled(), "q", "worker", wanted)
    assert not runs_release(settled(settled=["scheduler"]), "r", "worker", wanted)
    assert not runs_release(settled(), "r", "worker", {ONE: "w"})
    assert not runs_release(settled(), "r", "worker", {**wanted, "dask-worker@3.service": "w"})
    assert not runs_release(settled(running={ONE: "w", TWO: None}), "r", "worker", wanted)
    assert not runs_release(settled(running={ONE: "w", TWO: "w (another unit)"}), "r", "worker", wanted)
    assert not runs_release(settled(running={}), "r", "worker", wanted)


def test_maintenance_begins_where_workers_run_or_start_at_boot():
    assert interrupts_maintenance({"running": {ONE: "w"}, "current": {"enabled": []}})
    assert interrupts_maintenance({"running": {ONE: None}, "current": {}})
    assert interrupts_maintenance({"running": {}, "current": {"enabled": ["worker"]}})
    for info in (
        {},
        {"running": {SCHEDULER: "s"}, "current": {"enabled": ["scheduler"]}},
        {"running": {}, "current": {}},
    ):
        assert not interrupts_maintenance(info)


# The scheduler


def scheduler(runs="old", current="old", environment="e1", unfinished=0):
    """Return the result of `host_info` for the scheduler's host."""
    return {
        "running": {SCHEDULER: runs},
        "current": {"services": {"scheduler": {SCHEDULER: current}}},
        "scheduler_environment": environment,
        "unfinished": unfinished,
    }


def workers(environment):
    return {"w1": {"environment": environment, "services": {"worker": {ONE: "w"}}}}


def test_scheduler_is_interrupted_if_it_runs_and_stops():
    running, release = {"running": {SCHEDULER: "s"}}, {"services": {"scheduler": {SCHEDULER: "s"}}}
    assert not interrupts_scheduler("started", running, release)
    assert interrupts_scheduler("started", {"running": {SCHEDULER: "r"}}, release)
    assert interrupts_scheduler("started", running, {})
    assert interrupts_scheduler("restarted", running, release)
    for info in ({}, {"running": {}}, {"running": {SCHEDULER: None}}, {"running": {ONE: "w"}}):
        assert not interrupts_scheduler("restarted", info, release)


def test_scheduler_is_pending_while_it_has_work():
    assert scheduler_is_pending({"idle": False})
    assert not scheduler_is_pending({"idle": True})
    assert not scheduler_is_pending({"skipped": True}) and not scheduler_is_pending({})


@pytest.mark.parametrize(
    ("work", "turn", "seen", "release", "of_workers", "older"),
    [
        ({}, {}, {}, {}, {}, False),
        ({}, {}, scheduler(), {}, workers("e1"), False),
        # This run did not restart the scheduler.
        ({"idle": False}, {"skipped": True}, scheduler(), {}, workers("e1"), True),
        # An earlier run did not restart it: it runs another release than its host's current one until this run restarts it.
        ({}, {}, scheduler(current="new"), {}, workers("e1"), True),
        ({"idle": True}, {"restarted": [SCHEDULER]}, scheduler(current="new"), {}, workers("e1"), False),
        # A stopped scheduler is not older.
        ({}, {}, scheduler(runs="", current="new"), {}, workers("e1"), False),
        # An unfinished change: the scheduler is older if no worker has its environment.
        ({}, {}, scheduler(unfinished=7), {}, workers("e2"), True),
        ({}, {}, scheduler(unfinished=7), {}, workers("e1"), False),
        ({}, {}, scheduler(), {}, workers("e2"), False),
        ({}, {}, scheduler(unfinished=7), {}, {}, False),
        ({}, {}, scheduler(unfinished=7, environment=""), {}, workers("e2"), False),
        # After its part of the run, the scheduler has the environment of the new release.
        ({}, {"restarted": []}, scheduler(unfinished=7), {"environment": "e2"}, workers("e2"), False),
        # Hosts without workers do not count.
        ({}, {}, scheduler(unfinished=7), {}, {"s": {"environment": "e2", "services": {"scheduler": {}}}}, False),
        ({}, {}, {"unreachable": True}, {}, workers("e1"), False),
    ],
)
def test_scheduler_is_older_than_its_workers(work, turn, seen, release, of_workers, older):
    assert scheduler_is_older(work, turn, seen, release, of_workers) is older


# Expected workers

CURRENT = {"services": {"scheduler": {SCHEDULER: "s"}, "worker": {ONE: "w"}}}


def test_workers_of_the_new_release_are_expected():
    seen = {"node1": {"current": CURRENT}}
    release = {"services": {"worker": {"dask-worker@gpu-1.service": "y", ONE: "x"}}}
    assert expected_workers(seen, {"node1": release}) == [
        {"name": "node1-1", "release": "x"},
        {"name": "node1-gpu-1", "release": "y"},
    ]
    assert expected_workers(seen, {}) == [{"name": "node1-1", "release": "w"}]


def test_host_without_a_release_is_expected_to_have_one_worker():
    assert expected_workers({"node1": {"current": {}}, "node2": {"unreachable": True}}, {}) == [
        {"name": "node1-1"},
        {"name": "node2-1"},
    ]


def test_hosts_outside_the_run_have_no_expected_workers():
    assert expected_workers({}, {"node1": CURRENT}) == []


# Trials


def test_services_of_releases_that_never_ran_are_untried():
    services = {"scheduler": {SCHEDULER: "s"}, "worker": {TWO: "w", ONE: "x"}}
    assert untried(["s", "old"], services) == [ONE, TWO]
    assert untried([], services) == [SCHEDULER, ONE, TWO]
    assert untried(["s", "w", "x"], services) == []


def try_out(**hosts):
    """Return `services_to_try` for hosts, each built by `host`."""
    return services_to_try(
        {name: release for name, (release, dummy) in hosts.items()},
        {name: plan for name, (dummy, plan) in hosts.items() if plan},
    )


def host(name, units, untried, shared="a", pools=None, gpu="", nanny_port=None):
    """Return the release and the plan of a host; ``units`` maps the unit of each worker to its pool."""
    workers = [{"unit": unit, "pool": pool, "gpu": gpu, "nanny_port": nanny_port} for unit, pool in units.items()]
    release = {
        "untried": untried,
        "pools": pools or {},
        "services": {"worker": {unit: f"{shared}.{name}" for unit in units}},
    }
    return release, {"workers": workers}


def test_hosts_with_the_same_settings_try_them_once():
    names = [f"node{number}" for number in range(100)]
    hosts = {name: host(name, {ONE: "", TWO: ""}, [ONE, TWO]) for name in names}
    assert try_out(**hosts) == {"node0": {"scheduler": False, "workers": [ONE]}}


def test_each_different_setting_is_tried_once():
    settings = {"dask_worker_": "x"}
    found = try_out(
        node1=host("node1", {ONE: ""}, [ONE]),
        node2=host("node2", {ONE: ""}, [ONE], shared="b"),
        node3=host("node3", {ONE: ""}, [ONE], pools=settings),
        node4=host("node4", {ONE: ""}, [ONE], pools=settings),
        node5=host("node5", dict(zip(POOLS, "ab")), POOLS),
        node6=host("node6", {ONE: ""}, []),
        node7=host("node7", {ONE: ""}, [ONE], nanny_port=9000),
        node8=host("node8", {ONE: ""}, [ONE], nanny_port=9001),
    )
    assert list(found) == ["node1", "node2", "node3", "node5", "node7"]
    assert found["node5"]["workers"] == POOLS


def test_scheduler_is_tried_on_its_host():
    both = host("head", {ONE: ""}, [SCHEDULER])
    assert try_out(head=both) == {"head": {"scheduler": True, "workers": []}}


def test_workers_with_gpus_are_not_tried():
    assert try_out(node1=host("node1", {ONE: ""}, [ONE], gpu="0")) == {}


def test_unchanged_hosts_try_nothing():
    assert try_out(node1=host("node1", {ONE: ""}, []), node2=({"skipped": True}, None)) == {}
