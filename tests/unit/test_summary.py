# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of a cluster, a route of the scheduler."""

from __future__ import annotations

import json
import time

import psutil
import pytest
from conftest import wait_until, worker
from daskops_runtime.summary import QUESTIONS, Shortener, plain
from http_pages import get_json


def test_summary(ours):
    wait_until(lambda: len(ours.addresses()) == 2)  # wait until workers of other tests are gone
    summary = get_json(ours.scheduler, "daskops/summary.json")
    assert summary["schema"] == 1

    told = summary["scheduler"]
    assert told["address"] == ours.scheduler.address
    assert told["status"] == "running"
    assert told["release"] == "shared.s"
    assert told["workers"] == 2
    assert told["clients"] == 1
    assert abs(told["started"] - psutil.Process(ours.scheduler.process.pid).create_time()) < 60

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
    assert get_json(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"]["memory"] == 1
    failed = ours.client.submit(divmod, 1, 0, pure=False)
    assert failed.exception()
    assert get_json(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"]["erred"] == 1
    del future, failed
    wait_until(lambda: not any(get_json(ours.scheduler, "daskops/summary.json")["scheduler"]["tasks"].values()))


def test_summary_answers_under_load(ours):
    with ours.load():
        for _ in range(20):
            summary = get_json(ours.scheduler, "daskops/summary.json")
            assert summary["scheduler"]["tasks"]["processing"] > 0
            assert sum(worker["processing"] for worker in summary["workers"]) > 0
            time.sleep(0.05)


def test_summary_of_a_worker_with_a_numeric_name(ours):
    resources = ["--resources", "GPU=2"]
    with worker(ours.scheduler, "7", *resources, runtime=False):  # Dask converts this name to a number
        wait_until(lambda: len(ours.addresses()) == 3)
        (odd,) = (w for w in get_json(ours.scheduler, "daskops/summary.json")["workers"] if w["name"] == "7")
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
        (found,) = (w for w in get_json(ours.scheduler, "daskops/summary.json")["workers"] if w["name"] == "w3")
        return found["certificate_expires"]

    with worker(ours.scheduler, "w3", runtime=True):
        wait_until(lambda: "w3" in ours.addresses())
        ours.client.run(tell, {"daskops_certificate_expires": 1}, workers=[ours.addresses()["w3"]])
        wait_until(lambda: summarized() == 1)
        ours.client.run(tell, {"daskops_certificate_expires": None, **told}, workers=[ours.addresses()["w3"]])
        wait_until(lambda: summarized() == expires)


@pytest.mark.parametrize(
    "value",
    [
        [[[0] * 200] * 200] * 200,
        {str(n): "\N{ROCKET}" * 300 for n in range(200)},
        [[[-1.7976931348623157e308] * 200] * 200] * 200,
    ],
)
def test_values_of_one_worker_have_a_limit_together(value):
    shortener = Shortener()
    begin = time.process_time()
    document = json.dumps([shortener.plain(value) for _ in QUESTIONS])
    assert len(document) < 1.1e6 and time.process_time() - begin < 1


def test_values_within_the_limits_stay_as_they_are():
    packages = {f"package-{number}": f"2026.{number}.0" for number in range(200)}
    assert plain({"packages": packages, "resources": {"GPU": 2.0}}) == {
        "packages": packages,
        "resources": {"GPU": 2.0},
    }
    assert plain([[[[1]]]]) == [[[None]]]


def test_other_routes_still_answer(ours):
    assert get_json(ours.scheduler, "json/counts.json")["workers"] >= 2
