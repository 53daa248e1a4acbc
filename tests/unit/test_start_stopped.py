# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task that starts the stopped services of a host. `test_starting` tests its shell command."""

import shutil

import pytest
from local_hosts import prepare, run
from machine import SCHEDULER, WORKERS, Machine

STOPPED = {"scheduler": "stopped", "worker": "stopped"}


def task(name, **arguments):
    options = {key: arguments.pop(key) for key in ("check_mode", "ignore_errors") if key in arguments}
    return {"daskops.cluster.start_stopped": arguments, "register": f"kept_{name}", **options}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the results of the tasks on a host with a stopped scheduler and two stopped workers, and systemd's commands."""
    root, work = tmp_path_factory.mktemp("host"), tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        machine = Machine(root, patch, releases=("one",))
        shutil.copytree(machine.home / "releases/one/systemd", machine.systemd, dirs_exist_ok=True)
        (machine.home / "current").symlink_to(machine.home / "releases/one")
        home = str(machine.home)
        variables, environment = prepare(machine)
        tasks = [
            task("look", home=home),
            task("check", home=home, kinds=["scheduler", "worker"], check_mode=True),
            task("scheduler", home=home, kinds=["scheduler"]),
            task("rest", home=home, kinds=["scheduler", "worker"]),
            task("again", home=home, kinds=["scheduler", "worker"]),
            task("elsewhere", home=f"{home}/nowhere", kinds=["scheduler", "worker"]),
            task("unknown", home=home, kinds=["client"], ignore_errors=True),
        ]
        try:
            found = run(work, {"host": variables}, tasks, **environment)["host"]
            yield found, machine.asked()
        finally:
            machine.close()


def summary(result):
    return result["changed"], result["states"], result["started"]


def test_task_without_kinds_only_looks(results):
    assert summary(results[0]["look"]) == (False, STOPPED, [])


def test_check_mode_starts_nothing(results):
    assert summary(results[0]["check"]) == (False, STOPPED, [])


def test_given_kind_is_started(results):
    assert summary(results[0]["scheduler"]) == (True, STOPPED, ["scheduler"])


def test_running_kind_is_not_started_again(results):
    running = {"scheduler": "running", "worker": "stopped"}
    assert summary(results[0]["rest"]) == (True, running, ["worker"])
    assert summary(results[0]["again"]) == (False, {"scheduler": "running", "worker": "running"}, [])
    assert results[1] == [f"start {SCHEDULER} {SCHEDULER}", f"start dask-workers.target {' '.join(WORKERS)}"]


def test_host_without_an_installation_has_no_states(results):
    assert summary(results[0]["elsewhere"]) == (False, {}, [])


def test_unknown_kind_is_rejected(results):
    assert (
        results[0]["unknown"]["failed"] and "must be one or more of: scheduler, worker" in results[0]["unknown"]["msg"]
    )
