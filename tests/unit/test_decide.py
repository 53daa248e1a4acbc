# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run decides."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.filter.by_host import by_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import (
    SCHEDULER,
    expected_workers,
    is_staged,
    runs_release,
    scheduler_is_older,
    scheduler_is_pending,
    services_to_try,
    units_to_restart,
)

ONE, TWO = "dask-worker@1.service", "dask-worker@2.service"
POOLS = ["dask-worker@a-1.service", "dask-worker@b-1.service"]


def test_units_that_run_something_else_are_restarted():
    running = {SCHEDULER: "s", ONE: "w", TWO: ""}
    assert units_to_restart(running, {SCHEDULER: "s"}, "scheduler") == []
    assert units_to_restart(running, {SCHEDULER: "t"}, "scheduler") == [SCHEDULER]
    assert units_to_restart(running, {ONE: "w", TWO: "w"}, "worker") == [TWO]
    assert units_to_restart(running, {TWO: ""}, "worker") == [ONE]
    assert units_to_restart({}, {ONE: "w"}, "worker") == []


# One look


def settled(**changed):
    """What is seen of a host that runs release ``r`` with content ``c``."""
    current = {"id": "r", "content": "c", "settled": ["worker"], "services": {"worker": {ONE: "w", TWO: "w"}}}
    current.update({name: value for name, value in changed.items() if name in current})
    running = changed.get("running", {SCHEDULER: "s", ONE: "w", TWO: "w"})
    return {"current": current, "running": running, "unfinished": changed.get("unfinished", 0)}


def test_release_is_staged():
    assert is_staged(settled(), "c")
    assert not is_staged({}, "c")
    assert not is_staged({**settled(), "current": {}}, "c")
    assert not is_staged(settled(), "d")
    assert not is_staged(settled(content=""), "c")
    assert not is_staged(settled(settled=[]), "c")
    assert not is_staged(settled(unfinished=1_800_000_000), "c")


def test_services_that_run_the_release_are_left_alone():
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


# The scheduler


def scheduler(runs="old", current="old", environment="e1", unfinished=0):
    """What is seen of the scheduler's host."""
    return {
        "running": {SCHEDULER: runs},
        "current": {"services": {"scheduler": {SCHEDULER: current}}},
        "scheduler_environment": environment,
        "unfinished": unfinished,
    }


def workers(environment):
    return {"w1": {"environment": environment, "services": {"worker": {ONE: "w"}}}}


def test_scheduler_is_pending_while_it_has_work():
    assert scheduler_is_pending({"idle": False})
    assert not scheduler_is_pending({"idle": True})
    assert not scheduler_is_pending({"skipped": True}) and not scheduler_is_pending({})


@pytest.mark.parametrize(
    ("work", "turn", "seen", "release", "of_workers", "older"),
    [
        ({}, {}, {}, {}, {}, False),
        ({}, {}, scheduler(), {}, workers("e1"), False),
        # This run has left it as it is.
        ({"idle": False}, {"skipped": True}, scheduler(), {}, workers("e1"), True),
        # An earlier run has: it does not run the current release of its host, until it has had its turn.
        ({}, {}, scheduler(current="new"), {}, workers("e1"), True),
        ({"idle": True}, {"restarted": [SCHEDULER]}, scheduler(current="new"), {}, workers("e1"), False),
        # Where it does not run, it is not older.
        ({}, {}, scheduler(runs="", current="new"), {}, workers("e1"), False),
        # A change is unfinished, and no worker has its environment.
        ({}, {}, scheduler(unfinished=7), {}, workers("e2"), True),
        ({}, {}, scheduler(unfinished=7), {}, workers("e1"), False),
        ({}, {}, scheduler(), {}, workers("e2"), False),
        ({}, {}, scheduler(unfinished=7), {}, {}, False),
        ({}, {}, scheduler(unfinished=7, environment=""), {}, workers("e2"), False),
        # Its environment is that of the new release once it had its turn.
        ({}, {"restarted": []}, scheduler(unfinished=7), {"environment": "e2"}, workers("e2"), False),
        # A host without workers is no measure.
        ({}, {}, scheduler(unfinished=7), {}, {"s": {"environment": "e2", "services": {"scheduler": {}}}}, False),
        ({}, {}, {"unreachable": True}, {}, workers("e1"), False),
    ],
)
def test_scheduler_is_older_than_its_workers(work, turn, seen, release, of_workers, older):
    assert scheduler_is_older(work, turn, seen, release, of_workers) is older


# Which workers a host should have

CURRENT = {"services": {"scheduler": {SCHEDULER: "s"}, "worker": {ONE: "w"}}}


def test_workers_of_the_release_to_come_are_expected():
    seen = {"node1": {"current": CURRENT}}
    release = {"services": {"worker": {ONE: "x", "dask-worker@gpu-1.service": "y"}}}
    assert expected_workers(seen, {"node1": release}) == [
        {"name": "node1-1", "release": "x"},
        {"name": "node1-gpu-1", "release": "y"},
    ]
    assert expected_workers(seen, {}) == [{"name": "node1-1", "release": "w"}]


def test_host_without_a_release_lacks_a_worker():
    assert expected_workers({"node1": {"current": {}}, "node2": {"unreachable": True}}, {}) == [
        {"name": "node1-1"},
        {"name": "node2-1"},
    ]


def test_host_that_the_run_does_not_know_has_none():
    assert expected_workers({}, {"node1": CURRENT}) == []


# Who tries what


def try_out(**hosts):
    """`services_to_try` for hosts, each as `host` makes it."""
    return services_to_try(
        {name: release for name, (release, dummy) in hosts.items()},
        {name: plan for name, (dummy, plan) in hosts.items() if plan},
    )


def host(name, units, untried, shared="a", pools=None, gpu=""):
    """Release and plan of a host: pool of each worker by unit."""
    workers = [{"unit": unit, "pool": pool, "gpu": gpu, "nanny_port": None} for unit, pool in units.items()]
    release = {
        "untried": untried,
        "settings": pools or {},
        "services": {"worker": {unit: f"{shared}.{name}" for unit in units}},
    }
    return release, {"workers": workers}


def test_hosts_with_the_same_settings_try_them_once():
    names = [f"node{number}" for number in range(100)]
    hosts = {name: host(name, {ONE: "", TWO: ""}, [ONE, TWO]) for name in names}
    assert try_out(**hosts) == {"node0": {"scheduler": False, "workers": [ONE]}}


def test_every_other_setting_is_tried():
    settings = {"dask_worker_": "x"}
    found = try_out(
        node1=host("node1", {ONE: ""}, [ONE]),
        node2=host("node2", {ONE: ""}, [ONE], shared="b"),
        node3=host("node3", {ONE: ""}, [ONE], pools=settings),
        node4=host("node4", {ONE: ""}, [ONE], pools=settings),
        node5=host("node5", dict(zip(POOLS, "ab")), POOLS),
        node6=host("node6", {ONE: ""}, []),
    )
    assert list(found) == ["node1", "node2", "node3", "node5"]
    assert found["node5"]["workers"] == POOLS


def test_scheduler_is_tried_where_it_is():
    both = host("head", {ONE: ""}, [SCHEDULER])
    assert try_out(head=both) == {"head": {"scheduler": True, "workers": []}}


def test_workers_with_gpus_are_not_tried():
    assert try_out(node1=host("node1", {ONE: ""}, [ONE], gpu="0")) == {}


def test_unchanged_hosts_try_nothing():
    assert try_out(node1=host("node1", {ONE: ""}, []), node2=({"skipped": True}, None)) == {}


# What is known of hosts


def test_a_variable_by_host():
    class Variables(dict):
        def __getitem__(self, name):
            assert name == "ours", "no other variable is evaluated"
            return super().__getitem__(name)

    hostvars = {"a": Variables(ours=1, other="{{ undefined }}"), "b": Variables(other=2)}
    assert by_host(["a", "b"], hostvars, "ours") == {"a": 1}
