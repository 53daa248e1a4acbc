# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that a run starts at once. `test_starting` tests the decision itself."""

import json

import pytest
from playbook_runs import inventory, play

HOSTS = """
all:
  children:
    dask_scheduler: {hosts: {both: }}
    dask_workers: {hosts: {both: , w1: , w2: }}
"""
STOPPED = {
    "both": {"states": {"scheduler": "stopped", "worker": "stopped"}, "held": True},
    "w1": {"states": {"worker": "stopped"}, "held": False},
    "w2": {"states": {"worker": "running"}, "held": False},
}
CASES = {
    "stopped": {"hosts": STOPPED, "scheduler": "both"},
    "not installed": {"hosts": {**STOPPED, "w1": {"states": {}}}, "scheduler": "both"},
    "lock is not held": {"hosts": {**STOPPED, "both": {**STOPPED["both"], "held": False}}, "scheduler": "both"},
    "without the scheduler's host": {"hosts": {"w1": STOPPED["w1"]}, "scheduler": "both"},
    "scheduler of another system": {"hosts": {"w1": STOPPED["w1"]}},
}
ALL = {"both": ["scheduler", "worker"], "w1": ["worker"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that runs the task with options of ansible-playbook, and returns the hosts to start by case."""
    work = tmp_path_factory.mktemp("plan_start")
    hosts = inventory(work, HOSTS)

    def started(*options):
        kept = work / "kept.json"
        tasks = [
            {
                "daskops.cluster.plan_start": "{{ item.value }}",
                "loop": "{{ cases | dict2items }}",
                "register": "found",
                "tags": "always",
            },
            {
                "ansible.builtin.copy": {
                    "content": "{{ dict(cases | zip(found.results | map(attribute='hosts'))) | to_json }}",
                    "dest": str(kept),
                    "mode": "0600",
                },
                "delegate_to": "localhost",
                "tags": "always",
            },
        ]
        tasks[0]["daskops.cluster.plan_start"] = {
            "hosts": "{{ item.value.hosts }}",
            "scheduler": "{{ item.value.scheduler | default(omit) }}",
        }
        # No host exists: the task needs no connection.
        plays = [{"hosts": "w1", "gather_facts": False, "vars": {"cases": CASES}, "tasks": tasks}]
        (work / "play.json").write_text(json.dumps(plays))
        done = play(work / "play.json", work, hosts, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(kept.read_text())

    return started


@pytest.fixture(scope="module")
def usual(run):
    return run()


def test_stopped_services_start_on_the_hosts_of_their_groups(usual):
    assert usual["stopped"] == ALL


@pytest.mark.parametrize("case", [case for case in CASES if case != "stopped"])
def test_incomplete_cluster_is_not_started(usual, case):
    assert usual[case] == {}


@pytest.mark.parametrize("options", [["--tags=worker"], ["--tags=health"], ["--skip-tags=scheduler"]])
def test_run_that_leaves_out_a_kind_starts_nothing_at_once(run, options):
    assert run(*options) == dict.fromkeys(CASES, {})
