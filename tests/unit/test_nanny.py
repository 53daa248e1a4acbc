# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preload of a nanny."""

from __future__ import annotations

from conftest import watched, worker
from http_pages import get_json


def test_only_the_nanny_notifies_systemd(ours, notify):
    options = ["--preload-nanny", "daskops_runtime.nanny"]
    with worker(ours.scheduler, "nannied", *options, nanny=True, runtime=True, **watched(notify)) as process:
        (ready,) = notify.wait_for("READY=1")
        assert "nannied" in ours.addresses()
        assert any(line.startswith("STATUS=Nanny ") for line in ready[1])
        notify.wait_for("WATCHDOG=1", more_than=2)
        summary = get_json(ours.scheduler, "daskops/summary.json")
        (child,) = (worker for worker in summary["workers"] if worker["name"] == "nannied")
        assert child["nanny"] and child["pid"] != process.pid
        process.terminate()
        assert process.wait(20) == 0
    assert notify.having("STOPPING=1")
    assert {pid for pid, _ in notify.read()} == {process.pid}
