# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time until a worker registers with a scheduler that starts late."""

from __future__ import annotations

import sys
import time

from conftest import free_port, scheduler, wait_until, watched, worker, workers_of
from daskops_runtime import registration
from distributed.core import Status


def test_worker_registers_soon_after_a_late_scheduler(tmp_path, notify):
    port = free_port()
    with worker(f"tcp://127.0.0.1:{port}", "late", runtime=True, **watched(notify)):
        wait_until(notify.read)
        # After this time Dask's own pause is up to ten seconds, and five on average.
        time.sleep(6)
        with scheduler(tmp_path, "--port", port, runtime=True) as started, started.client() as client:
            begin = time.monotonic()
            notify.wait_for("READY=1")
            assert time.monotonic() - begin < 3

            def sleeps_as_dask_does():
                from distributed.comm import core

                core.random.uniform(0, 0)  # the call before a reconnection
                return core.random is sys.modules["random"]

            (address,) = workers_of(client)
            assert client.run(sleeps_as_dask_does, workers=[address]) == {address: True}


def test_sleeps_between_attempts_are_a_fraction_of_the_waiting_time(monkeypatch):
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
