# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a host's services: their order, and recovery from failures."""

import json
import shutil
import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.history import current_release, note_change
from ansible_collections.daskops.cluster.plugins.module_utils.releases import read_releases, read_tree, tree_digest
from ansible_collections.daskops.cluster.plugins.modules import inspect_host
from ansible_collections.daskops.cluster.plugins.modules.change_services import Activation
from killed import killed_at
from machine import WORKERS, Machine


class Commands:
    """A stand-in for AnsibleModule that runs commands."""

    def run_command(self, command):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.returncode, run.stdout, run.stderr


@pytest.fixture
def change():
    """Return a function that splits a change into steps, given the ports of workers by unit before and after."""

    def parts(before, after, stays=()):
        activation = object.__new__(Activation)
        activation.linked, activation.target = "/opt/dask/releases/before", "/opt/dask/releases/after"
        activation.releases = {
            name: {"ports": {unit: [port, port + 100] for unit, port in ports.items()}}
            for name, ports in {"before": before, "after": after}.items()
        }
        activation.running = dict.fromkeys(before)
        activation.removed = sorted(before.keys() - after.keys())
        activation.restarted = sorted(after.keys() - set(stays))
        return activation.parts()

    return parts


def test_workers_are_restarted_in_two_halves(change):
    same = {"w1": 8800, "w2": 8801, "w3": 8802}
    assert change(same, same) == [([], ["w1", "w3"]), ([], ["w2"])]


def test_workers_of_new_units_replace_old_ones_in_two_halves(change):
    parts = change({"w1": 8800, "w2": 8801}, {"numeric-1": 8800, "numeric-2": 8801})
    assert parts == [(["w1"], ["numeric-1"]), (["w2"], ["numeric-2"])]


@pytest.mark.parametrize(
    "before, after, stays",
    [
        ({"a-1": 8800, "b-1": 8801}, {"a-1": 8800, "a-2": 8801, "b-1": 8802}, {"a-1"}),
        ({"numeric-1": 8800, "numeric-2": 8801}, {"fast-1": 8800, "numeric-1": 8801, "numeric-2": 8802}, set()),
    ],
)
def test_workers_with_shifted_ports_are_restarted_together(change, before, after, stays):
    assert change(before, after, stays) == [([], sorted(after.keys() - stays))]


def test_removed_workers_stop_together(change):
    assert change({"w1": 8800, "w2": 8801}, {"w1": 8800}, stays=["w1"]) == [(["w2"], [])]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a host that runs release ``one`` and also has ``two``."""
    machine = Machine(tmp_path, monkeypatch)
    try:
        answer = machine.run("one")
        assert not answer.get("failed"), answer
        machine.asked()
        yield machine
    finally:
        machine.close()


def running(name, machine):
    return {
        "current": str(machine.home / "releases" / name),
        "unit": machine.unit(name),
        "processes": {"dask-scheduler.service": f"DASKOPS_RELEASE={name}.s"},
        "files": [],
    }


def test_switch_restarts_the_service_and_records_the_previous_release(machine):
    answer = machine.run("two")
    assert answer["restarted"] == ["dask-scheduler.service"] and answer["changed"]
    assert machine.state() == running("two", machine)
    assert (machine.home / "staged").readlink() == machine.home / "releases/two"
    two = read_releases(str(machine.home))["two"]
    assert two["previous"] == "one" and two["served"] == ["scheduler"]
    assert machine.asked() == [
        "stop dask-scheduler.service",
        "daemon-reload ",
        "reset-failed dask-scheduler.service",
        "start dask-scheduler.service dask-scheduler.service",
    ]


@pytest.mark.parametrize(
    "obstacle",
    ["systemd/dask-scheduler.service.new", "home/current.new", "home/history.json.new"],
)
def test_no_service_stops_if_a_file_cannot_be_written(machine, obstacle):
    (machine.root / obstacle).mkdir()
    before = machine.state()
    answer = machine.run("two")
    assert answer["failed"]
    assert (
        f"no service was stopped or changed: {machine.root / obstacle}: Is a directory. A directory is in"
        in answer["msg"]
    )
    assert machine.asked() == []
    assert machine.state() == before
    (machine.root / obstacle).rmdir()
    assert not machine.run("two").get("failed")
    assert machine.state() == running("two", machine)


@pytest.mark.parametrize("command", ["stop", "daemon-reload"])
def test_stopped_services_are_started_again_if_the_switch_fails(machine, command):
    before = machine.state()
    (machine.root / "fail").write_text(command)
    answer = machine.run("two")
    assert answer["failed"]
    assert f"systemctl {command}" in answer["msg"] and "Restarted: dask-scheduler.service." in answer["msg"]
    assert machine.state() == before
    (machine.root / "fail").unlink()
    assert not machine.run("two").get("failed")
    assert machine.state() == running("two", machine)


def test_failure_to_start_again_is_reported(machine):
    (machine.root / "fail").write_text("daemon-reload")
    (machine.home / "releases/one/services/dask-scheduler.service.broken").touch()
    answer = machine.run("two")
    assert "Starting the previous services failed, too: dask-scheduler.service does not start" in answer["msg"]
    assert "the last words" in answer["msg"]


def test_release_that_fails_to_start_is_not_recorded_as_served(machine):
    (machine.home / "releases/two/services/dask-scheduler.service.broken").touch()
    answer = machine.run("two")
    assert "dask-scheduler.service does not start" in answer["msg"]
    assert read_releases(str(machine.home))["two"]["served"] == []
    assert machine.state()["files"] == []
    # Reverting works.
    assert not machine.run("one", back=True).get("failed")
    assert machine.state() == running("one", machine)


def test_killed_switch_is_completed_by_the_next_run(machine):
    home, number, old, new = str(machine.home), 0, "one", "two"
    while True:
        before = read_releases(home)[new]["previous"]
        killed = killed_at(number, machine.home, lambda release=new: machine.run(release))
        # The history changes together with the link to the current release.
        assert read_releases(home)[new]["previous"] == (old if current_release(home) == new else before)
        assert not machine.run(new).get("failed")
        assert {**machine.state(), "files": []} == running(new, machine)
        release = read_releases(home)[new]
        assert release["previous"] == old and release["served"] == ["scheduler"]
        if not killed:
            break
        number, old, new = number + 1, new, old
    assert number > 8


def test_hint_is_added_if_a_service_fails_to_start(machine):
    (machine.home / "releases/two/services/dask-scheduler.service.broken").write_text("")
    answer = machine.run("two", hint="scheduler: a firewall is active")
    assert answer["failed"] and answer["msg"].endswith("the last words\nscheduler: a firewall is active")
    assert machine.run("two")["msg"].endswith("the last words")


def test_unchanged_host_is_not_changed(machine):
    before = machine.state()
    answer = machine.run("one")
    assert not answer["changed"] and machine.asked() == [] and machine.state() == before


def run_workers(machine, name, **options):
    return machine.run(name, kind="worker", **options)


def test_running_worker_keeps_its_unit_until_it_stops(machine):
    machine.add_release("two", {"worker": machine.worker_units("two", "2G")})
    assert not run_workers(machine, "one").get("failed")
    assert [line for line in machine.asked() if line.startswith("start")] == [
        "start dask-workers.target dask-worker@1.service dask-worker@2.service"
    ]
    assert not run_workers(machine, "two").get("failed")
    assert machine.asked() == [
        "stop dask-worker@1.service",
        # Worker 2 still runs, so a kept copy of its old unit, with its memory limit, hides the new one.
        "daemon-reload  (dask-worker@2.service is kept)",
        "reset-failed dask-worker@1.service (dask-worker@2.service is kept)",
        "start dask-worker@1.service (dask-worker@2.service is kept)",
        "stop dask-worker@2.service (dask-worker@2.service is kept)",
        "daemon-reload ",
        "reset-failed dask-worker@2.service",
        "start dask-workers.target dask-worker@2.service",
    ]
    assert list((machine.root / "kept").iterdir()) == []


def test_second_half_is_unchanged_if_the_first_fails(machine):
    machine.add_release("two", {"worker": machine.worker_units("two", "2G")})
    run_workers(machine, "one")
    first, second = WORKERS
    (machine.home / f"releases/two/services/{first}.broken").touch()
    pids = json.loads((machine.root / "state.json").read_text())["services"]
    answer = run_workers(machine, "two")
    assert f"{first} does not start" in answer["msg"]
    assert (machine.systemd / f"{second}.d/daskops.conf").read_text() == "[Service]\nMemoryMax=1G\n"
    assert (machine.root / f"kept/{second}").read_text() == machine.unit("one")
    # Reverting does not restart the second half either.
    answer = run_workers(machine, "one", back=True)
    assert answer["restarted"] == [first]
    assert json.loads((machine.root / "state.json").read_text())["services"][second] == pids[second]
    assert list((machine.root / "kept").iterdir()) == []
    assert not run_workers(machine, "one")["changed"]


@pytest.mark.parametrize("name", ["one", "journal"])
def test_settled_host_needs_no_change(machine, monkeypatch, name):
    """The controller skips a settled host, so the module must have nothing to change there."""
    if name == "journal":
        machine.add_release(name, {"scheduler": {"dask-scheduler.service": machine.unit(name), SOCKET: "[Socket]\n"}})
        machine.run(name)
    release, text = machine.home / "releases" / name, machine.unit(name)
    (release / "environment").symlink_to("/nowhere")
    monkeypatch.setattr(inspect_host, "KEPT", str(machine.root / "kept"))

    def settled():
        current = read_releases(str(machine.home))[name]
        state = inspect_host.current_state(Commands(), str(machine.home), current)
        assert state["content"] == tree_digest(read_tree(str(release)), {"environment": "/nowhere"})
        return state["settled"] == ["scheduler"]

    assert settled() and not machine.run(name)["changed"]
    unit = machine.systemd / "dask-scheduler.service"
    if name == "journal":
        machine.systemctl("stop", SOCKET)
        assert not settled()
        assert machine.run(name)["changed"] and triggers(machine) == [SOCKET]
    for change in (
        lambda: unit.write_text(text + "# edited\n"),
        unit.unlink,
        lambda: machine.systemctl("disable", unit.name),
        lambda: machine.systemctl("stop", unit.name),
    ):
        change()
        assert not settled()
        assert machine.run(name)["changed"]
        assert settled() and not machine.run(name)["changed"]


@pytest.mark.parametrize("damage", ["release", "manifest", "unit"])
def test_incomplete_release_changes_nothing(machine, damage):
    release, before = machine.home / "releases/two", machine.state()
    if damage == "release":
        shutil.rmtree(release)
    else:
        (release / {"manifest": "manifest.json", "unit": "systemd/dask-scheduler.service"}[damage]).unlink()
    answer = machine.run("two")
    assert answer["failed"]
    assert answer["msg"] == "The release two is not on this host, or not complete. Run site.yml."
    assert machine.asked() == [] and machine.state() == before


def test_check_mode_shows_the_change_to_a_release_that_is_not_staged(machine):
    before = machine.state()
    planned = {
        "services": {"dask-scheduler.service": "three.s"},
        "units": {"dask-scheduler.service": machine.unit("three")},
    }
    answer = machine.run("three", planned=planned, _ansible_check_mode=True)
    assert answer["changed"] and answer["restarted"] == ["dask-scheduler.service"]
    (unit,) = [one for one in answer["diff"] if one.get("after_header") == "dask-scheduler.service"]
    assert (unit["before"], unit["after"]) == (machine.unit("one"), machine.unit("three"))
    assert machine.asked() == [] and machine.state() == before


def test_change_that_was_taken_back_is_staged_once(machine):
    """A host with an unfinished change counts as one that lacks its release; see `decide.is_staged`."""
    home = str(machine.home)

    def unfinished():
        releases = read_releases(home)
        return inspect_host.unfinished(releases[current_release(home)], releases)

    note_change(home, "one", 1)
    later = read_releases(home)["one"]["staged"] + 10
    note_change(home, "two", later)
    assert machine.run("two")["changed"] and unfinished() == 0
    assert machine.run("one", back=True)["changed"] and current_release(home) == "one"
    # A run with the variables of the later release continues its change.
    assert unfinished() == later
    # All that `release` does on a host that has the files of the release.
    note_change(home, "one", later)
    assert unfinished() == 0 and not machine.run("one")["changed"]
    note_change(home, "one", later + 10)
    assert unfinished() == 0


HOURS, SOCKET = "dask-worker-hours@default", "dask-scheduler-journal.socket"


def add_hours(machine, name, event):
    """Add a release with the workers of release one, and a timer; without an event, with no timer."""
    timer = {f"{HOURS}.timer": f"[Timer]\nOnCalendar={event}\n", f"{HOURS}.service": "[Service]\n"} if event else {}
    machine.add_release(name, {"worker": {**machine.worker_units("one"), **timer}}, services_of="one")


def triggers(machine):
    """Return the active timers and sockets."""
    return json.loads((machine.root / "state.json").read_text()).get("triggers", [])


def test_changed_hours_restart_the_timer_and_no_worker(machine):
    machine.run("one", kind="worker")
    machine.asked()
    for name, event in (("evening", "19:00"), ("later", "20:00")):
        add_hours(machine, name, event)
        answer = machine.run(name, kind="worker")
        assert answer["changed"] and answer["restarted"] == answer["removed"] == []
        assert f"{HOURS}.timer" in {part["after_header"] for part in answer["diff"] if "after_header" in part}
        assert machine.asked() == ["daemon-reload ", f"restart {HOURS}.timer"]
        assert event in (machine.systemd / f"{HOURS}.timer").read_text() and triggers(machine) == [f"{HOURS}.timer"]
    again = machine.run("later", kind="worker")
    assert not again["changed"] and not machine.asked() and not again["diff"]

    # A timer that somebody stopped is started. Without hours, the timer is removed.
    machine.systemctl("stop", f"{HOURS}.timer")
    machine.asked()
    assert machine.run("later", kind="worker")["changed"] and triggers(machine) == [f"{HOURS}.timer"]
    assert machine.run("one", kind="worker", _ansible_check_mode=True)["changed"] and triggers(machine)
    machine.asked()
    assert machine.run("one", kind="worker")["restarted"] == []
    assert machine.asked() == [f"stop {HOURS}.timer", "daemon-reload "]
    assert not triggers(machine) and not list(machine.systemd.glob("dask-worker-hours*"))


@pytest.mark.parametrize("state", ["stopped", "disabled", "absent"])
def test_stopped_workers_have_no_timer(machine, state):
    add_hours(machine, "evening", "19:00")
    machine.run("evening", kind="worker")
    assert triggers(machine) == [f"{HOURS}.timer"]
    assert machine.run("evening", kind="worker", state=state)["changed"]
    assert not triggers(machine) and (machine.systemd / f"{HOURS}.timer").exists() == (state != "absent")
    assert not machine.run("evening", kind="worker", state=state)["changed"]


def test_timer_goes_on_if_its_removal_fails(machine):
    add_hours(machine, "evening", "19:00")
    machine.run("evening", kind="worker")
    (machine.root / "fail").write_text("daemon-reload")
    assert machine.run("one", kind="worker")["failed"]
    assert triggers(machine) == [f"{HOURS}.timer"] and (machine.systemd / f"{HOURS}.timer").exists()


def test_socket_of_the_journal_is_started_and_stopped_with_the_scheduler(machine):
    units = {SOCKET: "[Socket]\n", "dask-scheduler-journal@.service": "[Service]\n"}
    scheduler = {"dask-scheduler.service": machine.unit("one")}
    machine.add_release("journal", {"scheduler": {**scheduler, **units}}, services_of="one")
    machine.run("one", kind="scheduler")
    machine.asked()
    answer = machine.run("journal", kind="scheduler")
    assert answer["changed"] and answer["restarted"] == []
    assert machine.asked() == ["daemon-reload ", f"restart {SOCKET}"] and triggers(machine) == [SOCKET]
    assert not machine.run("journal", kind="scheduler")["changed"]
    # A restart of the service also restarts the socket, because the account may have been created again.
    assert machine.run("journal", kind="scheduler", state="restarted")["changed"]
    assert f"restart {SOCKET}" in machine.asked()
    assert machine.run("journal", kind="scheduler", state="absent")["changed"]
    assert not triggers(machine) and not list(machine.systemd.glob("dask-scheduler*"))


def test_socket_that_does_not_start_is_a_warning(machine, capfd):
    machine.add_release("journal", {"scheduler": {"dask-scheduler.service": machine.unit("one"), SOCKET: "[Socket]\n"}})
    (machine.root / "fail").write_text("restart")
    answer = machine.run("journal", kind="scheduler")
    assert not answer.get("failed") and answer["restarted"] == ["dask-scheduler.service"]
    warning = json.dumps(answer.get("warnings")) + capfd.readouterr().err  # depends on the version of Ansible
    assert f"restart {SOCKET} failed" in warning and f"systemctl status {SOCKET}" in warning
