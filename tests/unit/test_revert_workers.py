# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revert of workers after a failed change, as a task on hosts below a temporary directory."""

import json
from pathlib import Path

import pytest
from local_hosts import LOST, prepare, run
from machine import WORKERS, Machine


def release(name, **about):
    """Return a release of workers as `host_info` describes it."""
    services = {"worker": {unit: f"{name}.w" for unit in WORKERS}}
    return {"id": name, "environment": "e", "label": "", "services": services, **about}


#: What `host_info` returned before the change to the release ``two``.
RAN_ONE = {
    "current": release("one", served=["worker"], settled=["worker"]),
    "previous": {},
    "unfinished": 0,
    "running": {unit: "one.w" for unit in WORKERS},
}
CASES = {
    "changed": {},
    "reported": {"change": {"failed": True, "msg": "dask-worker@1.service does not start"}},
    "first": {"__dask_host": {**RAN_ONE, "current": {}, "running": {}}},
    "never-served": {"__dask_host": {**RAN_ONE, "current": release("one", served=[], settled=[])}},
    "disabled": {"rollback": False},
    "lost": LOST,
    "check": {"check": True},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the result and the machine of each case. All workers run the release ``two``, whose change failed."""
    work, machines, hosts = tmp_path_factory.mktemp("work"), {}, {}
    with pytest.MonkeyPatch.context() as patch:
        try:
            for name, case in CASES.items():
                machine = machines[name] = Machine(tmp_path_factory.mktemp(name), patch)
                done = machine.run("two", kind="worker")
                assert not done.get("failed"), done
                machine.asked()
                variables, environment = prepare(machine)
                hosts[name] = {
                    "home": str(machine.home),
                    "change": {"changed": True},
                    "__dask_host": RAN_ONE,
                    **({} if case is LOST else variables),
                    **case,
                    "plan": {"hosts": {name: {"release": release("two")}}},
                }
            task = {
                "daskops.cluster.revert_workers": {
                    "home": "{{ home }}",
                    "plan": "{{ plan }}",
                    "change": "{{ change }}",
                    "start_timeout": 1,
                    "rollback_on_failure": "{{ rollback | default(true) }}",
                },
                "check_mode": "{{ check | default(false) }}",
                "register": "kept_revert",
                "ignore_errors": True,
                "ignore_unreachable": True,
            }
            found = run(work, hosts, [task], PATH=environment["PATH"])
            yield {name: (found[name]["revert"], machines[name]) for name in CASES}
        finally:
            for machine in machines.values():
                machine.close()


def running(machine):
    """Return the releases that the workers on a host report."""
    services = json.loads((machine.root / "state.json").read_text())["services"]
    return {Path(f"/proc/{pid}/environ").read_text().strip("\0") for pid in services.values()}


def test_workers_are_reverted_to_the_release_that_served(results):
    result, machine = results["changed"]
    assert result["changed"] and result["release"] == "one" and result["restarted"] == WORKERS
    assert running(machine) == {"DASKOPS_RELEASE=one.w"}


def test_journal_is_read_before_the_workers_are_reverted(results):
    assert results["changed"][0]["journal"] == "the last words"


def test_journal_is_not_read_twice(results):
    result, machine = results["reported"]
    assert result["journal"] == "" and result["changed"]
    assert running(machine) == {"DASKOPS_RELEASE=one.w"}


@pytest.mark.parametrize("case", ["first", "never-served"])
def test_workers_without_another_release_stay(results, case):
    result, machine = results[case]
    assert not result["changed"] and not result["failed"] and result["release"] == ""
    assert result["journal"] == "the last words"
    assert machine.asked() == [] and running(machine) == {"DASKOPS_RELEASE=two.w"}


def test_workers_stay_if_rollback_is_disabled(results):
    result, machine = results["disabled"]
    assert not result["changed"] and result["release"] == "one" and result["journal"] == "the last words"
    assert machine.asked() == [] and running(machine) == {"DASKOPS_RELEASE=two.w"}


def test_lost_host_is_unreachable(results):
    result, machine = results["lost"]
    assert result["unreachable"] and result["release"] == "one" and result["journal"] == ""
    assert machine.asked() == []


def test_check_mode_reverts_nothing(results):
    result, machine = results["check"]
    assert result["changed"] and result["restarted"] == WORKERS
    assert machine.asked() == [] and running(machine) == {"DASKOPS_RELEASE=two.w"}
