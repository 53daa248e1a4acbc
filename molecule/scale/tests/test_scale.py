# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing and adding hosts, stopping and starting services, and removing the cluster."""

import json
import subprocess

import pytest
import yaml
from conftest import INVENTORY, SCENARIO

# All paths of the installation. The node image has no files there.
TRACES = "ls -d /opt/dask /var/lib/dask /etc/systemd/system/dask* /etc/systemd/system/*/dask* /run/dask* 2>/dev/null"


def traces(host):
    return [
        *host.run(TRACES).stdout.split(),
        *host.run("getent passwd dask").stdout.split(),
        *host.run("systemctl list-units --all --plain --no-legend 'dask*'").stdout.split(),
    ]


@pytest.fixture
def gone(cluster):
    """Return the last worker host, which the tests remove."""
    return cluster.workers[-1]


def test_removing_only_the_scheduler_is_rejected(cluster, play):
    run = play("remove", "--limit", cluster.scheduler)
    assert run.returncode != 0
    assert f"{cluster.scheduler} is the scheduler of {', '.join(cluster.workers)}" in run.output
    assert cluster.is_whole()


def test_host_is_removed_and_added_again(cluster, play, load, gone):
    pids = cluster.pids()
    predicted = play("remove", "--limit", gone, "--check")
    assert predicted.returncode == 0, predicted.output
    assert cluster.pids() == pids
    run = play("remove", "--limit", gone)
    assert run.returncode == 0, run.output
    assert set(run.changed) == {gone} and run.changed[gone] > 0
    rest = {name: pid for name, pid in pids.items() if name != f"{gone}-1"}
    assert cluster.pids() == rest
    assert traces(cluster.host(gone)) == []
    # The inventory still has the host, so its workers count as missing.
    run = play("status")
    assert run.returncode != 0 and f"Missing: {gone}-1" in run.output
    assert play("status", "--limit", f"!{gone}").returncode == 0

    run = play("site", "--limit", gone)
    assert run.returncode == 0, run.output
    assert set(run.changed) == {gone}
    assert cluster.is_whole()
    assert {name: pid for name, pid in cluster.pids().items() if name in rest} == rest


def test_restart(cluster, play, load):
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    run = play("restart", "-e", "dask_scheduler_idle_timeout=1")
    assert run.returncode == 0, run.output
    assert "The scheduler is pending" in run.output
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert {name for name, pid in cluster.pids().items() if pid == pids[name]} == set()


def test_restart_of_an_idle_cluster(cluster, play):
    scheduler = cluster.summary()["scheduler"]["id"]
    run = play("restart", "-e", json.dumps({"dask_serial": [1, "50%"]}))
    assert run.returncode == 0, run.output
    assert cluster.summary()["scheduler"]["id"] != scheduler
    assert cluster.is_whole()


def test_stop_and_start_of_a_host(cluster, play, load, gone):
    run = play("stop", "--limit", gone)
    assert run.returncode == 0, run.output
    assert f"{gone}-1" not in cluster.pids()
    assert f"Stopped: dask-worker@1 of {gone}." in run.output
    run = play("stop", "--limit", gone)
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    assert "No service was stopped." in run.output
    run = play("start", "--limit", gone)
    assert run.returncode == 0, run.output
    assert cluster.is_whole()


def test_maintenance_of_a_host(cluster, play, load, gone):
    maintenance = ["-e", f"dask_maintenance={{{{ inventory_hostname == '{gone}' }}}}"]
    pids = cluster.pids()
    predicted = play("site", "--check", *maintenance)
    assert predicted.returncode == 0 and predicted.changed[gone] > 0, predicted.output
    assert cluster.pids() == pids
    run = play("site", *maintenance)
    assert run.returncode == 0 and f"In maintenance: {gone}." in run.output, run.output
    rest = {name: pid for name, pid in pids.items() if name != f"{gone}-1"}
    assert cluster.pids() == rest
    run = play("start", *maintenance)
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    assert cluster.pids() == rest

    subprocess.run(["docker", "kill", cluster.container(gone)], check=True, capture_output=True)
    try:
        run = play("site", *maintenance)
        assert run.returncode == 0 and not any(run.changed.values()), run.output
        assert play("restart", "-e", "dask_scheduler_idle_timeout=1", *maintenance).returncode == 0
        run = play("remove", "--limit", gone, *maintenance)
        assert run.returncode != 0 and f"{gone}: not inspected in this run" in run.output
    finally:
        subprocess.run(["docker", "start", cluster.container(gone)], check=True, capture_output=True)
    state = ["docker", "exec", cluster.container(gone), "systemctl", "is-system-running"]

    def booted():
        return subprocess.run(state, check=False, capture_output=True, text=True).stdout in ("running\n", "degraded\n")

    cluster.wait_until(booted, 60)
    host = cluster.host(gone)
    assert not host.service("dask-worker@1").is_running

    run = play("start")
    assert run.returncode == 0 and cluster.is_whole(), run.output
    assert host.service("dask-workers.target").is_enabled


def test_stop_and_start_of_all(cluster, play):
    run = play("stop")
    assert run.returncode == 0, run.output
    assert cluster.summary() is None
    for name in cluster.workers:
        assert not cluster.host(name).service("dask-worker@1").is_running
    run = play("status", "-e", "dask_health_timeout=1")
    assert run.returncode != 0
    run = play("start")
    assert run.returncode == 0, run.output
    assert cluster.is_whole()


def test_deleted_user_is_created_again(cluster, play, gone):
    host = cluster.host(gone)
    host.check_output("systemctl stop dask-workers.target dask-worker@1 && userdel dask")
    # The user may get another number, and then it could not write to the scratch directory in its former home.
    run = play("site", "--limit", gone)
    assert run.returncode != 0
    assert "(/var/lib/dask/scratch) is not a directory to which dask_user may write" in run.output, run.output
    assert "Create the account dask_user and make it the owner" in run.output
    assert not any(run.changed.values())
    host.check_output("rm -r /var/lib/dask")
    run = play("site", "--limit", gone)
    assert run.returncode == 0, run.output
    assert cluster.is_whole()
    assert host.check_output("stat --format=%U /var/lib/dask /opt/dask/tls/worker.pem").split() == ["dask", "dask"]


def test_status_when_a_host_is_lost(cluster, play, gone, tmp_path):
    run = play("stop", "--limit", gone)
    assert run.returncode == 0, run.output
    subprocess.run(["docker", "kill", cluster.container(gone)], check=True, capture_output=True)
    page = tmp_path / "status.html"
    try:
        run = play("status", "-e", "dask_health_timeout=1", "-e", f"dask_status_page={page}")
    finally:
        subprocess.run(["docker", "start", cluster.container(gone)], check=True, capture_output=True)
    assert run.returncode != 0
    assert f"Missing: {gone}-1" in run.output, run.output
    assert ">unhealthy<" in page.read_text() and ">unreachable<" in page.read_text()
    # Stopped services start with their host.
    cluster.wait_until(cluster.is_whole, 90)


# A task that runs until a file exists, and data, both on a worker that will be removed.
ON_A_WORKER_THAT_GOES = """
import os
workers = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
address = [address for address, worker in workers.items() if worker["name"] == "%s"]
data = client.scatter([b"kept"], workers=address, hash=False)

def work():
    import os, time
    with open("beside.log", "a") as log:
        log.write("ran\\n")
    while not os.path.exists("go-on"):
        time.sleep(0.1)
    return "done"

future = client.submit(work, workers=address, allow_other_workers=True, pure=False)
print("there", flush=True)
print(future.result(), client.gather(data)[0].decode())
"""


def test_workers_beside_the_scheduler(cluster, play, tmp_path):
    """On a host in both groups, a change of the workers does not affect the scheduler."""
    inventory = yaml.safe_load((SCENARIO / "hosts.yml").read_text())
    workers = inventory["all"]["children"]["dask_workers"]["hosts"]

    def site(count):
        workers[cluster.scheduler] = {
            "dask_worker_count": count,
            "dask_worker_threads": 1,
            "dask_worker_memory": "512MiB",
        }
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
        return play.start("site", inventory=[INVENTORY[0], f"--inventory={tmp_path}/hosts.yml"])

    host = cluster.host(cluster.scheduler)
    run = play.finish(site(2))
    assert run.returncode == 0, run.output
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    goes = f"{cluster.scheduler}-2"
    assert goes in pids
    client = cluster.start(ON_A_WORKER_THAT_GOES % goes)
    assert client.stdout.readline() == "there\n"
    journal = "journalctl --unit=dask-worker@2 --output=cat"
    cluster.wait_until(lambda: host.file("/var/lib/dask/beside.log").exists, 10)
    process = site(1)
    cluster.wait_until(lambda: "draining: 1 task left" in host.check_output(journal), 60)
    host.check_output("touch /var/lib/dask/go-on")
    run = play.finish(process)
    assert run.returncode == 0, run.output
    assert client.communicate(timeout=60)[0] == "done kept\n"
    assert host.check_output("cat /var/lib/dask/beside.log") == "ran"
    assert "drained in" in host.check_output(journal)
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert cluster.pids() == {name: pid for name, pid in pids.items() if name != goes}

    # Removing the host from dask_workers is rejected while its workers run.
    run = play("site")
    assert run.returncode != 0
    assert f"{cluster.scheduler} runs dask-worker@1.service, but is not in" in run.output
    host.check_output("systemctl disable --now dask-workers.target")
    run = play("site")
    assert run.returncode == 0, run.output
    assert cluster.is_whole() and cluster.summary()["scheduler"]["id"] == scheduler


def test_remove_all(cluster, play, gone):
    host = cluster.host(gone)
    host.check_output("touch /opt/dask/notes")
    run = play("remove")
    assert run.returncode == 0, run.output
    assert traces(host) == ["/opt/dask"]
    assert host.check_output("ls -A /opt/dask") == "notes"
    for name in [cluster.scheduler, *cluster.workers[:-1]]:
        assert traces(cluster.host(name)) == []
    user = cluster.variables[cluster.scheduler]["ansible_user"]
    assert "daskops" not in cluster.host(cluster.scheduler).check_output(f"ls -A ~{user}/.config/dask")
    run = play("start")
    assert run.returncode != 0
    assert f"{gone} has no release with a worker. Run site.yml first" in run.output
    run = play("doctor")
    assert run.returncode == 0 and "note [not-installed] " in run.output and "note [not-tried] " in run.output
    run = play("remove")
    assert run.returncode == 0 and not any(run.changed.values()), run.output
