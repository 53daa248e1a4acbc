# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials of releases that cannot start, which do not affect the running services."""

import json
import os
import signal

import pytest

# Only starting the service shows this error.
BROKEN = "import sys\n\n\ndef dask_setup(server):\n    sys.exit('this preload is broken')\n"
# Only the trial takes long.
SLOW = """
import os
import time


def dask_setup(scheduler):
    if os.environ.get("DASKOPS_TRIAL"):
        time.sleep(20)
"""


def traces(cluster, name):
    """Return the files, units and ports of trials on a host."""
    command = (
        "ls -d /run/daskops-trial* /run/systemd/system/daskops-trial* 2>/dev/null; "
        "systemctl list-units --all --plain --no-legend 'daskops-trial-*'; "
        "ss --listening --tcp --numeric --no-header | awk '{print $4}' | sort"
    )
    return cluster.host(name).run(command).stdout


@pytest.fixture
def untouched(cluster):
    """Fail if a running process has changed, or if files or units of a trial are left."""

    def state():
        show = cluster.host(cluster.scheduler).check_output(
            "systemctl show -p MainPID -p NRestarts dask-scheduler.service"
        )
        return show, cluster.pids(), {name: traces(cluster, name) for name in [cluster.scheduler, *cluster.workers]}

    before = state()
    assert "daskops-trial" not in str(before)
    yield state
    assert state() == before


@pytest.fixture
def preload(tmp_path):
    """Return a function that builds the arguments of a run with a preload module for one kind of service."""

    def arguments(kind, text):
        path = tmp_path / "surprise.py"
        path.write_text(text)
        return ["-e", json.dumps({f"dask_{kind}_preloads": [str(path)]})]

    return arguments


def test_scheduler_that_cannot_start_is_not_activated(cluster, play, load, untouched, preload):
    change = preload("scheduler", BROKEN)
    run = play("upgrade", *change, trial=True)
    assert run.returncode != 0
    assert f"{cluster.scheduler}: dask-scheduler.service of the new release" in run.output, run.output
    assert "The probable cause is the variable dask_scheduler_preloads (surprise)" in run.output
    assert "this preload is broken" in run.output
    # The second run finds the release staged and tries it again.
    run = play("upgrade", *change, trial=True)
    assert run.returncode != 0 and "does not start. This was a trial beside the running services" in run.output, (
        run.output
    )


def test_worker_that_cannot_start_is_not_activated(cluster, play, untouched, preload):
    change = preload("worker", BROKEN)
    run = play("upgrade", *change, "--check", trial=True)
    assert run.returncode == 0, run.output
    # Only the first host with the same settings tries the release.
    assert run.output.count("would be tried beside the running services: dask-worker@1.service") == 1
    run = play("upgrade", *change, trial=True)
    assert run.returncode != 0
    assert f"{cluster.workers[0]}: dask-worker@1.service of the new release" in run.output, run.output
    assert "The probable cause is the variable dask_worker_preloads (surprise)" in run.output


def test_killed_run_leaves_no_trial(cluster, play, untouched, preload):
    process = play.start("upgrade", *preload("scheduler", SLOW), trial=True)
    try:
        cluster.wait_until(lambda: "daskops-trial" in traces(cluster, cluster.scheduler), 120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        play.finish(process)
    cluster.wait_until(lambda: "daskops-trial" not in traces(cluster, cluster.scheduler), 60)
