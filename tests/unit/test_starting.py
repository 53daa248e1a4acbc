# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the services of a stopped cluster at once, and the services that must not start this way."""

import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.action import plan_start
from ansible_collections.daskops.cluster.plugins.plugin_utils.starting import command, parse, startable
from machine import SCHEDULER, WORKERS, Machine


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a host with a stopped scheduler and two stopped workers of release ``one``."""
    machine = Machine(tmp_path, monkeypatch, releases=("one",))
    drop_ins = {f"{unit}.d/daskops.conf": "[Service]\nMemoryMax=1G\n" for unit in WORKERS}
    machine.files = {
        SCHEDULER: machine.unit("one"),
        "dask-worker@.service": machine.unit("one"),
        "dask-workers.target": "[Unit]\n",
        "dask-worker-hours@default.timer": "[Timer]\nOnCalendar=19:00\n",
        "dask-worker-journal.socket": "[Socket]\n",
        "dask-scheduler-journal.socket": "[Socket]\n",
        **drop_ins,
    }
    for name, text in machine.files.items():
        for path in (machine.systemd / name, machine.home / "releases/one/systemd" / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (machine.home / "current").symlink_to(machine.home / "releases/one")
    try:
        yield machine
    finally:
        machine.close()


def look(machine, *kinds, **options):
    shell = command(str(machine.home), str(machine.systemd), str(machine.root / "kept"), kinds, **options)
    run = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
    assert not run.stderr
    return parse(run.stdout)


def test_stopped_services_are_started_together(machine):
    stopped = {"scheduler": "stopped", "worker": "stopped"}
    assert look(machine) == (stopped, []) and machine.asked() == []
    assert look(machine, "scheduler", "worker") == (stopped, ["scheduler", "worker"])
    assert machine.asked() == [f"start {SCHEDULER} {SCHEDULER}", f"start dask-workers.target {' '.join(WORKERS)}"]
    assert look(machine, "scheduler", "worker") == ({"scheduler": "running", "worker": "running"}, [])
    assert machine.asked() == []


def test_script_waits_for_all_services_that_it_started(machine):
    machine.systemctl("start", *WORKERS)
    machine.asked()
    assert look(machine, "scheduler", "worker", wait=10)[1] == ["scheduler"]
    assert machine.asked() == [f"start {SCHEDULER} {SCHEDULER}", f"start {SCHEDULER}"]
    machine.systemctl("stop", *WORKERS)
    machine.asked()
    assert look(machine, "scheduler", "worker", wait=10)[1] == ["worker"]
    assert machine.asked() == [f"start dask-workers.target {' '.join(WORKERS)}", f"start {' '.join(WORKERS)}"]


def test_only_the_given_kinds_are_started(machine):
    assert look(machine, "worker")[1] == ["worker"]
    assert machine.asked() == [f"start dask-workers.target {' '.join(WORKERS)}"]


def test_workers_are_not_started_if_one_of_them_runs(machine):
    machine.systemctl("start", WORKERS[1])
    machine.asked()
    assert look(machine, "scheduler", "worker") == ({"scheduler": "stopped", "worker": "running"}, ["scheduler"])
    assert machine.asked() == [f"start {SCHEDULER} {SCHEDULER}"]


@pytest.mark.parametrize("kind, change", [
    ("scheduler", lambda machine: (machine.systemd / SCHEDULER).write_text("[Service]\n")),
    ("scheduler", lambda machine: (machine.systemd / SCHEDULER).unlink()),
    ("scheduler", lambda machine: (machine.root / "not-read").write_text(SCHEDULER)),
    ("worker", lambda machine: (machine.systemd / "dask-worker@.service").write_text("[Service]\n")),
    ("worker", lambda machine: (machine.systemd / "dask-workers.target").unlink()),
    ("worker", lambda machine: (machine.systemd / f"{WORKERS[1]}.d/daskops.conf").unlink()),
    ("worker", lambda machine: (machine.systemd / "dask-worker-hours@default.timer").write_text("[Timer]\n")),
    ("worker", lambda machine: (machine.systemd / "dask-worker-journal.socket").unlink()),
    ("scheduler", lambda machine: (machine.systemd / "dask-scheduler-journal.socket").write_text("[Unit]\n")),
    ("worker", lambda machine: (machine.root / "kept" / WORKERS[0]).touch()),
    ("worker", lambda machine: (machine.root / "not-read").write_text(WORKERS[0])),
])  # fmt: skip
def test_services_with_changed_units_are_not_started(machine, kind, change):
    change(machine)
    states, started = look(machine, kind)
    assert states[kind] in ("differs", "running") and started == []
    assert machine.asked() == []


@pytest.mark.parametrize("missing", ["current", "releases/one/manifest.json", "releases/one/services"])
def test_host_without_a_release_has_nothing_to_start(machine, missing):
    (machine.home / missing).rename(machine.root / "away")
    assert look(machine, "scheduler", "worker") == ({}, [])
    assert machine.asked() == []


def test_missing_kind_has_no_state(machine):
    (machine.home / f"releases/one/services/{SCHEDULER}.release").unlink()
    assert look(machine, "scheduler", "worker") == ({"worker": "stopped"}, ["worker"])


def test_failure_of_systemctl_reports_no_started_service(machine):
    (machine.root / "fail").write_text("start")
    run = subprocess.run(
        ["/bin/sh", "-c", command(str(machine.home), str(machine.systemd), str(machine.root / "kept"), ["scheduler"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert parse(run.stdout) == ({"scheduler": "stopped", "worker": "stopped"}, [])
    assert "refuses start" in run.stderr


def test_paths_with_spaces_and_quotes_are_quoted(machine):
    home = machine.root / "it's a home; exit 1"
    machine.home.rename(home)
    (home / "current").unlink()
    (home / "current").symlink_to(home / "releases/one")
    run = subprocess.run(
        ["/bin/sh", "-c", command(str(home), str(machine.systemd), "/nowhere", [])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert parse(run.stdout) == ({"scheduler": "stopped", "worker": "stopped"}, [])


def test_other_output_of_the_shell_is_ignored():
    assert parse("Welcome\nscheduler stopped\nworker gone\nworker running now\nscheduler started\n") == (
        {"scheduler": "stopped"},
        ["scheduler"],
    )


STATES = {"s": {"scheduler": "stopped"}, "w1": {"worker": "stopped"}, "w2": {"worker": "stopped"}}
KINDS = {"s": ["scheduler"], "w1": ["worker"], "w2": ["worker"]}


def test_stopped_cluster_starts_at_once():
    assert startable(STATES, KINDS, "s") == {"s": ["scheduler"], "w1": ["worker"], "w2": ["worker"]}
    both = {"h": {"scheduler": "stopped", "worker": "stopped"}}
    assert startable(both, {"h": ["scheduler", "worker"]}, "h") == {"h": ["scheduler", "worker"]}


@pytest.mark.parametrize("scheduler, workers, expected", [
    ({"scheduler": "running"}, "stopped", {"w1": ["worker"]}),
    ({"scheduler": "stopped"}, "running", {"s": ["scheduler"]}),
    ({"scheduler": "stopped"}, "differs", {"s": ["scheduler"]}),
    ({"scheduler": "running"}, "running", {}),
    # The host still has workers of an earlier run, but they are not wanted.
    ({"scheduler": "running", "worker": "stopped"}, "running", {}),
])  # fmt: skip
def test_running_or_changed_services_are_not_started(scheduler, workers, expected):
    assert (
        startable({"s": scheduler, "w1": {"worker": workers}}, {"s": ["scheduler"], "w1": ["worker"]}, "s") == expected
    )


@pytest.mark.parametrize("states", [
    {**STATES, "w2": {}},  # no installation
    {**STATES, "w2": {"scheduler": "stopped"}},  # no workers
    {**STATES, "s": {}},
    {**STATES, "s": {"worker": "stopped"}},
    {**STATES, "s": {"scheduler": "differs"}},
])  # fmt: skip
def test_nothing_starts_in_an_incomplete_cluster(states):
    assert startable(states, KINDS, "s") == {}


def test_nothing_starts_without_the_schedulers_host():
    limited = {"w1": STATES["w1"]}
    assert startable(limited, {"w1": ["worker"]}, "s") == {}
    assert startable(limited, {"w1": ["worker"]}, "") == {}


def decided(hosts, tags=("all",), skipped=(), scheduler="s"):
    """What the action plugin decides, for hosts of which ``s`` has the scheduler and the others have workers."""
    groups = {"dask_scheduler": ["s"], "dask_workers": ["w1", "w2"]}
    task_vars = {"groups": groups, "ansible_run_tags": list(tags), "ansible_skip_tags": list(skipped)}
    arguments = {"hosts": hosts, "scheduler": scheduler}
    return object.__new__(plan_start.ActionModule).act(arguments, task_vars)["hosts"]


def results(held=True):
    return {host: {"states": states, "held": held and host == "s"} for host, states in STATES.items()}


def test_a_run_that_has_the_lock_starts_everything():
    everything = {"s": ["scheduler"], "w1": ["worker"], "w2": ["worker"]}
    assert decided(results()) == everything
    assert decided(results(), tags=["config"]) == everything
    assert decided(results(), tags=["scheduler", "worker"]) == everything


def test_nothing_starts_without_the_lock():
    assert decided(results(held=False)) == {}


def test_host_in_maintenance_does_not_start():
    assert decided({**results(), "w2": {"skipped": True}}) == {"s": ["scheduler"], "w1": ["worker"]}
    assert decided({host: {"skipped": True} for host in STATES}) == {}


def test_nothing_starts_where_a_host_was_not_inspected():
    assert decided({**results(), "w2": {"unreachable": True}}) == {}


@pytest.mark.parametrize("tags, skipped", [
    (["worker"], []), (["scheduler"], []), (["health"], []), (["all"], ["worker"]), (["all"], ["scheduler"]),
])  # fmt: skip
def test_nothing_starts_at_once_where_tags_leave_a_kind_out(tags, skipped):
    assert decided(results(), tags, skipped) == {}
