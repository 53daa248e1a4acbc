# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user stops and starts the workers of a pool, and an administrator works on the cluster meanwhile."""

CLUSTER = """
import glob, os, sys, time
sys.path += glob.glob(os.path.expanduser("~/.config/dask/daskops-wheels/daskops-*.whl"))
from daskops import Cluster

def is_true(condition):
    deadline = time.monotonic() + 40
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()

with Cluster() as cluster:
    pool = lambda: cluster._scaling["pools"]["waiting"]
"""
STOP = """
    futures = client.map(lambda n: time.sleep(0.05) or n, range(100), resources={"NETWORK": 1}, pure=False)
    cluster.scale(1, pool="waiting")
    assert client.gather(futures) == list(range(100))
    del futures
    cluster.scale(0, pool="waiting")
    assert is_true(lambda: set(pool()["standby"]) == {"worker1-waiting-1", "worker2-waiting-1"}), pool()
    assert len(cluster.observed) == 4, cluster.observed
"""
WAITING = """
    logs = cluster.get_logs(cluster=False, scheduler=False)
    waiting = {f"dask-worker@waiting-1.service on {host}" for host in ("worker1", "worker2")}
    stopped = "dask-worker@numeric-1.service on worker1"
    assert waiting | {stopped} == logs.keys() - cluster.scheduler_info["workers"].keys(), logs.keys()
    assert all("so it is on standby" in logs[name] for name in waiting), logs
    assert "Registered to" in logs[stopped] and "Stopped" in logs[stopped], logs[stopped]
"""
LOGS = """
    logs = cluster.get_logs()
    address = next(iter(cluster.scheduler_info["workers"]))
    client.run(lambda: print("printed by a program"), workers=[address])
    assert "printed by a program" in cluster.get_logs(cluster=False, scheduler=False, workers=[address])[address]
    assert "Started" in logs["Scheduler"] and "Registered to" not in logs["Scheduler"], logs["Scheduler"]
    assert all("Registered to" in logs[name] for name in cluster.scheduler_info["workers"]), logs
    addresses = {about["name"]: address for address, about in cluster.scheduler_info["workers"].items()}
    killed = addresses["worker1-waiting-1"]
    assert "status=9/KILL" in logs[killed] and "status=9/KILL" not in logs["Scheduler"], logs[killed]
"""
START = """
    future = client.submit(os.getpid, resources={"NETWORK": 1})
    cluster.adapt(minimum=0, pool="waiting")
    assert future.result(40)
    cluster.scale()
    cluster.wait_for_workers(6, timeout=40)
"""


def test_user_stops_and_starts_workers_of_a_pool(cluster, play):
    cluster.compute(CLUSTER + STOP)
    unit = "dask-worker@waiting-1"
    hosts = {name: cluster.host(name) for name in ("worker1", "worker2")}
    properties = "--property=ActiveState,StatusText,MemoryCurrent,NRestarts"

    def shown(host):
        return dict(
            line.split("=", 1) for line in host.check_output(f"systemctl show {properties} {unit}").splitlines()
        )

    for host in hosts.values():
        found = shown(host)
        assert found["ActiveState"] == "active" and found["StatusText"].startswith("On standby: tls://"), found
        assert int(found["MemoryCurrent"]) < 60e6, found
        assert "drained in" in host.check_output(f"journalctl --unit={unit} --output=cat")

    # Users can read the journals of services that do not run, also of a host where all workers wait or are stopped.
    hosts["worker1"].check_output("systemctl stop dask-worker@numeric-1")
    cluster.compute(CLUSTER + WAITING)
    hosts["worker1"].check_output("systemctl start dask-worker@numeric-1")

    # The workers stay on standby while the administrator restarts all services, also the scheduler.
    run = play("restart")
    assert run.returncode == 0, run.output
    assert "4 worker(s), 2 on standby, at" in run.output
    assert (
        "On standby, because a client has asked for fewer workers: worker1-waiting-1, worker2-waiting-1." in run.output
    )
    assert all(shown(host)["StatusText"].startswith("On standby") for host in hosts.values())

    cluster.compute(CLUSTER + START)
    assert play("status").returncode == 0


def test_user_reads_the_journals_of_all_services(cluster):
    """They have what a program prints and what systemd says, also about the processes before a restart."""
    host = cluster.host("worker1")
    pid = cluster.pids()["worker1-waiting-1"]
    host.check_output("systemctl kill --kill-who=main --signal=KILL dask-worker@waiting-1")
    cluster.wait_until(lambda: cluster.pids().get("worker1-waiting-1", pid) != pid, 60)
    cluster.compute(CLUSTER + LOGS)
    # Other accounts of the host cannot read them, and no program that ended is left.
    read = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/dask-worker-journal.sock')"
    attempt = host.run(f'runuser -u nobody -- /usr/bin/python3 -c "{read}"')
    assert attempt.rc != 0 and "Permission denied" in attempt.stderr
    assert not host.check_output("systemctl list-units --plain --no-legend 'dask-worker-journal@*'")
