# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change of the scheduler, as a task on hosts below a temporary directory, with a real scheduler that is asked."""

import pytest
from local_hosts import LOST, prepare, run
from machine import SCHEDULER, Machine
from recorded import health


def release(name, **about):
    """Return a release of a scheduler as `host_info` describes it."""
    services = {"scheduler": {SCHEDULER: f"{name}.s"}}
    return {"id": name, "environment": "e", "label": "", "services": services, **about}


#: What `host_info` returned for a host that runs the release ``one``.
RUNS_ONE = {
    "current": release("one", served=["scheduler"], settled=["scheduler"]),
    "previous": {},
    "unfinished": 0,
    "running": {SCHEDULER: "one.s"},
}
NEW_HOST = {"current": {}, "previous": {}, "unfinished": 0, "running": {}}
#: Hosts by case. A host with ``broken`` has a release ``two`` that does not start.
CASES = {
    "good": {},
    "settled": {"wanted": "one"},
    "pending": {"before": {"idle": False}},
    "now": {"before": {"idle": False}, "restart": "now"},
    "broken": {"broken": True},
    "other-release": {"summary_route": True},
    "not-asked": {"ca_path": "/nonexistent/ca.pem", "url": "https://127.0.0.1:1"},
    "disabled": {"broken": True, "rollback": False},
    "first": {"broken": True, "__dask_host": NEW_HOST},
    "no-other": {
        "broken": True,
        "__dask_host": {**RUNS_ONE, "current": release("two", served=["scheduler"], settled=[]), "running": {}},
    },
    "lost": LOST,
    "stopped": {"state": "stopped"},
    "check": {"check": True},
}


@pytest.fixture(scope="module")
def results(ours, tmp_path_factory):
    """Return the result and the machine of each case."""
    work, machines, hosts = tmp_path_factory.mktemp("work"), {}, {}
    before = health(ours.url)
    assert len(before["workers"]) == 2 and before["idle"]
    with pytest.MonkeyPatch.context() as patch:
        try:
            for name, case in CASES.items():
                machine = machines[name] = Machine(tmp_path_factory.mktemp(name), patch)
                if case.get("__dask_host") is not NEW_HOST:
                    assert not machine.run("one").get("failed")
                if case.get("broken"):
                    (machine.home / f"releases/two/services/{SCHEDULER}.broken").touch()
                machine.asked()
                variables, environment = prepare(machine)
                hosts[name] = {
                    "home": str(machine.home),
                    "before": before,
                    "__dask_host": RUNS_ONE,
                    **({} if case is LOST else variables),
                    **{key: value for key, value in case.items() if key != "broken"},
                    "plan": {
                        "state": case.get("state", "started"),
                        "back": False,
                        "addresses": {"url": case.get("url", ours.url), "ca_path": case.get("ca_path", "")},
                        "hosts": {name: {"release": release(case.get("wanted", "two"))}},
                    },
                }
            task = {
                "daskops.cluster.change_scheduler": {
                    "home": "{{ home }}",
                    "plan": "{{ plan }}",
                    "before": "{{ before }}",
                    "restart": "{{ restart | default('idle') }}",
                    "summary_route": "{{ summary_route | default(false) }}",
                    "start_timeout": 1,
                    "health_timeout": 2,
                    "rollback_on_failure": "{{ rollback | default(true) }}",
                },
                "check_mode": "{{ check | default(false) }}",
                "register": "kept_change",
                "ignore_errors": True,
            }
            found = run(work, hosts, [task], PATH=environment["PATH"])
            yield {name: (found[name]["change"], machines[name]) for name in CASES}
        finally:
            for machine in machines.values():
                machine.close()


def processes(machine):
    """Return the releases that the services on a host report."""
    return machine.state()["processes"]


ONE, TWO = ({SCHEDULER: f"DASKOPS_RELEASE={name}.s"} for name in ("one", "two"))


def test_scheduler_that_serves_keeps_the_new_release(results):
    result, machine = results["good"]
    assert not result["failed"] and result["changed"] and result["restarted"] == [SCHEDULER]
    assert not result["pending"] and not result["older"]
    assert processes(machine) == TWO


def test_scheduler_that_runs_the_release_is_not_changed(results):
    result, machine = results["settled"]
    assert not result["changed"] and not result["failed"] and result["restarted"] == []
    assert machine.asked() == []


def test_scheduler_with_work_is_not_changed(results):
    result, machine = results["pending"]
    assert not result["changed"] and not result["failed"] and result["pending"] and result["older"]
    assert machine.asked() == [] and processes(machine) == ONE


def test_scheduler_with_work_is_changed_if_the_user_wants_it_now(results):
    result, machine = results["now"]
    assert not result["failed"] and result["restarted"] == [SCHEDULER] and not result["pending"]
    assert processes(machine) == TWO


def test_scheduler_that_does_not_start_is_reverted(results):
    result, machine = results["broken"]
    assert result["failed"] and result["changed"] and processes(machine) == ONE
    assert result["msg"].startswith("broken: ") and f"{SCHEDULER} does not start" in result["msg"]
    assert "The scheduler was reverted to release one." in result["msg"]
    assert "All of its 2 worker(s) are registered again." in result["msg"]
    # The module `services` has the journal in its own message.
    assert result["msg"].count("the last words") == 1


def test_scheduler_that_reports_another_release_is_reverted(results):
    result, machine = results["other-release"]
    assert result["failed"] and processes(machine) == ONE
    assert "The scheduler was reverted to release one." in result["msg"]
    assert "other-release, last lines of the journal:\nthe last words" in result["msg"]


def test_scheduler_that_cannot_be_asked_is_reverted(results):
    result, machine = results["not-asked"]
    assert result["failed"] and processes(machine) == ONE
    assert "/nonexistent/ca.pem" in result["msg"] and "counts as failed" in result["msg"]
    assert "The scheduler was reverted to release one." in result["msg"]
    assert "Its workers could not be checked" in result["msg"]


def test_failed_change_stays_if_rollback_is_disabled(results):
    result, machine = results["disabled"]
    assert result["failed"] and "because dask_rollback_on_failure is false" in result["msg"]
    assert machine.state()["current"].endswith("/two") and processes(machine) == {}


def test_first_scheduler_that_fails_is_stopped(results):
    result, machine = results["first"]
    assert result["failed"] and "there is no previous one. The scheduler was stopped." in result["msg"]
    assert processes(machine) == {}


def test_scheduler_without_another_release_is_not_reverted(results):
    result, machine = results["no-other"]
    assert result["failed"] and "no other release has served on its host" in result["msg"]
    assert machine.state()["current"].endswith("/two")


def test_lost_connection_fails_with_the_state_unknown(results):
    result, machine = results["lost"]
    assert result["failed"] and result["msg"].startswith("lost cannot be reached any more.")
    assert "could not be reverted to release one, and its state is unknown" in result["msg"]
    assert processes(machine) == ONE and machine.asked() == []


def test_scheduler_is_stopped_without_a_health_check(results):
    result, machine = results["stopped"]
    assert result["changed"] and not result["failed"] and processes(machine) == {}


def test_check_mode_changes_nothing(results):
    result, machine = results["check"]
    assert result["changed"] and not result["failed"] and result["restarted"] == [SCHEDULER]
    assert processes(machine) == ONE and machine.asked() == []
