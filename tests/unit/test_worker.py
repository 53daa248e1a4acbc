# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preload of a worker."""

from __future__ import annotations

import time

import pytest
from conftest import free_port, scheduler, wait_until, watched, worker
from http_pages import get_json


def test_worker_is_ready_after_registration(tmp_path, notify):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    # Limits the growing pause between Dask's attempts to connect, which exceeds 10 s with the default of 30 s.
    patience = {"comm.timeouts.connect": "2s"}
    with worker(address, "late", runtime=True, settings=patience, **watched(notify)) as process:
        wait_until(notify.read)
        assert all(line.endswith(" init") for line in notify.read()[0][1])
        time.sleep(1)
        assert not notify.having("READY=1") and not notify.having("WATCHDOG=1")
        with scheduler(tmp_path, "--port", port, runtime=True) as started:
            (ready,) = notify.wait_for("READY=1")
            (registered,) = get_json(started, "daskops/summary.json")["workers"]
            assert ready[1] == ["READY=1", f"STATUS=Worker {registered['address']} running"]
            process.terminate()
            assert process.wait(20) == 0
    assert "STOPPING=1" in notify.read()[-1][1]


@pytest.mark.parametrize("nanny", [False, True])
def test_release_resource_selects_workers(ours, nanny):
    variables = {"DASKOPS_RELEASE": "next.w3", "DASKOPS_RELEASE_LABEL": "v1.4", "DASKOPS_RELEASE_RESOURCES": "1"}
    with worker(ours.scheduler, "w3", "--nthreads", 2, nanny=nanny, runtime=True, **variables):
        wait_until(lambda: "w3" in ours.addresses(), timeout=40)
        workers = get_json(ours.scheduler, "daskops/summary.json")["workers"]
        resources = {item["name"]: item["resources"] for item in workers}
        assert resources == {"w1": {}, "w2": {}, "w3": {"release:next": 2, "release:v1.4": 2}}
        assert {item["name"]: item["label"] for item in workers} == {"w1": None, "w2": None, "w3": "v1.4"}
        for name in ("next", "v1.4"):
            futures = ours.client.map(lambda number: number, range(20), resources={f"release:{name}": 1}, pure=False)
            ours.client.gather(futures)
            assert {address for held in ours.client.who_has(futures).values() for address in held} == {
                ours.addresses()["w3"]
            }
    wait_until(lambda: "w3" not in ours.addresses())
