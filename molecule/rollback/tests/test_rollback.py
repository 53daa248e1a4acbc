# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed changes are reverted, later batches stay unchanged, and rollback.yml reverts a complete change."""

import json
import re
import subprocess

import pytest

BROKEN = """
import socket
import sys


def dask_setup(worker):
    if socket.gethostname() == "{host}":
        sys.exit("this preload is broken")
"""

# The worker starts and registers, but with a wrong name.
IMPOSTOR = """
def dask_setup(worker):
    worker.name = "impostor"
"""


@pytest.fixture
def preload(tmp_path):
    """Return a function that builds the arguments of a run with a preload module for workers."""

    def arguments(text):
        path = tmp_path / "surprise.py"
        path.write_text(text)
        return ["-e", json.dumps({"dask_worker_preloads": [str(path)], "dask_scheduler_idle_timeout": 1})]

    return arguments


def test_rollback_without_a_previous_release_is_rejected(cluster, play):
    pids = cluster.pids()
    run = play("rollback")
    assert run.returncode != 0
    assert "No host has a previous release" in run.output
    assert cluster.pids() == pids


def test_batch_whose_workers_do_not_start_is_reverted(cluster, play, preload, load):
    first, second, third = (f"{name}-1" for name in cluster.workers)
    before, pids = cluster.releases(), cluster.pids()
    run = play("upgrade", *preload(BROKEN.format(host=cluster.workers[1])))
    assert run.returncode != 0
    assert f"{cluster.workers[1]}: dask-worker@1.service does not start" in run.output, run.output
    assert "this preload is broken" in run.output
    assert f"This batch ({cluster.workers[1]}) was reverted to the previous release" in run.output
    cluster.wait_until(cluster.is_whole, 30)
    after = cluster.releases()
    assert after[first] != before[first]
    assert after[second] == before[second]
    # The next host still has the same process.
    assert cluster.pids()[third] == pids[third]
    # Only the first host is reverted.
    pids = cluster.pids()
    run = play("rollback")
    assert run.returncode == 0, run.output
    assert cluster.releases() == before
    assert {name for name, pid in cluster.pids().items() if pid != pids[name]} == {first}
    assert play("status").returncode == 0


def test_batch_whose_workers_do_not_register_is_reverted(cluster, play, preload):
    before, pids = cluster.releases(), cluster.pids()
    run = play("upgrade", *preload(IMPOSTOR), "-e", "dask_health_timeout=5")
    assert run.returncode != 0
    assert f"Missing: {cluster.workers[0]}-1" in run.output, run.output
    assert "Registered to" in run.output.split("last lines of the journal")[1]
    assert f"This batch ({cluster.workers[0]}) was reverted to the previous release" in run.output
    cluster.wait_until(cluster.is_whole, 30)
    assert cluster.releases() == before
    assert {name for name, pid in cluster.pids().items() if pid != pids[name]} == {f"{cluster.workers[0]}-1"}


def test_batch_that_loses_a_host_is_reverted(cluster, play, preload):
    before, pids = cluster.releases(), cluster.pids()
    first, second, third = cluster.workers
    process = play.start("upgrade", *preload(BROKEN.format(host="nobody")), "-e", "dask_serial=2")

    def begun():
        workers = {worker["name"]: worker["status"] for worker in cluster.summary()["workers"]}
        return workers.get(f"{second}-1") != "running"

    try:
        cluster.wait_until(begun, 120)
        subprocess.run(["docker", "kill", cluster.container(second)], check=True, capture_output=True)
    finally:
        run = play.finish(process)
    subprocess.run(["docker", "start", cluster.container(second)], check=True, capture_output=True)
    assert run.returncode != 0
    assert f"{second} cannot be reached any more" in run.output, run.output
    cluster.wait_until(cluster.is_whole, 90)
    assert cluster.releases()[f"{first}-1"] == before[f"{first}-1"]
    assert cluster.pids()[f"{third}-1"] == pids[f"{third}-1"]
    run = play("site")
    assert run.returncode == 0, run.output
    assert cluster.releases() == before


def test_failed_batch_is_kept_on_request_and_skipped_by_a_rollback(cluster, play, preload):
    before = cluster.releases()
    # A trial would end the run before the batch.
    change = preload(BROKEN.format(host=cluster.workers[0]))
    run = play("upgrade", *change, "-e", "dask_rollback_on_failure=false")
    assert run.returncode != 0
    assert f"This batch ({cluster.workers[0]}) was not reverted" in run.output, run.output
    assert not cluster.is_whole()
    # The same change with dask_rollback_on_failure reverts the host to the last working release.
    run = play("upgrade", *change)
    assert run.returncode != 0
    cluster.wait_until(cluster.is_whole, 30)
    assert cluster.releases() == before
    # After a change that works, a rollback skips the release that never ran.
    run = play("upgrade", *preload(BROKEN.format(host="nobody")), "-e", json.dumps({"dask_serial": "100%"}))
    assert run.returncode == 0, run.output
    assert not set(cluster.releases().values()) & set(before.values())
    run = play("rollback", "-e", json.dumps({"dask_serial": "100%"}))
    assert run.returncode == 0, run.output
    assert cluster.releases() == before


@pytest.mark.parametrize(
    "code, said",
    [
        ("sys.exit('this preload is broken')", "dask-scheduler.service does not start"),
        # The scheduler serves, but workers cannot register.
        ("del scheduler.handlers['register-worker']", "unhealthy after"),
    ],
    ids=["does not start", "workers stay away"],
)
def test_failed_scheduler_is_reverted(cluster, play, tmp_path, code, said):
    before, release = cluster.releases(), cluster.summary()["scheduler"]["release"]
    broken = tmp_path / "broken.py"
    broken.write_text(f"import sys\n\n\ndef dask_setup(scheduler):\n    {code}\n")
    change = {"dask_scheduler_preloads": [str(broken)], "dask_health_timeout": 20}
    run = play("site", "-e", json.dumps(change))
    assert run.returncode != 0
    assert said in run.output, run.output
    assert re.search(r"The scheduler was reverted to release \w+", run.output), run.output
    assert f"All of its {len(cluster.workers)} worker(s) are registered again" in run.output, run.output
    assert cluster.is_whole()
    assert cluster.releases() == before and cluster.summary()["scheduler"]["release"] == release
    assert cluster.compute("print(client.submit(sum, [1, 2]).result())").split() == ["3"]
    run = play("site")
    assert run.returncode == 0 and not any(run.changed.values()), run.output


def test_unwritable_files_stop_no_service(cluster, play, preload):
    host, units = cluster.host(cluster.workers[0]), "/etc/systemd/system"
    pids = cluster.pids()
    host.check_output(f"mount --bind {units} {units} && mount -o remount,bind,ro {units}")
    try:
        change = preload(BROKEN.format(host="nobody"))
        run = play("upgrade", *change, "-e", "dask_worker_drain_timeout=299")
    finally:
        host.check_output(f"umount {units}")
    assert run.returncode != 0
    assert f"{cluster.workers[0]}: Writing the files of the services failed" in run.output, run.output
    assert "Read-only file system. Mount the file system writable" in run.output
    assert f"This batch ({cluster.workers[0]}) was reverted to the previous release" in run.output
    assert cluster.pids() == pids
    run = play("site")
    assert run.returncode == 0 and not any(run.changed.values()), run.output


def test_batch_without_a_health_check_result_is_reverted(cluster, play, preload):
    before, scheduler, name = cluster.releases(), cluster.host(cluster.scheduler), f"{cluster.workers[0]}-1"
    pids = cluster.pids()
    process = play.start("upgrade", *preload(BROKEN.format(host="nobody")))
    ca = "/opt/dask/tls/ca.pem"

    def begun():
        workers = {worker["name"]: worker["status"] for worker in cluster.summary()["workers"]}
        return workers.get(name) != "running"

    try:
        cluster.wait_until(begun, 120)
        # Remove the CA certificate that the health check needs, after the validation.
        scheduler.check_output(f"mv {ca} {ca}.away")
    finally:
        run = play.finish(process)
        scheduler.check_output(f"test ! -e {ca}.away || mv {ca}.away {ca}")
    assert run.returncode != 0
    assert "The health of the cluster could not be checked, so this change counts as failed" in run.output, run.output
    assert f"This batch ({cluster.workers[0]}) was reverted to the previous release" in run.output
    cluster.wait_until(cluster.is_whole, 60)
    assert cluster.releases() == before
    assert {worker for worker, pid in cluster.pids().items() if pid != pids[worker]} == {name}


def test_rollback_reverts_the_whole_cluster(cluster, play, lock):
    before, scheduler = cluster.releases(), cluster.summary()["scheduler"]["release"]
    run = play("upgrade", "-e", f"dask_environment_lock={lock}", "-e", "dask_serial=100%")
    assert run.returncode == 0, run.output
    assert not set(cluster.releases().values()) & set(before.values())
    predicted = play("rollback", "--check")
    run = play("rollback")
    assert run.returncode == 0, run.output
    assert run.changed == predicted.changed and all(run.changed.values())
    for said in (predicted.output, run.output):
        assert "This run reverts the latest change" in said and "Revert your variables, too" in said
        assert all(re.search(rf"{host}: release \w+ to \w+, environment \w+ to \w+", said) for host in cluster.workers)
    assert cluster.releases() == before
    assert cluster.summary()["scheduler"]["release"] == scheduler
    run = play("site")
    assert run.returncode == 0, run.output
    assert not any(run.changed.values())
