# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that clients and Dask's adaptive scaling stop and start, in units that a stub of systemd restarts."""

import asyncio
import contextlib
import json
import os
import signal
import threading
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.health import Expected, judge
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_summary
from conftest import free_port, scheduler, wait_until, workers_of
from daskops_runtime import scaling
from distributed import Client, Scheduler
from draining import Log, by_value, mark
from http_pages import get_json
from playbook_runs import ROOT
from restarted_units import Unit
from scrapes import scrape

#: Settings of Dask with which adaptive scaling decides fast.
FAST = {"adaptive.interval": "200ms", "adaptive.wait-count": 2}


def start_scheduler(stack, directory, port=0, **variables):
    variables = {"DASKOPS_SCALING_FILE": str(directory / "scaling.json"), **variables}
    return stack.enter_context(scheduler(directory, "--port", port, runtime=True, settings=FAST, **variables))


class Cluster:
    """A scheduler, a client, and units."""

    def __init__(self, directory, stack):
        self.directory = directory
        self.stack = stack
        self.port = free_port()
        self.scheduler_stack = stack.enter_context(contextlib.ExitStack())
        self.scheduler = start_scheduler(self.scheduler_stack, directory, self.port)
        self.client = stack.enter_context(Client(self.scheduler.address, set_as_default=False, timeout=20))
        self.units = {}

    def start(self, *names, args=(), **variables):
        for name in names:
            self.units[name] = self.stack.enter_context(
                Unit(self.scheduler.address, name, *args, directory=self.directory, **variables)
            )
        wait_until(lambda: set(names) <= self.known(), 40)

    def known(self):
        return {name for pool in self.ask("daskops_scaling")["pools"].values() for name in pool["workers"]}

    def names(self):
        return {worker["name"] for worker in workers_of(self.client).values()}

    def wait_for(self, *names):
        wait_until(lambda: self.names() == set(names), 40)

    def ask(self, command, **options):
        return self.client.sync(getattr(self.client.scheduler, command), **options)

    def state(self, pool="default"):
        wait_until(lambda: pool in self.ask("daskops_scaling")["pools"])
        return self.ask("daskops_scaling")["pools"][pool]

    def requests(self):
        return get_json(self.scheduler, "daskops/summary.json")["scaling_requests"]

    def wait_for_standby(self, *names, pool="default"):
        wait_until(lambda: set(self.state(pool)["standby"]) == set(names), 40)

    def restart_scheduler(self):
        self.scheduler_stack.close()
        (self.directory / "scheduler.json").unlink(missing_ok=True)
        self.scheduler = start_scheduler(self.scheduler_stack, self.directory, self.port)


@pytest.fixture
def cluster(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Cluster(tmp_path, stack)


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


@by_value
def double(value):
    return value * 2


def test_scale_down_under_load_loses_and_repeats_no_task(cluster, log):
    cluster.start("w1", "w2", "w3")
    data = cluster.client.scatter(list(range(30)), hash=False)
    futures = [cluster.client.submit(mark, log.path, f"t{i}", 0.1, pure=False) for i in range(60)]
    doubled = cluster.client.map(double, data)
    wait_until(lambda: len(log.ended()) > 10)
    state = cluster.ask("daskops_scale", n=1)["pools"]["default"]
    assert len(state["wanted"]) == 1
    (kept,) = state["wanted"]
    cluster.wait_for(kept)
    stopped = {"w1", "w2", "w3"} - {kept}
    cluster.wait_for_standby(*stopped)
    assert cluster.client.gather(futures) == [f"t{i}" for i in range(60)]
    assert cluster.client.gather(doubled) == [2 * i for i in range(30)]
    assert set(log.runs().values()) == {1}

    # The units on standby are small processes that systemd considers started, and a stop ends them at once.
    first, second = (cluster.units[name] for name in sorted(stopped))
    assert first.notifies("READY=1") and first.memory() < 30e6
    assert "nothing to drain" in second.stop() and second.codes == [0, -signal.SIGTERM]

    cluster.ask("daskops_scale", n=2)
    wait_until(lambda: len(cluster.names()) == 2)
    assert first.codes == [0, 0]  # the drained worker, and the unit on standby


def test_last_worker_with_results_stays_until_they_are_released(cluster):
    cluster.start("w1")
    data = cluster.client.scatter([b"only here"], hash=False)
    cluster.ask("daskops_scale", n=0)
    time.sleep(2)
    assert cluster.names() == {"w1"} and cluster.client.gather(data) == [b"only here"]
    del data
    cluster.wait_for()
    cluster.wait_for_standby("w1")
    (request,) = cluster.requests()
    assert (request["minimum"], request["maximum"], request["workers"], request["waiting"]) == (0, 0, 1, 0)
    assert request["address"].startswith("tcp://127.0.0.1:") and request["since"][:2] == "20"
    # Without a worker, Dask queues a task, but a task with a restriction waits for a worker.
    queued = cluster.client.submit(double, 20)
    bound = cluster.client.submit(double, 21, workers=["127.0.0.1"])
    never = cluster.client.submit(double, 22, resources={"GPU": 1})
    wait_until(lambda: cluster.requests()[0]["waiting"] == 2)
    cluster.ask("daskops_adapt")  # no limit
    assert [request["waiting"] for request in cluster.requests()] == [0]
    cluster.ask("daskops_scale")  # the default: all workers
    assert (queued.result(30), bound.result(30)) == (40, 42) and not cluster.requests()
    never.cancel()
    cluster.start("w2")


def test_worker_drains_as_long_as_its_task_runs(cluster, log):
    cluster.start("w1", "w2", DASKOPS_DRAIN_TIMEOUT="1")
    (address,) = (address for address, worker in workers_of(cluster.client).items() if worker["name"] == "w1")
    future = cluster.client.submit(mark, log.path, "long", log.gate, workers=[address], pure=False)
    log.wait_for("long")
    cluster.ask("daskops_scale", n=0)
    cluster.wait_for("w1")
    time.sleep(2)  # longer than the drain timeout
    log.open_gate()
    assert future.result(20) == "long"
    del future
    cluster.wait_for_standby("w1", "w2")
    assert log.runs() == {"long": 1}


def test_stop_of_the_unit_shortens_the_drain(cluster, log):
    cluster.start("w1", "w2")
    (address,) = (address for address, worker in workers_of(cluster.client).items() if worker["name"] == "w1")
    future = cluster.client.submit(mark, log.path, "endless", log.gate, workers=[address], pure=False)
    log.wait_for("endless")
    cluster.ask("daskops_scale", n=0)
    cluster.wait_for("w1")
    said = cluster.units["w1"].stop(timeout=2)
    assert "gave up 1 task still running" in said and "aborted" not in said
    assert cluster.units["w1"].codes[-1] == 0
    future.cancel()


def test_adaptive_scaling(cluster, log):
    cluster.start("w1", "w2", "w3")
    cluster.ask("daskops_adapt", minimum=0, maximum=2)
    cluster.wait_for_standby("w1", "w2", "w3")
    futures = [cluster.client.submit(mark, log.path, f"t{i}", 0.3, pure=False) for i in range(40)]
    wait_until(lambda: len(cluster.names()) == 2, 40)
    assert cluster.client.gather(futures) == [f"t{i}" for i in range(40)]
    assert set(log.runs().values()) == {1}
    assert len(cluster.state()["wanted"]) == 2  # never more
    del futures
    cluster.wait_for_standby("w1", "w2", "w3")
    # A pause of the adaptive scaling changes nothing.
    state = cluster.ask("daskops_stop_adapting")["pools"]["default"]
    assert (state["minimum"], state["maximum"], state["adaptive"]) == (0, 0, False)


def test_pools_have_limits_of_their_own_and_start_for_a_resource(cluster):
    cluster.start("c1", "c2", DASKOPS_POOL="cpu", DASKOPS_SCALING="adaptive", DASKOPS_POOL_MINIMUM="1")
    gpu = {"DASKOPS_POOL": "gpu", "DASKOPS_SCALING": "adaptive", "DASKOPS_POOL_MAXIMUM": "1"}
    cluster.start("g1", args=["--resources", "GPU=1"], **gpu)
    cluster.wait_for_standby("g1", pool="gpu")
    wait_until(lambda: len(cluster.names()) == 1)
    assert cluster.client.submit(double, 21, resources={"GPU": 1}).result(30) == 42
    cluster.wait_for_standby("g1", pool="gpu")
    assert len(cluster.ask("daskops_scale", n=0, pool="cpu")["pools"]["cpu"]["wanted"]) == 1
    with pytest.raises(ValueError, match="There is no pool 'tpu'. The pools are: cpu, gpu."):
        cluster.ask("daskops_scale", n=0, pool="tpu")


def test_state_survives_a_restart_of_the_scheduler(cluster):
    cluster.start("w1", "w2")
    kept = cluster.ask("daskops_scale", n=1)["pools"]["default"]["wanted"]
    (stopped,) = {"w1", "w2"} - set(kept)
    cluster.wait_for_standby(stopped)
    found = scrape(cluster.scheduler.port)
    assert found["daskops_scheduler_standby_workers",] == 1
    assert found["daskops_scheduler_worker_standby", ("worker", stopped)] == 1
    pid = cluster.units[stopped].process.pid
    (before,) = cluster.requests()
    cluster.restart_scheduler()
    cluster.wait_for(*kept)
    cluster.wait_for_standby(stopped)
    assert cluster.units[stopped].process.pid == pid  # it did not start while there was no scheduler
    assert cluster.requests() == [before]

    # A scheduler that lost its state runs all workers.
    cluster.scheduler_stack.close()
    (cluster.directory / "scaling.json").write_text('{"schema": 1, "known": [{"name": "w1\\n"}], "stopped": ["w1"]}')
    cluster.restart_scheduler()
    cluster.wait_for("w1", "w2")


def absent(cluster):
    """Return state and cause of the workers that are not registered, as the health check reads them."""
    expected = Expected(dict.fromkeys(cluster.units))
    result = judge(from_summary(get_json(cluster.scheduler, "daskops/summary.json")), expected)
    assert result["missing"] == []
    return {one["name"]: (one["state"], one["cause"]) for one in result["waiting"]}


def test_worker_is_never_missing_while_it_stops_and_starts(cluster):
    cluster.start("w1", "w2")
    (kept,) = cluster.ask("daskops_scale", n=1)["pools"]["default"]["wanted"]
    (stopped,) = {"w1", "w2"} - {kept}
    seen = set()

    def is_standby():
        seen.update(absent(cluster).values())
        return stopped in cluster.state()["standby"] and cluster.units[stopped].notifies("READY=1")

    wait_until(is_standby, 40)
    assert seen <= {("standby", "request")}
    assert absent(cluster) == {stopped: ("standby", "request")}

    unit = cluster.units[stopped]
    unit.ended.set()  # the unit does not start again
    cluster.ask("daskops_scale", n=2)
    unit.thread.join(20)
    time.sleep(1)
    assert absent(cluster) == {stopped: ("starting", "")}
    assert scrape(cluster.scheduler.port)["daskops_scheduler_standby_workers",] == 1
    assert scrape(cluster.scheduler.port)["daskops_scheduler_worker_standby", ("worker", stopped)] == 1
    unit.ended.clear()
    threading.Thread(target=unit.run, daemon=True).start()
    cluster.wait_for("w1", "w2")
    wait_until(lambda: absent(cluster) == {})
    cluster.ask("daskops_adapt", minimum=1)
    wait_until(lambda: list(absent(cluster).values()) == [("standby", "idle")], 40)


def test_worker_that_does_not_start_in_time_is_missing():
    async def run():
        async with Scheduler(port=0, dashboard_address=":0") as running:
            one = scaling.Scaling(running, "")
            one.known["w1"] = scaling.Member("w1", address="tcp://h:1", host="h")
            one.stopped = {"w1"}
            assert [found.name for found in one.on_standby(soon=True)] == ["w1"] and one.on_standby() == []
            one.started -= scaling.ABSENT + 2
            assert one.on_standby(soon=True) == []
            one.ask(None, "w1", "shared.w1")
            assert [found.name for found in one.on_standby()] == ["w1"] and one.coming() == []
            one.start({"w1"})
            assert [(found.name, found.host, found.release) for found in one.coming()] == [("w1", "h", "shared.w1")]
            assert one.on_standby() == [] and one.ask(None, "w1") == {"wanted": True}
            one.starting["w1"].since -= scaling.START
            assert [found.name for found in one.coming()] == ["w1"]
            one.starting["w1"].since -= 2
            assert one.coming() == [] == one.on_standby()
            # A worker that starts again and again is missing.
            one.ask(None, "w1")
            one.update(time.time())
            assert one.coming() == [] and one.starting == {}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("number", "limits", "parts"),
    [
        (3, {"a": (0, 2), "b": (0, 2)}, {"a": 2, "b": 1}),
        (3, {"a": (0, 1), "b": (0, 2)}, {"a": 1, "b": 2}),
        (1, {"a": (0, 2), "b": (1, 2)}, {"a": 0, "b": 1}),
        (4, {"a": (0, 1), "b": (0, 2)}, {"a": 2, "b": 2}),  # not possible now
        (0, {"a": (1, 2), "b": (0, 2)}, {"a": 0, "b": 0}),
    ],
)
def test_number_is_divided_within_the_limits_of_the_pools(number, limits, parts):
    assert scaling.divide_within(number, {"a": 2, "b": 2}, limits) == parts


def test_bound_of_a_start_is_the_one_of_the_unit():
    unit = (ROOT / "roles/worker/templates/dask-worker@.service.j2").read_text()
    assert f"TimeoutStartSec={scaling.START:.0f}\n" in unit


def test_cause_of_standby_is_the_limit_that_applies(cluster):
    cluster.start("w1", "w2", DASKOPS_POOL_MAXIMUM="1")
    wait_until(lambda: list(absent(cluster).values()) == [("standby", "maximum")], 40)
    cluster.ask("daskops_scale", n=2)
    assert list(absent(cluster).values()) == [("standby", "maximum")]
    cluster.ask("daskops_scale", n=1)
    assert list(absent(cluster).values()) == [("standby", "request")]


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("scale", {"n": -1}, "n is '-1'. Give a whole number of at least 0."),
        ("scale", {"n": "all"}, "n is 'all'. Give a whole number"),
        ("scale", {"n": True}, "n is 'True'"),
        ("adapt", {"minimum": 2, "maximum": 1}, "minimum is 2, but maximum is 1. Give a minimum that is not above it."),
        ("adapt", {"interval": "soon"}, "interval is 'soon'. Give a time between 0.1 s and 1 day."),
        ("adapt", {"wait_count": 0}, "wait_count is '0'. Give a whole number of at least 1."),
    ],
)
def test_invalid_requests_are_rejected(one_worker, command, options, message):
    with pytest.raises(ValueError, match=message):
        one_worker.ask(f"daskops_{command}", **options)


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        running = Cluster(tmp_path_factory.mktemp("one"), stack)
        running.start("w1")
        running.state()
        yield running


@pytest.mark.parametrize(
    "value", [None, "abc", ["a", "b"], ["a", "b", ""], ["a", "b", 1], ["a", "b", "c" * 301], ["a\n", "b", "c"]]
)
def test_place_that_is_not_valid(value):
    assert scaling.read_place(["unit", "host", "boot"]) == ("unit", "host", "boot")
    assert scaling.read_place(value) is None


def test_hostile_questions_change_nothing(one_worker):
    """A name that never registered is wanted, whatever it is, and is not stored."""
    for name in ["other", "x" * 100_000, "a\nb\x00", "", None, 7, ["w1"], {"w1": 1}]:
        assert one_worker.ask("daskops_standby", name=name, release="x" * 100_000) == {"wanted": True}
    assert one_worker.state()["workers"] == ("w1",)
    assert one_worker.names() == {"w1"}


def test_workers_without_the_setting_are_never_stopped(ours):
    with pytest.raises(ValueError, match="set dask_worker_scaling to manual or adaptive in the inventory"):
        ours.client.sync(ours.client.scheduler.daskops_scale, n=0)
    assert sorted(ours.addresses()) == ["w1", "w2"]


def test_saved_name_of_an_unknown_worker_is_wanted(tmp_path):
    saved = {"schema": 1, "known": [], "stopped": ["w9"], "requests": {}}
    (tmp_path / "scaling.json").write_text(json.dumps(saved))
    with contextlib.ExitStack() as stack:
        running = Cluster(tmp_path, stack)
        assert running.ask("daskops_standby", name="w9") == {"wanted": True}


def make_huge(path):
    with open(path, "wb") as file:
        file.truncate(scaling.SIZE * 1000)


HOSTILE = {
    "FIFO": os.mkfifo,
    "directory": os.mkdir,
    "device": lambda path: os.symlink("/dev/zero", path),
    "link": lambda path: os.symlink("other.json", path),
    "huge file": make_huge,
    "nested": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_anything_instead_of_the_file_is_harmless(tmp_path, caplog, kind):
    """Tasks on the scheduler's host can put it there."""
    (tmp_path / "other.json").write_text('{"schema": 1, "known": [{"name": "w1"}]}')
    before = (tmp_path / "other.json").read_text()
    path = tmp_path / "scaling.json"
    HOSTILE[kind](path)
    loaded = scaling.Scaling(None, str(path))
    assert loaded.known == {} and "all workers start" in caplog.text

    HOSTILE[kind](tmp_path / "scaling.json.new")
    loaded.known["w2"] = scaling.Member("w2", address="tcp://h:1", host="h")
    loaded.save()
    assert (tmp_path / "other.json").read_text() == before
    if kind == "directory":
        assert "cannot be written" in caplog.text
    else:
        assert list(scaling.Scaling(None, str(path)).known) == ["w2"]


def test_file_with_one_invalid_part_is_not_used_at_all(tmp_path):
    path = tmp_path / "scaling.json"
    saved = scaling.Scaling(None, str(path))
    saved.known["w1"] = scaling.Member("w1", address="tcp://h:1", host="h")
    saved.requests["default"] = scaling.Request(0, 0, since="now", address="tcp://h:1")
    saved.save()
    assert scaling.Scaling(None, str(path)).requests
    path.write_text(json.dumps({**json.loads(path.read_text()), "stopped": [["w1"]]}))
    assert not scaling.Scaling(None, str(path)).requests
