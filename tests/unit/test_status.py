# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a cluster, from recorded results of a real one.

``recordings/status.json`` holds the results of a run on the demo cluster while worker2 was stopped and worker3 was switched
off, without parts that the status does not use.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import count_states, level, status_of, utc

RECORDING = json.loads((Path(__file__).parent / "recordings/status.json").read_text())
NOW = 1795986775.0

_ABSENT = {"cause": "", "outside": "", "host": "", "release": ""}
WAITING = [
    {**_ABSENT, "name": "g", "state": "standby", "cause": "request", "host": "10.0.0.7", "release": "shared.g"},
    {**_ABSENT, "name": "h", "state": "outside hours", "outside": "until Mon 19:00"},
    {**_ABSENT, "name": "i", "state": "starting"},
]
REQUEST = {"pool": "default", "minimum": 2, "maximum": 2, "workers": 3, "waiting": 0}
REQUEST.update(address="tls://10.0.0.9:41000", since="2026-11-30 02:00:00+00:00")


def recorded_status(**changes):
    """Return the status of the recorded cluster, after changes of its parts."""
    parts = {**copy.deepcopy(RECORDING), "scheduler_info": {}, **changes}
    names = ("groups", "infos", "plan", "health", "changes", "scheduler_info")
    return status_of(NOW, *(parts[name] for name in names))


def test_status_of_a_cluster_with_a_stopped_worker_and_an_unreachable_host():
    status = recorded_status()
    assert (status.written, status.verdict, status.complete) == (utc(NOW), "unhealthy", True)
    assert {host.name: host.state for host in status.hosts} == {
        "scheduler": "running",
        "worker1": "running",
        "worker2": "stopped",
        "worker3": "unreachable",
    }
    lost = status.hosts[3]
    assert "Connection timed out" in lost.reason and (lost.cpus, lost.memory, lost.releases) == (None, None, [])
    assert {worker.name: worker.state for worker in status.workers} == {
        "worker1-1": "running",
        "worker2-1": "missing",
        "worker3-1": "missing",
    }
    assert status.scheduler.answers and status.scheduler.host == "scheduler" and status.scheduler.clients == 0
    assert [problem.partition(":")[0].partition(".")[0] for problem in status.problems] == [
        "The state of the services on worker3 is not known, because Ansible could not connect",
        "All services are stopped on worker2",
        "Missing",
    ]
    assert status.changes == [] and status.changes_unknown == "worker3 could not be inspected."


def test_releases_certificates_and_memory():
    status = recorded_status()
    (workers, scheduler) = status.releases
    assert workers.hosts == ["worker1", "worker2"] and scheduler.hosts == ["scheduler"]
    assert workers.release == status.workers[0].release and workers.python == "Python 3.11.2"
    assert workers.origin.startswith("lock ") and scheduler.release == status.scheduler.release
    assert [(one.host, one.kind) for one in status.certificates][:2] == [
        ("scheduler", "scheduler"),
        ("worker1", "worker"),
    ]
    assert all(360 < one.days < 366 for one in status.certificates)
    assert 0 < status.memory_used < status.memory_limit == 1024**3
    assert status.hosts[0].cpus == 2 and status.hosts[0].gpus == 0


def test_what_would_change():
    plays = {"stage": ["worker1"], "rolling": ["worker1"], "build": [], "firewall": ["worker1"], "serial": 1}
    status = recorded_status(changes={"plays": plays, "failed": False})
    assert [(change.action, change.hosts) for change in status.changes] == [
        ("stage a release", ["worker1"]),
        ("restart workers, in batches", ["worker1"]),
    ]
    assert status.changes_unknown == ""
    after_rollback = {"stage": ["worker1", "worker2"], "installed": ["worker1", "worker2"], "serial": 1}
    assert recorded_status(changes={"plays": after_rollback, "failed": False}).changes == []
    infos = {host: info for host, info in RECORDING["infos"].items() if host != "worker3"}
    assert recorded_status(infos=infos, changes={"msg": "No lock.\nFix it."}).changes_unknown == "No lock. Fix it."
    assert recorded_status(infos=infos, changes={"skipped": True}).changes_unknown == "It was not planned."


def test_number_of_workers_by_state():
    health = {**RECORDING["health"], "missing": []}
    assert count_states(recorded_status(health=health).workers) == "1 running of 1"
    counted = count_states(recorded_status(health={**health, "waiting": WAITING, "missing": ["x"]}).workers)
    assert counted == "1 running, 1 on standby, 1 outside of their hours, 1 starting, 1 missing of 5"
    assert count_states([]) == "0 running of 0"


def test_requests_of_clients_for_workers():
    assert recorded_status().scaling_requests == []
    (found,) = recorded_status(health={**RECORDING["health"], "scaling_requests": [REQUEST]}).scaling_requests
    assert (found.pool, found.minimum, found.maximum, found.workers) == ("default", 2, 2, 3)
    assert (found.address, found.since, found.waiting) == ("tls://10.0.0.9:41000", "2026-11-30 02:00:00+00:00", 0)


def test_states_of_workers():
    health = copy.deepcopy(RECORDING["health"])
    (worker,) = health["workers"]
    told = {"a": "running", "b": "memory_paused", "c": "closing_gracefully", "d": "running", "e": None}
    health["workers"] = [{**worker, "name": name, "status": status} for name, status in told.items()]
    health.update(silent=["d"], missing=["f"], unexpected=["a"], waiting=WAITING)
    workers = {one.name: one for one in recorded_status(health=health).workers}
    states = {"a": "running", "b": "memory_paused", "c": "retiring", "d": "silent", "e": "unknown", "f": "missing"}
    states.update(g="standby", h="outside hours", i="starting")
    assert {name: one.state for name, one in workers.items()} == states
    assert not workers["a"].expected and workers["b"].expected
    assert (workers["g"].host, workers["g"].release, workers["g"].cause) == ("10.0.0.7", "shared", "request")
    assert {name: one.outside for name, one in workers.items() if one.outside} == {"h": "until Mon 19:00"}


def test_scheduler_that_was_not_asked():
    """`check_services` fails before the scheduler is asked."""
    stopped = copy.deepcopy(RECORDING["infos"])
    stopped["scheduler"]["running"] = {}
    failed = {"failed": True, "stopped": ["x"], "msg": "x"}
    status = recorded_status(infos=stopped, health=failed)
    assert status.verdict == "unhealthy" and not status.scheduler.answers and status.workers == []
    assert "All services are stopped on scheduler, worker2. Run start.yml." in status.problems
    stopped["scheduler"] = {"unreachable": True, "msg": "no route"}
    assert recorded_status(infos=stopped, health=failed).verdict == "unknown"
    lost = recorded_status(health={"unreachable": True, "msg": "no\nroute"})
    assert lost.verdict == "unknown" and "The scheduler could not be asked: no route" in lost.problems


def test_scheduler_outside_of_a_limited_run():
    infos = {"worker1": RECORDING["infos"]["worker1"]}
    plan = {**RECORDING["plan"], "complete": False}
    status = recorded_status(infos=infos, plan=plan, scheduler_info=RECORDING["infos"]["scheduler"])
    assert [host.name for host in status.hosts] == ["worker1"] and not status.complete
    assert status.problems == RECORDING["health"]["problems"]


def test_host_that_reported_invalid_values_and_host_in_maintenance():
    infos = copy.deepcopy(RECORDING["infos"])
    infos["worker1"] = {"failed": True, "msg": "This host reported invalid values: memory."}
    plan = {**RECORDING["plan"], "maintenance": ["worker3"]}
    status = recorded_status(infos=infos, plan=plan)
    found = {host.name: host.state for host in status.hosts}
    assert (found["worker1"], found["worker3"]) == ("failed", "maintenance")
    assert not any("worker3 is not known" in problem for problem in status.problems)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("healthy", "good"), ("paused", "warning"), ("missing", "bad"), ("unknown", "unknown"), ("<b>", "unknown")],
)
def test_level(name, expected):
    assert level(name) == expected
