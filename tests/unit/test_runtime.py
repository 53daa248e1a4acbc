# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime package in real schedulers, workers and nannies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from conftest import RUNTIME, environment, free_port, scheduler, wait_until, worker, workers_of
from daskops_runtime import registration
from distributed.core import Status


def systemd(notify, watchdog=0.3):
    return {"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": str(int(watchdog * 1e6))}


def get(scheduler, route):
    with urllib.request.urlopen(f"{scheduler.url}/{route}", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("application/json")
        return json.load(response)


def test_imports_have_no_side_effects():
    names = sorted(
        path.stem
        for path in (RUNTIME / "daskops_runtime").glob("*.py")
        if path.stem not in ("__init__", "validate_config")
    )
    code = f"""
import importlib, threading
import distributed.http.utils
for name in {names} * 3:
    importlib.reload(importlib.import_module("daskops_runtime." + name))
assert threading.active_count() == 1
"""
    env = environment({}, {"NOTIFY_SOCKET": "/nowhere"})
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_scheduler_notifies_ready_watchdog_and_stopping(tmp_path, notify):
    with scheduler(tmp_path, runtime=True, **systemd(notify)) as started:
        (ready,) = notify.wait_for("READY=1")
        assert f"STATUS=Scheduler {started.address} running" in ready[1]
        notify.wait_for("WATCHDOG=1", more_than=2)
        started.process.terminate()
        assert started.process.wait(20) == 0
    assert len(notify.having("STOPPING=1")) == 1
    assert "STOPPING=1" in notify.read()[-1][1]
    assert {pid for pid, _ in notify.read()} == {started.process.pid}


def test_worker_is_ready_after_registration(tmp_path, notify):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    # Limits the growing pause between Dask's attempts to connect, which exceeds 10 s with the default of 30 s.
    patience = {"comm.timeouts.connect": "2s"}
    with worker(address, "late", runtime=True, settings=patience, **systemd(notify)) as process:
        wait_until(notify.read)
        assert all(line.endswith(" init") for line in notify.read()[0][1])
        time.sleep(1)
        assert not notify.having("READY=1") and not notify.having("WATCHDOG=1")
        with scheduler(tmp_path, "--port", port, runtime=True) as started:
            (ready,) = notify.wait_for("READY=1")
            (registered,) = get(started, "daskops/summary.json")["workers"]
            assert ready[1] == ["READY=1", f"STATUS=Worker {registered['address']} running"]
            process.terminate()
            assert process.wait(20) == 0
    assert "STOPPING=1" in notify.read()[-1][1]


def test_worker_registers_soon_after_a_late_scheduler(tmp_path, notify):
    port = free_port()
    with worker(f"tcp://127.0.0.1:{port}", "late", runtime=True, **systemd(notify)):
        wait_until(notify.read)
        # By now Dask alone would sleep for up to ten seconds, and five on average.
        time.sleep(6)
        with scheduler(tmp_path, "--port", port, runtime=True) as started, started.client() as client:
            begin = time.monotonic()
            notify.wait_for("READY=1")
            assert time.monotonic() - begin < 3

            def sleeps_as_dask_does():
                from distributed.comm import core

                core.random.uniform(0, 0)  # as when it connects again
                return core.random is sys.modules["random"]

            (address,) = workers_of(client)
            assert client.run(sleeps_as_dask_does, workers=[address]) == {address: True}


def test_sleeps_between_attempts_are_a_share_of_the_time_so_far(monkeypatch):
    class Waiting:
        status = Status.init

    now = 100.0
    monkeypatch.setattr(registration, "monotonic", lambda: now)
    patience = registration.Patience(Waiting())
    assert max(patience.uniform(0, 30) for dummy in range(200)) <= 0.1
    now = 160.0
    assert 3 < max(patience.uniform(0, 30) for dummy in range(200)) <= 6.1
    assert max(patience.uniform(0, 0.01) for dummy in range(200)) <= 0.01
    Waiting.status = Status.running
    assert max(patience.uniform(0, 30) for dummy in range(200)) > 10


def test_no_watchdog_without_watchdog_usec(ours, notify):
    with worker(ours.scheduler, "unwatched", runtime=True, NOTIFY_SOCKET=notify.path):
        notify.wait_for("READY=1")
        time.sleep(0.5)
    assert not notify.having("WATCHDOG=1")


def test_watchdog_messages_stop_when_the_worker_has_failed(ours, notify):
    with worker(ours.scheduler, "watched", runtime=True, **systemd(notify)):
        notify.wait_for("READY=1")
        address = ours.addresses()["watched"]
        assert ours.client.run(os.getenv, "NOTIFY_SOCKET", workers=[address]) == {address: None}
        for status in ("paused", "closing_gracefully"):
            with ours.status("watched", status):
                line = f"STATUS=Worker {address} {status}"
                wait_until(lambda line=line: sum(line in lines for _, lines in notify.having("WATCHDOG=1")) > 3)
        with ours.status("watched", "failed"):
            time.sleep(0.3)
            fed = len(notify.having("WATCHDOG=1"))
            time.sleep(0.5)
            assert len(notify.having("WATCHDOG=1")) == fed


def test_only_the_nanny_notifies_systemd(ours, notify):
    options = ["--preload-nanny", "daskops_runtime.nanny"]
    with worker(ours.scheduler, "nannied", *options, nanny=True, runtime=True, **systemd(notify)) as process:
        (ready,) = notify.wait_for("READY=1")
        assert "nannied" in ours.addresses()
        assert any(line.startswith("STATUS=Nanny ") for line in ready[1])
        notify.wait_for("WATCHDOG=1", more_than=2)
        summary = get(ours.scheduler, "daskops/summary.json")
        (child,) = (worker for worker in summary["workers"] if worker["name"] == "nannied")
        assert child["nanny"] and child["pid"] != process.pid
        process.terminate()
        assert process.wait(20) == 0
    assert notify.having("STOPPING=1")
    assert {pid for pid, _ in notify.read()} == {process.pid}


def test_summary(ours):
    wait_until(lambda: len(ours.addresses()) == 2)  # wait until workers of other tests are gone
    summary = get(ours.scheduler, "daskops/summary.json")
    assert summary["schema"] == 1

    told = summary["scheduler"]
    assert told["address"] == ours.scheduler.address
    assert told["status"] == "running"
    assert told["release"] == "shared.s"
    assert told["workers"] == 2
    assert told["clients"] == 1
    assert abs(told["started"] - time.time()) < 600

    versions = ours.client.get_versions()
    assert summary["versions"] == [versions["scheduler"]["packages"]]
    assert [worker["name"] for worker in summary["workers"]] == ["w1", "w2"]
    for item in summary["workers"]:
        assert item["versions"] == told["versions"] == 0
        assert item["release"] == f"shared.{item['name']}"
        assert item["address"] == ours.addresses()[item["name"]]
        assert item["pid"] == ours.workers[item["name"]].pid
        assert item["host"] == "127.0.0.1"
        assert item["status"] == "running"
        assert item["nthreads"] == 1
        assert item["memory_limit"] == 2**30
        assert 0 < item["memory"] < 2**30
        assert 0 <= item["heartbeat_age"] < 10
        assert item["nanny"] is None


def test_summary_counts_tasks(ours):
    future = ours.client.submit(time.sleep, 0, pure=False)
    future.result()
    assert get(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"]["memory"] == 1
    failed = ours.client.submit(divmod, 1, 0, pure=False)
    assert failed.exception()
    assert get(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"]["erred"] == 1
    del future, failed
    wait_until(lambda: not any(get(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"].values()))


def test_summary_answers_under_load(ours):
    with ours.load():
        for _ in range(20):
            summary = get(ours.scheduler, "daskops/summary.json")
            assert summary["scheduler"]["tasks"]["processing"] > 0
            assert sum(worker["processing"] for worker in summary["workers"]) > 0
            time.sleep(0.05)


def test_summary_of_a_worker_with_a_numeric_name(ours):
    resources = ["--resources", "GPU=2"]
    with worker(ours.scheduler, "7", *resources, runtime=False):  # Dask converts this name to a number
        wait_until(lambda: len(ours.addresses()) == 3)
        (odd,) = (w for w in get(ours.scheduler, "daskops/summary.json")["workers"] if w["name"] == "7")
    assert odd["resources"] == {"GPU": 2.0}
    assert odd["release"] is None


@pytest.mark.parametrize(
    "told, expires",
    [
        ({"daskops_certificate": {"expires": 5}}, 5),
        ({"daskops_certificate_expires": 6}, 6),  # from a worker of an older release
        ({"daskops_certificate": 7}, None),
        ({"daskops_certificate": {"expires": "soon"}}, None),
    ],
)
def test_summary_contains_the_expiry_of_certificates(ours, told, expires):
    def tell(metrics, dask_worker):
        dask_worker.metrics.pop("daskops_certificate", None)
        for name, value in metrics.items():
            dask_worker.metrics[name] = lambda worker, value=value: value

    def summarized():
        (found,) = (w for w in get(ours.scheduler, "daskops/summary.json")["workers"] if w["name"] == "w3")
        return found["certificate_expires"]

    with worker(ours.scheduler, "w3", runtime=True):
        wait_until(lambda: "w3" in ours.addresses())
        ours.client.run(tell, {"daskops_certificate_expires": 1}, workers=[ours.addresses()["w3"]])
        wait_until(lambda: summarized() == 1)
        ours.client.run(tell, {"daskops_certificate_expires": None, **told}, workers=[ours.addresses()["w3"]])
        wait_until(lambda: summarized() == expires)


def bokeh_question():
    """A function that tells whether a service has loaded bokeh; made here, because services cannot import this file."""

    def has_bokeh():
        return "bokeh" in sys.modules

    return has_bokeh


def test_worker_loads_its_dashboard_on_the_first_request(ours):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with worker(ours.scheduler, "w3", "--dashboard-address", f"127.0.0.1:{port}", runtime=True):
        wait_until(lambda: "w3" in ours.addresses())
        address = ours.addresses()["w3"]
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
            assert b"dask_worker" in response.read()
        assert ours.client.run(bokeh_question(), workers=[address]) == {address: False}
        for dummy in range(2):
            with urllib.request.urlopen(f"{url}/status", timeout=20) as response:
                assert b"bokeh" in response.read()
        assert ours.client.run(bokeh_question(), workers=[address]) == {address: True}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/nowhere", timeout=10)


def test_scheduler_loads_its_dashboard_on_the_first_request(tmp_path):
    with scheduler(tmp_path, runtime=True) as started, started.client() as client:
        assert get(started, "daskops/summary.json")["workers"] == []
        assert not client.run_on_scheduler(bokeh_question())
        # Several look at the same time, and none of them before the pages are there.
        looks = [
            subprocess.Popen(["curl", "-s", "-w", "%{http_code}", f"{started.url}/{path}"], stdout=subprocess.PIPE)
            for path in ("individual-plots.json", "status", "status", "nowhere")
        ]
        answers = [look.communicate(timeout=60)[0] for look in looks]
        assert [answer[-3:] for answer in answers] == [b"200", b"200", b"200", b"404"]
        assert b"Individual Task Stream" in answers[0]
        assert b"Dask Diagnostic UI" in answers[1] and b"Dask Diagnostic UI" in answers[2]
        assert client.run_on_scheduler(bokeh_question())
        with urllib.request.urlopen(f"{started.url}/", timeout=20) as response:
            assert response.url == f"{started.url}/status"


def test_scheduler_without_bokeh_says_so(tmp_path):
    (tmp_path / "bokeh").mkdir()
    (tmp_path / "bokeh/__init__.py").write_text("raise ImportError('not here')")
    path = f"{tmp_path}:{RUNTIME}"
    with scheduler(tmp_path, runtime=True, PYTHONPATH=path) as started:
        for dummy in range(2):
            with urllib.request.urlopen(f"{started.url}/status", timeout=20) as response:
                assert b"Dask needs bokeh" in response.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{started.url}/nowhere", timeout=10)


def test_other_routes_still_answer(ours):
    assert get(ours.scheduler, "json/counts.json")["workers"] >= 2


@pytest.mark.parametrize("nanny", [False, True])
def test_release_resource_selects_workers(ours, nanny):
    variables = {"DASKOPS_RELEASE": "next.w3", "DASKOPS_RELEASE_RESOURCES": "1"}
    with worker(ours.scheduler, "w3", "--nthreads", 2, nanny=nanny, runtime=True, **variables):
        wait_until(lambda: "w3" in ours.addresses(), timeout=40)
        workers = get(ours.scheduler, "daskops/summary.json")["workers"]
        resources = {item["name"]: item["resources"] for item in workers}
        assert resources == {"w1": {}, "w2": {}, "w3": {"release:next": 2}}
        futures = ours.client.map(lambda number: number, range(20), resources={"release:next": 1}, pure=False)
        ours.client.gather(futures)
        assert {address for held in ours.client.who_has(futures).values() for address in held} == {
            ours.addresses()["w3"]
        }
    wait_until(lambda: "w3" not in ours.addresses())
