# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cluster_health against real schedulers and against other servers."""

from __future__ import annotations

import contextlib
import re
import threading
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_workers_page
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import SchedulerHTTP
from conftest import STOCK_ROUTES, free_port, scheduler, wait_until, worker
from http_pages import get_text
from recorded import failure, health

W1, W2, W3 = {"name": "w1"}, {"name": "w2"}, {"name": "w3"}


# A cluster that runs this collection's runtime


def test_healthy(ours):
    workers = [{"name": name, "release": f"shared.{name}"} for name in ("w1", "w2")]
    result = health(ours.url, workers=workers, count=2, scheduler_release="shared.s")
    assert (result["verdict"], result["problems"], result["detail"]) == ("healthy", [], "full")
    assert result["workers_expected"] == result["workers_present"] == 2
    assert result["releases"] == {"shared": ["w1", "w2"]}
    assert result["versions"] == {}
    assert result["scheduler"]["address"] == ours.scheduler.address
    assert result["scheduler"]["clients"] == 1
    assert 0 < result["memory"]["used"] < result["memory"]["limit"] == 2 * 2**30
    assert result["workers"][0]["name"] == "w1" and result["workers"][0]["pid"] == ours.workers["w1"].pid
    assert "is healthy, 2 workers are registered" in result["msg"]


def test_healthy_under_load(ours):
    with ours.load():
        for _ in range(5):
            result = health(ours.url, workers=[W1, W2])
            assert (result["verdict"], result["detail"]) == ("healthy", "full")
            assert result["tasks"]["processing"] > 0


def test_other_releases(ours):
    workers = [{"name": "w1", "release": "next.w1"}, W2]
    result = health(ours.url, workers=workers, scheduler_release="next.s")
    assert result["verdict"] == "unhealthy"
    assert result["release_differences"] == {"w1": {"expected": "next.w1", "actual": "shared.w1"}}
    assert [problem[:20] for problem in result["problems"]] == ["Not the expected rel", "The scheduler runs r"]
    assert health(ours.url, workers=[W2], complete=False)["verdict"] == "healthy"


def test_module_fails_only_if_unhealthy_and_fail_when_unhealthy(ours):
    result = health(ours.url, workers=[W3], fail_when_unhealthy=True)
    assert result["failed"] and result["verdict"] == "unhealthy"
    assert result["msg"].startswith(f"The Dask cluster at {ours.url} is unhealthy. Missing: w3.")
    assert "failed" not in health(ours.url, workers=[W3])
    assert "failed" not in health(ours.url, workers=[W1], fail_when_unhealthy=True)  # degraded


def test_waits_for_a_worker_and_reports_its_release(ours):
    with worker(ours.scheduler, "w3", runtime=True, DASKOPS_RELEASE="next.w3"):
        result = health(ours.url, workers=[W1, W2, W3], timeout=20, interval=0.1)
    assert 0.1 < result["elapsed"] < 20
    assert (result["verdict"], result["missing"]) == ("degraded", [])
    assert result["releases"] == {"shared": ["w1", "w2"], "next": ["w3"]}


def test_waits_until_the_deadline(ours):
    started = time.monotonic()
    result = health(ours.url, workers=[W1, W2, W3], timeout=1.2, interval=0.5)
    assert 1.2 <= result["elapsed"] <= time.monotonic() - started
    assert result["missing"] == ["w3"]
    assert f"unhealthy after {result['elapsed']:.1f} s of waiting. Missing: w3." in result["msg"]


ROGUE = """
async def dask_setup(worker):
    async def metric(worker):
        return {"\\x1b[2J": [1, float("nan"), {"a": {"b": [b"c"]}}, "d" * 1_000_000]}

    async def information(worker):
        return ["\\x1b]0;title\\x07", {("a", 1): None}]

    for name in ("daskops_certificate_expires", "daskops_configuration_drift", "spilled_bytes", "managed_bytes"):
        worker.metrics[name] = metric
    for name in ("daskops_release", "anything"):
        worker.startup_information[name] = information
"""


def test_invalid_worker_data_does_not_affect_other_workers(ours, tmp_path):
    """User code in a worker can put any value into its metrics and its startup information."""
    (tmp_path / "rogue.py").write_text(ROGUE)
    preloads = {"worker.preload": [str(tmp_path / "rogue.py")]}
    with worker(ours.scheduler, "\x1b[31mrogue", settings=preloads):
        result = wait_until(lambda: (said := health(ours.url))["workers_present"] == 3 and said)
        time.sleep(1)  # wait for some heartbeats
        result = health(ours.url, workers=[W1, W2])
        text = get_text(f"{ours.url}/daskops/summary.json")
    assert result["detail"] == "full" and result["unexpected"] == ["\\x1b[31mrogue"]
    assert result["missing"] == result["silent"] == []
    assert result["msg"].isprintable() and all(problem.isprintable() for problem in result["problems"])
    assert len(text) < 50_000
    assert health(ours.url, workers=[W1, W2], complete=False)["verdict"] == "healthy"


def test_pending_scheduler_that_is_down(tmp_path):
    problem = failure(f"http://127.0.0.1:{free_port()}", scheduler_pending=True, control_socket="/nowhere")
    assert "nothing listens there" in problem


# Both kinds of cluster


@pytest.fixture(params=["ours", "stock"])
def either(request):
    return request.getfixturevalue(request.param)


def test_missing_and_unexpected(either):
    result = health(either.url, workers=[W2, W3])
    assert (result["verdict"], result["missing"], result["unexpected"]) == ("unhealthy", ["w3"], ["w1"])
    result = health(either.url, workers=[W2])
    assert (result["verdict"], result["unexpected"]) == ("degraded", ["w1"])
    assert health(either.url, workers=[W2], complete=False)["verdict"] == "healthy"
    assert health(either.url, count=3)["verdict"] == "unhealthy"


@pytest.mark.parametrize("status, key", [("paused", "paused"), ("closing_gracefully", "retiring")])
def test_paused_and_retiring(either, status, key):
    with either.status("w2", status):
        result = wait_until(lambda: (result := health(either.url, workers=[W1, W2]))["problems"] and result)
    assert (result["verdict"], result[key]) == ("degraded", ["w2"])
    assert "w2 on 127.0.0.1" in result["problems"][0]


def test_silent(either):
    with either.stopped("w2"):
        result = wait_until(lambda: (result := health(either.url, silent_after=3))["problems"] and result)
    assert (result["verdict"], result["silent"]) == ("unhealthy", ["w2"])
    assert re.match(r"Silent: w2 on 127.0.0.1 \(for \d+ s\)\.", result["problems"][0])
    assert health(either.url, silent_after=3, timeout=20, interval=0.2)["verdict"] == "healthy"


# A stock cluster


def test_stock_scheduler(stock):
    result = health(stock.url, workers=[W1, W2], timeout=5)
    assert (result["verdict"], result["detail"]) == ("healthy", "identity")
    assert result["scheduler"]["address"] == stock.scheduler.address
    assert result["scheduler"]["clients"] == 1
    assert result["memory"]["limit"] == 2 * 2**30
    told = {w["name"]: w for w in result["workers"]}["w1"]
    assert (told["host"], told["status"], told["nthreads"], told["release"]) == ("127.0.0.1", "running", 1, None)


def test_stock_scheduler_cannot_confirm_a_release(stock):
    result = health(stock.url, workers=[{"name": "w1", "release": "shared.w1"}], complete=False)
    assert (result["verdict"], result["release_differences"]["w1"]["actual"]) == ("unhealthy", None)


def test_worker_with_the_runtime_tells_a_stock_scheduler_its_release(stock):
    expected = [{"name": "w3", "release": "shared.w3"}]
    with worker(stock.scheduler, "w3", runtime=True, DASKOPS_RELEASE="shared.w3"):
        assert health(stock.url, workers=expected, complete=False, timeout=20)["verdict"] == "healthy"


def test_stock_scheduler_under_load(stock):
    """Under load, identity.json nearly always returns 500, so the names come from the workers page."""
    results = []
    with stock.load():
        wait_until(lambda: results.append(health(stock.url, workers=[W1, W2, W3])) or results[-1]["detail"] == "names")
    assert {result["detail"] for result in results} <= {"identity", "names"}
    for result in results:
        assert (result["verdict"], result["missing"]) == ("unhealthy", ["w3"])
        assert result["tasks"]["processing"] > 0


def test_stock_scheduler_counts_paused_workers_under_load(stock):
    with stock.load(), stock.status("w2", "paused"):
        result = wait_until(
            lambda: (result := health(stock.url))["detail"] == "names" and result["problems"] and result
        )
    assert result["verdict"] == "degraded"
    assert result["problems"] == ["1 worker is paused. Under load, this scheduler does not report which."]


def test_workers_page_agrees_with_identity(stock):
    report = wait_until(lambda: (report := SchedulerHTTP(stock.url).report())["detail"] == "identity" and report)
    page = from_workers_page(SchedulerHTTP(stock.url).get("info/main/workers.html")[0])
    told = {worker["name"]: worker for worker in report["workers"]}
    assert sorted(worker["name"] for worker in page) == sorted(told)
    for item in page:
        for key in ("address", "host", "nthreads", "memory_limit"):
            assert item[key] == told[item["name"]][key]
        assert 0 < item["memory"] < 2**30
        assert 0 <= item["heartbeat_age"] < 10


def test_only_counts(tmp_path):
    """Without the workers page, only the number of workers is known until identity.json works again."""
    routes = [route for route in STOCK_ROUTES if not route.endswith((".info", ".prometheus"))]
    with scheduler(tmp_path, settings={"scheduler.http.routes": routes}) as started, worker(started, "w1"):
        assert health(started.url, workers=[W1], timeout=20)["detail"] == "identity"
        with started.client() as client:
            futures = client.map(time.sleep, [0.05] * 500, pure=False)
            wait_until(lambda: any(future.done() for future in futures))
            result = wait_until(
                lambda: (result := health(started.url, workers=[W1, W2]))["detail"] == "counts" and result
            )
            client.cancel(futures)
    assert (result["verdict"], result["workers_present"]) == ("unhealthy", 1)
    assert "1 worker is registered instead of 2" in result["problems"][0]


def test_prefix(tmp_path):
    with scheduler(tmp_path, "--dashboard-prefix", "cluster-a", runtime=True) as started:
        assert health(f"{started.url}/cluster-a")["detail"] == "full"
        assert health(f"{started.url}/cluster-a/status")["detail"] == "full"
        assert "it is not a Dask scheduler" in failure(started.url)
        assert "--dashboard-prefix" in failure(started.url)


# Errors


def test_nothing_listens_until_the_deadline():
    result = health(f"http://127.0.0.1:{free_port()}", workers=[W1], timeout=0.5, interval=0.2)
    assert result["elapsed"] >= 0.5 and result["missing"] == ["w1"]
    assert "s of waiting" in result["msg"] and "Until it answers, these workers count as missing: w1." in result["msg"]


def test_waits_for_a_scheduler_that_starts(tmp_path):
    port = free_port()
    with contextlib.ExitStack() as stack:
        starter = threading.Timer(
            0.5,
            lambda: stack.enter_context(scheduler(tmp_path, "--dashboard-address", f"127.0.0.1:{port}", runtime=True)),
        )
        starter.start()
        result = health(f"http://127.0.0.1:{port}", timeout=20, interval=0.1)
        starter.join()
    assert result["verdict"] == "healthy" and result["elapsed"] > 0.4


def test_invalid_arguments_are_rejected():
    for url in ("10.0.0.1:8787", "http://10.0.0..1:8787"):
        assert "is not a URL of a scheduler" in health(url)["msg"]
    for option, value in (("request_timeout", 0), ("interval", -1), ("timeout", "nan"), ("silent_after", "inf")):
        result = health("http://127.0.0.1:8787", **{option: value})
        assert f"{option} is {value}: give a number" in result["msg"] and result["verdict"] == "unknown"
    result = health("https://127.0.0.1:8787", ca_path="/no/such/ca.pem", timeout=60)
    assert result["failed"] and "does not exist on this host" in result["msg"]


def test_unusable_ca_file_is_rejected(tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    result = health("https://127.0.0.1:8787", ca_path=str(tmp_path / "ca.pem"), timeout=60)
    assert result["failed"] and "cannot be used" in result["msg"] and result["verdict"] == "unknown"
