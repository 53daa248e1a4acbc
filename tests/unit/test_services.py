# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a host's services change, and what becomes of them when something fails."""

import json
import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.history import current_release
from ansible_collections.daskops.cluster.plugins.module_utils.releases import read_releases, read_tree, tree_digest
from ansible_collections.daskops.cluster.plugins.modules import host_info
from ansible_collections.daskops.cluster.plugins.modules.services import Activation
from killed import killed_at
from machine import WORKERS, Machine


class Commands:
    """Runs commands as modules do."""

    def run_command(self, command):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.returncode, run.stdout, run.stderr


@pytest.fixture
def change():
    """The parts of a change, from and to the ports of workers by unit."""

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


def test_half_of_the_workers_stay_while_the_others_change(change):
    same = {"w1": 8800, "w2": 8801, "w3": 8802}
    assert change(same, same) == [([], ["w1", "w3"]), ([], ["w2"])]


def test_workers_that_take_over_do_so_by_halves_too(change):
    parts = change({"w1": 8800, "w2": 8801}, {"numeric-1": 8800, "numeric-2": 8801})
    assert parts == [(["w1"], ["numeric-1"]), (["w2"], ["numeric-2"])]


@pytest.mark.parametrize(
    "before, after, stays",
    [
        ({"a-1": 8800, "b-1": 8801}, {"a-1": 8800, "a-2": 8801, "b-1": 8802}, {"a-1"}),
        ({"numeric-1": 8800, "numeric-2": 8801}, {"fast-1": 8800, "numeric-1": 8801, "numeric-2": 8802}, set()),
    ],
)
def test_all_change_at_once_where_ports_move_on(change, before, after, stays):
    assert change(before, after, stays) == [([], sorted(after.keys() - stays))]


def test_workers_that_only_go_do_so_at_once(change):
    assert change({"w1": 8800, "w2": 8801}, {"w1": 8800}, stays=["w1"]) == [(["w2"], [])]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A host that runs release ``one``, and has ``two``."""
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


def test_release_takes_over_and_leads_back(machine):
    answer = machine.run("two")
    assert answer["restarted"] == ["dask-scheduler.service"] and answer["changed"]
    assert machine.state() == running("two", machine)
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
def test_nothing_is_stopped_where_something_cannot_be_written(machine, obstacle):
    (machine.root / obstacle).mkdir()
    before = machine.state()
    answer = machine.run("two")
    assert answer["failed"]
    assert (
        f"no service was stopped or changed: {machine.root / obstacle}: Is a directory. A directory lies"
        in answer["msg"]
    )
    assert machine.asked() == []
    assert machine.state() == before
    (machine.root / obstacle).rmdir()
    assert not machine.run("two").get("failed")
    assert machine.state() == running("two", machine)


@pytest.mark.parametrize("command", ["stop", "daemon-reload"])
def test_what_ran_is_started_again_where_the_switch_fails(machine, command):
    before = machine.state()
    (machine.root / "fail").write_text(command)
    answer = machine.run("two")
    assert answer["failed"]
    assert f"systemctl {command}" in answer["msg"] and "Started again: dask-scheduler.service." in answer["msg"]
    assert machine.state() == before
    (machine.root / "fail").unlink()
    assert not machine.run("two").get("failed")
    assert machine.state() == running("two", machine)


def test_what_cannot_be_started_again_is_told(machine):
    (machine.root / "fail").write_text("daemon-reload")
    (machine.home / "releases/one/services/dask-scheduler.service.broken").touch()
    answer = machine.run("two")
    assert "Starting again what ran before failed, too: dask-scheduler.service does not come up" in answer["msg"]
    assert "the last words" in answer["msg"]


def test_release_that_does_not_start_is_not_noted_as_one_that_served(machine):
    (machine.home / "releases/two/services/dask-scheduler.service.broken").touch()
    answer = machine.run("two")
    assert "dask-scheduler.service does not come up" in answer["msg"]
    assert read_releases(str(machine.home))["two"]["served"] == []
    assert machine.state()["files"] == []
    # The way back.
    assert not machine.run("one", back=True).get("failed")
    assert machine.state() == running("one", machine)


def test_switch_that_is_killed_anywhere_is_finished_by_the_next_run(machine):
    home, number, old, new = str(machine.home), 0, "one", "two"
    while True:
        before = read_releases(home)[new]["previous"]
        killed = killed_at(number, machine.home, lambda release=new: machine.run(release))
        # Until the host runs the release, the history is as it was.
        assert read_releases(home)[new]["previous"] == (old if current_release(home) == new else before)
        assert not machine.run(new).get("failed")
        assert {**machine.state(), "files": []} == running(new, machine)
        release = read_releases(home)[new]
        assert release["previous"] == old and release["served"] == ["scheduler"]
        if not killed:
            break
        number, old, new = number + 1, new, old
    assert number > 8


def test_service_that_does_not_start_is_told_with_a_hint(machine):
    (machine.home / "releases/two/services/dask-scheduler.service.broken").write_text("")
    answer = machine.run("two", hint="scheduler: a firewall is active")
    assert answer["failed"] and answer["msg"].endswith("the last words\nscheduler: a firewall is active")
    assert machine.run("two")["msg"].endswith("the last words")


def test_unchanged_host_is_left_alone(machine):
    before = machine.state()
    answer = machine.run("one")
    assert not answer["changed"] and machine.asked() == [] and machine.state() == before


def worker_units(machine, name, memory="1G"):
    drop_ins = {f"{unit}.d/daskops.conf": f"[Service]\nMemoryMax={memory}\n" for unit in WORKERS}
    return {"dask-worker@.service": machine.unit(name), "dask-workers.target": "[Unit]\n", **drop_ins}


def run_workers(machine, name, **options):
    options = {"units": worker_units(machine, name), **options}
    wanted = dict.fromkeys(WORKERS, f"{name}.w")
    return machine.run(name, kind="worker", services=wanted, boot="dask-workers.target", **options)


def test_workers_stop_as_they_were_started(machine):
    assert not run_workers(machine, "one").get("failed")
    assert [line for line in machine.asked() if line.startswith("start")] == [
        "start dask-workers.target dask-worker@1.service dask-worker@2.service"
    ]
    assert not run_workers(machine, "two", units=worker_units(machine, "two", "2G")).get("failed")
    assert machine.asked() == [
        "stop dask-worker@1.service",
        # The other still runs: for it systemd keeps the unit, and the memory limit, that it was started with.
        "daemon-reload  (dask-worker@2.service is kept)",
        "reset-failed dask-worker@1.service (dask-worker@2.service is kept)",
        "start dask-worker@1.service (dask-worker@2.service is kept)",
        "stop dask-worker@2.service (dask-worker@2.service is kept)",
        "daemon-reload ",
        "reset-failed dask-worker@2.service",
        "start dask-workers.target dask-worker@2.service",
    ]
    assert list((machine.root / "kept").iterdir()) == []


def test_workers_whose_turn_does_not_come_are_left_alone(machine):
    run_workers(machine, "one")
    first, second = WORKERS
    (machine.home / f"releases/two/services/{first}.broken").touch()
    pids = json.loads((machine.root / "state.json").read_text())["services"]
    answer = run_workers(machine, "two", units=worker_units(machine, "two", "2G"))
    assert f"{first} does not come up" in answer["msg"]
    assert (machine.systemd / f"{second}.d/daskops.conf").read_text() == "[Service]\nMemoryMax=1G\n"
    assert (machine.root / f"kept/{second}").read_text() == machine.unit("one")
    # The way back leaves it alone, too.
    answer = run_workers(machine, "one", back=True)
    assert answer["restarted"] == [first]
    assert json.loads((machine.root / "state.json").read_text())["services"][second] == pids[second]
    assert list((machine.root / "kept").iterdir()) == []
    assert not run_workers(machine, "one")["changed"]


def test_host_that_the_module_would_change_is_not_settled(machine, monkeypatch):
    """The controller leaves a host alone if its state is settled; so the module must find nothing to do there."""
    release, text = machine.home / "releases/one", machine.unit("one")
    (release / "systemd").mkdir()
    (release / "systemd/dask-scheduler.service").write_text(text)
    (release / "environment").symlink_to("/nowhere")
    monkeypatch.setattr(host_info, "KEPT", str(machine.root / "kept"))

    def settled():
        units = {"scheduler": {"dask-scheduler.service": text}}
        state = host_info.current_state(
            Commands(), str(machine.home), {"id": "one", "units": units, "served": ["scheduler"]}
        )
        assert state["content"] == tree_digest(read_tree(str(release)), "/nowhere")
        return bool(state["settled"])

    assert settled() and not machine.run("one")["changed"]
    unit = machine.systemd / "dask-scheduler.service"
    for change in (
        lambda: unit.write_text(text + "# edited\n"),
        unit.unlink,
        lambda: machine.systemctl("disable", unit.name),
        lambda: machine.systemctl("stop", unit.name),
    ):
        change()
        assert not settled()
        assert machine.run("one")["changed"]
        assert settled() and not machine.run("one")["changed"]
