# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lifetime of a worker."""

from __future__ import annotations

import os

import pytest
from draining import mark, unit


def test_lifetime_does_not_interrupt_a_drain(shared, log):
    (mortal,) = shared.start("mortal", args=["--lifetime", "3s", "--lifetime-restart"], nanny=True)
    running = shared.near("mortal", mark, log.path, "running", 4)
    log.wait_for("running")
    assert mortal.stop().splitlines()[-1].startswith("drained in ")
    assert running.result() == "running" and log.runs() == {"running": 1}
    assert mortal.errors().count("Start worker at") == 1


@pytest.mark.parametrize("nanny", [False, True])
def test_end_of_lifetime_drains_the_worker(shared, log, nanny):
    (mortal,) = shared.start(
        "mortal", nanny=nanny, DASKOPS_LIFETIME="2 s", DASKOPS_LIFETIME_STAGGER="1 s", DASKOPS_DRAIN_TIMEOUT="20"
    )
    (data,) = shared.scatter("mortal", b"kept")

    def look():

        return [name for name in os.environ if name.startswith("DASKOPS_LIFETIME")]

    assert nanny or shared.on("mortal", look).result() == []  # child processes of a task must not inherit the lifetime
    running = shared.near("mortal", mark, log.path, "running", 5)  # Dask's own lifetime would run the task twice
    assert mortal.process.wait(30) == 0
    assert "drained in" in mortal.errors()
    assert (running.result(), data.result(), log.runs()) == ("running", b"kept", {"running": 1})


def test_lifetime_shorter_than_the_start_drains_after_registration(shared):
    variables = {"DASKOPS_LIFETIME": "1 us", "DASKOPS_LIFETIME_STAGGER": "1 us", "DASKOPS_DRAIN_TIMEOUT": "20"}
    mortal = shared.stack.enter_context(unit(shared.scheduler, "mortal", settings=shared.settings, **variables))
    assert mortal.process.wait(60) == 0
    assert "drained in" in mortal.errors()
