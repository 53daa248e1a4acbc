# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of hosts and processes, after which the cluster must recover without help."""

import re
import subprocess
import time

import pytest

# Longer than the detection of a fault by systemd's watchdog, 10 s here, and by Dask's timeouts.
WHOLE = 90
WATCHDOG = 10
# Time limit for the restart of a killed or hanging service.
RESTARTED = 3 * WATCHDOG
# Dask's worker-ttl: the time that a worker may be silent during a task.
TTL = 30
# systemd logs a missed watchdog message, or a request to abort a hanging process, to the journal.
MISSED = "journalctl --unit={unit} --since=@{since:.6f} --output=short-unix --grep='Watchdog (timeout|request)' -n 1 -q"

COMPUTE = """
numbers = range(200)
print(sum(client.gather(client.map(lambda number: number**2, numbers, pure=False), errors="raise")))
"""


@pytest.fixture(autouse=True)
def computes_afterwards(cluster):
    yield
    assert int(cluster.compute(COMPUTE)) == sum(number**2 for number in range(200))


@pytest.fixture
def victim(cluster):
    """Return the host that gets the fault, or whose first worker gets it."""
    return cluster.workers[0]


def main_pid(cluster, name, unit):
    return int(cluster.host(name).check_output(f"systemctl show --property=MainPID --value {unit}"))


def restarted(cluster, name, unit, pid):
    """Return whether a unit has another main process than ``pid`` and is active."""
    states = cluster.host(name).check_output(f"systemctl show --property=MainPID,ActiveState {unit}")
    return f"MainPID={pid}" not in states and "ActiveState=active" in states


def missed(cluster, name, unit, since):
    """Return the seconds from ``since`` until systemd noticed that a service hangs."""
    return float(cluster.host(name).check_output(MISSED.format(unit=unit, since=since)).split()[0]) - since


def failures(cluster, name):
    """Return how often the first worker of a host was restarted after a failure, from its metrics."""
    page = cluster.get("metrics", url=f"https://{cluster.in_url(name)}:8900").stdout
    return float(re.search(r'^daskops_restarts_total\{result="failure"\} (\S+)$', page, re.MULTILINE).group(1))


def docker(*arguments):
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


def test_scheduler_is_killed(cluster):
    seconds = []
    for dummy in range(3):
        before = cluster.summary()["scheduler"]["id"]
        pid = main_pid(cluster, cluster.scheduler, "dask-scheduler")
        host = cluster.host(cluster.scheduler)
        host.check_output(f"kill -9 {pid}")

        def back(before=before):
            return cluster.is_whole() and cluster.summary()["scheduler"]["id"] != before

        seconds.append(cluster.wait_until(back, WHOLE))
    print(f"all {len(cluster.pids())} workers are registered again after {min(seconds):.1f} to {max(seconds):.1f} s")


@pytest.mark.parametrize("signal", ["KILL", "STOP", "SEGV"])
def test_worker_is_killed_or_stopped(cluster, victim, signal):
    pid, before = main_pid(cluster, victim, "dask-worker@1"), failures(cluster, victim)
    # After the last computation, the worker counts as busy for a third of the watchdog interval.
    time.sleep(WATCHDOG / 2)
    since = time.time()
    cluster.host(victim).check_output(f"kill -{signal} {pid}")
    seconds = cluster.wait_until(lambda: restarted(cluster, victim, "dask-worker@1", pid), RESTARTED)
    cluster.wait_until(cluster.is_whole, WHOLE)
    print(f"{signal}: started again after {seconds:.1f} s")
    assert signal != "STOP" or missed(cluster, victim, "dask-worker@1", since) < 1.5 * WATCHDOG
    assert failures(cluster, victim) == before + 1


def test_scheduler_is_stopped(cluster):
    pid = main_pid(cluster, cluster.scheduler, "dask-scheduler")
    since = time.time()
    cluster.host(cluster.scheduler).check_output(f"kill -STOP {pid}")
    cluster.wait_until(lambda: restarted(cluster, cluster.scheduler, "dask-scheduler", pid), RESTARTED)
    assert missed(cluster, cluster.scheduler, "dask-scheduler", since) < 1.5 * WATCHDOG
    cluster.wait_until(cluster.is_whole, WHOLE)


@pytest.mark.parametrize("whose", ["scheduler", "worker"])
def test_event_loop_is_blocked(cluster, victim, whose):
    name, unit = (cluster.scheduler, "dask-scheduler") if whose == "scheduler" else (victim, "dask-worker@1")
    pid = main_pid(cluster, name, unit)
    block = "client.run_on_scheduler(block)" if whose == "scheduler" else "client.run(block, workers=[address])"
    client = cluster.start(f"""
import time
workers = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
(address,) = (address for address, worker in workers.items() if worker["name"] == "{victim}-1")
def block():
    time.sleep(600)
print(time.time(), flush=True)
{block}
""")
    try:
        since = float(client.stdout.readline())
        cluster.wait_until(lambda: restarted(cluster, name, unit, pid), RESTARTED)
    finally:
        client.kill()
        client.communicate()
    assert missed(cluster, name, unit, since) < 1.5 * WATCHDOG
    # The journal contains the stack of the hanging function.
    assert "in block" in cluster.host(name).check_output(f"journalctl --unit={unit} --output=cat --lines=300")
    cluster.wait_until(cluster.is_whole, WHOLE)


def test_worker_is_silent_while_it_runs_a_task(cluster):
    """Three cases at once: a task holds the GIL, a worker with such a task restarts, and a busy worker stops."""
    holding, draining, stopped = cluster.workers[:3]
    pids = {name: main_pid(cluster, name, "dask-worker@1") for name in (holding, draining, stopped)}
    client = cluster.start(f"""
import ctypes, time
def hold():
    ctypes.PyDLL(None).usleep({int(2.5 * WATCHDOG * 1e6)})
    return "held"
futures = [client.submit(hold, workers=[name], pure=False) for name in ("{holding}-1", "{draining}-1")]
stopped = client.submit(time.sleep, 600, workers=["{stopped}-1"])
wanted = lambda: sum(map(len, client.processing().values()))
while wanted() < 3:
    time.sleep(0.1)
time.sleep(1)
print("running", flush=True)
print(client.gather(futures))
stopped.cancel()
""")
    try:
        assert client.stdout.readline() == "running\n"
        since = time.time()
        cluster.host(stopped).check_output(f"kill -STOP {pids[stopped]}")
        cluster.host(draining).check_output("systemctl restart dask-worker@1")
        output, errors = client.communicate(timeout=WHOLE)
        assert output == "['held', 'held']\n", errors
    finally:
        client.kill()
    assert not cluster.host(holding).run(MISSED.format(unit="dask-worker@1", since=since)).stdout
    assert not cluster.host(draining).run(MISSED.format(unit="dask-worker@1", since=since)).stdout
    assert main_pid(cluster, holding, "dask-worker@1") == pids[holding]
    cluster.wait_until(lambda: restarted(cluster, stopped, "dask-worker@1", pids[stopped]), TTL + RESTARTED)
    assert TTL - WATCHDOG < missed(cluster, stopped, "dask-worker@1", since) < TTL + 1.5 * WATCHDOG
    cluster.wait_until(cluster.is_whole, WHOLE)


def test_client_restarts_a_worker(cluster, victim):
    """systemd restarts the worker instead of a nanny. Nanny plugins are rejected with a message."""
    pid = main_pid(cluster, victim, "dask-worker@1")
    output = cluster.compute(f"""
from distributed import Environ
print(client.restart_workers(["{victim}-1"], timeout=30))
try:
    client.register_plugin(Environ({{"GREETING": "hello"}}))
except RuntimeError as e:
    print(e)
""")
    answer, refusal = output.splitlines()
    assert answer == f"{{'{victim}-1': 'OK'}}"
    assert "dask_worker_nanny" in refusal
    assert restarted(cluster, victim, "dask-worker@1", pid)


def test_worker_takes_too_much_memory(cluster, victim):
    pid = main_pid(cluster, victim, "dask-worker@1")
    client = cluster.start(f"""
import time
def take():
    taken = bytearray(2 * 2**30)
    time.sleep(60)
future = client.submit(take, workers=["{victim}-1"])
time.sleep(8)
future.cancel()
time.sleep(2)
""")
    cluster.wait_until(lambda: restarted(cluster, victim, "dask-worker@1", pid), WHOLE)
    client.communicate(timeout=60)
    # MemoryMax kills the worker. Only with cgroup v2 systemd distinguishes this from another SIGKILL.
    assert "status=9/KILL" in cluster.host(victim).check_output(
        "journalctl --unit=dask-worker@1 --output=cat --lines=100"
    )
    # The host's other worker and other services are unaffected.
    assert restarted(cluster, victim, "dask-worker@2", 0)
    cluster.wait_until(cluster.is_whole, WHOLE)


def test_network_is_cut(cluster, victim):
    network, address = cluster.variables[victim]["testbed_name"], cluster.variables[victim]["ansible_host"]
    docker("network", "disconnect", network, cluster.container(victim))
    cluster.wait_until(lambda: not cluster.is_whole(), WHOLE)
    docker("network", "connect", "--ip", address, network, cluster.container(victim))
    cluster.wait_until(cluster.is_whole, 2 * WHOLE)


@pytest.mark.parametrize("whose", ["worker", "scheduler"])
def test_host_is_lost(cluster, victim, whose):
    name = victim if whose == "worker" else cluster.scheduler
    docker("kill", cluster.container(name))
    time.sleep(3)
    docker("start", cluster.container(name))
    cluster.wait_until(cluster.is_whole, 2 * WHOLE)
