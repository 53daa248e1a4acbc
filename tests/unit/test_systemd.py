# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of services to systemd."""

from __future__ import annotations

import os
import time

from conftest import scheduler, wait_until, watched, worker


def test_scheduler_notifies_ready_watchdog_and_stopping(tmp_path, notify):
    with scheduler(tmp_path, runtime=True, **watched(notify)) as started:
        (ready,) = notify.wait_for("READY=1")
        assert f"STATUS=Scheduler {started.address} running" in ready[1]
        notify.wait_for("WATCHDOG=1", more_than=2)
        started.process.terminate()
        assert started.process.wait(20) == 0
    assert len(notify.having("STOPPING=1")) == 1
    assert "STOPPING=1" in notify.read()[-1][1]
    assert {pid for pid, _ in notify.read()} == {started.process.pid}


def test_no_watchdog_without_watchdog_usec(ours, notify):
    with worker(ours.scheduler, "unwatched", runtime=True, NOTIFY_SOCKET=notify.path):
        notify.wait_for("READY=1")
        time.sleep(0.5)
    assert not notify.having("WATCHDOG=1")


def test_watchdog_messages_stop_when_the_worker_has_failed(ours, notify):
    with worker(ours.scheduler, "watched", runtime=True, **watched(notify)):
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
