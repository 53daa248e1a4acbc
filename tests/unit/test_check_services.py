# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the services that run, as tasks of a playbook."""

import json

import pytest
from playbook_runs import inventory, play

HOSTS = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    dask_scheduler: {hosts: {s1: }}
    dask_workers: {hosts: {w1: }}
"""
STOPPED = {"current": {"services": {"scheduler": {"dask-scheduler.service": "a.1"}}}, "running": {}}
RUNNING = {**STOPPED, "running": {"dask-scheduler.service": "a.1"}}
WORKER = {
    "current": {"services": {"worker": {"dask-worker@1.service": "a.1"}}},
    "running": {"dask-worker@1.service": "a.1"},
}


@pytest.fixture
def check(tmp_path):
    """Return a function that runs the task with arguments and returns its result."""

    def run(hosts, **arguments):
        kept = tmp_path / "kept.json"
        tasks = [
            {"ansible.builtin.set_fact": {"__dask_host": "{{ seen[inventory_hostname] }}"}},
            {
                "daskops.cluster.check_services": arguments,
                "run_once": True,
                "register": "found",
                "ignore_errors": True,
            },
            {
                "ansible.builtin.copy": {"content": "{{ found | to_json }}", "dest": str(kept), "mode": "0600"},
                "run_once": True,
            },
        ]
        playbook = tmp_path / "play.yml"
        plays = [{"hosts": ",".join(hosts), "gather_facts": False, "vars": {"seen": hosts}, "tasks": tasks}]
        playbook.write_text(json.dumps(plays))
        done = play(playbook, tmp_path, inventory(tmp_path, HOSTS))
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(kept.read_text())

    return run


def test_running_services_are_no_problem(check):
    found = check({"s1": RUNNING, "w1": WORKER})
    assert not found["failed"] and found["stopped"] == []


def test_stopped_worker_is_reported_without_a_failure(check):
    found = check({"s1": RUNNING, "w1": {**WORKER, "running": {}}})
    assert not found["failed"] and found["stopped"] == ["All services are stopped on w1. Run start.yml."]


@pytest.mark.parametrize("outside", [False, True])
def test_stopped_scheduler_fails_the_task(check, outside):
    hosts = {"w1": WORKER} if outside else {"s1": STOPPED, "w1": WORKER}
    found = check(hosts, scheduler_info=STOPPED if outside else {})
    assert found["failed"] and found["msg"] == "All services are stopped on s1. Run start.yml."
