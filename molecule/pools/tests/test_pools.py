# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several pools of workers on one host, each with its own placement, limits and settings."""

import json
import re
import subprocess

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import HEADROOM, system_reserve
from conftest import PYTHON

PLANNED = {
    "worker1-numeric-1", "worker1-waiting-1", "worker2-numeric-1", "worker2-waiting-1", "gpus-gpu-1", "gpus-gpu-2",
}  # fmt: skip


@pytest.fixture
def workers(cluster):
    """Wait for all workers and return the scheduler's data about each by name."""
    cluster.wait_until(lambda: {worker["name"] for worker in cluster.summary()["workers"]} == PLANNED, 60)
    return {worker["name"]: worker for worker in cluster.summary()["workers"]}


def units(host):
    """Return the main pid of each running worker by unit."""
    shown = host.check_output("systemctl show --property=Id,MainPID,ActiveState 'dask-worker@*'")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    return {block["Id"]: block["MainPID"] for block in blocks if block["ActiveState"] == "active"}


def test_each_pool_has_its_workers(cluster, workers):
    assert set(units(cluster.host("worker1"))) == {"dask-worker@numeric-1.service", "dask-worker@waiting-1.service"}
    assert {name: worker["nthreads"] for name, worker in workers.items()} == {
        "worker1-numeric-1": 1, "worker1-waiting-1": 4, "worker2-numeric-1": 1, "worker2-waiting-1": 2,
        "gpus-gpu-1": 1, "gpus-gpu-2": 1,
    }  # fmt: skip
    assert {name for name, worker in workers.items() if worker["nanny"]} == {"worker2-waiting-1"}
    assert {worker["memory_limit"] for name, worker in workers.items() if "gpu" not in name} == {400 * 2**20}


def test_pool_settings_override_host_settings(workers):
    resources = {
        name: {key: number for key, number in worker["resources"].items() if not key.startswith("release:")}
        for name, worker in workers.items()
    }
    # From the pool, from the host, and not set.
    assert resources["worker2-waiting-1"] == {"NETWORK": 2}
    assert resources["worker2-numeric-1"] == {"LICENSE": 1}
    assert resources["worker1-numeric-1"] == {}


def test_resources_select_workers(cluster):
    program = """
import os, time
from distributed import get_worker
def where(_):
    time.sleep(0.2)
    return get_worker().name, os.environ.get("ROLE")
waiting = client.map(where, range(12), resources={"NETWORK": 1}, pure=False)
licensed = client.map(where, range(3), resources={"LICENSE": 1}, pure=False)
print(sorted(set(client.gather(waiting))), set(client.gather(licensed)))
"""
    expected = [("worker1-waiting-1", "waits for others"), ("worker2-waiting-1", "waits for others")]
    assert cluster.compute(program).strip() == f"{expected} { ({('worker2-numeric-1', None)}) }"


def test_workers_use_their_cpus_and_scratch_directories(cluster):
    program = """
import os, json
def look(dask_worker):
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    return dask_worker.name, sorted(os.sched_getaffinity(0)), dask_worker.local_directory, gpu
print(json.dumps(list(client.run(look).values())))
"""
    found = {name: rest for name, *rest in json.loads(cluster.compute(program))}
    assert found["worker1-numeric-1"][0] == [1]
    assert len(found["worker1-waiting-1"][0]) > 1
    assert found["worker1-numeric-1"][1].startswith("/var/lib/dask/scratch/")
    assert found["worker1-waiting-1"][1].startswith("/var/lib/dask/waiting/")
    assert [found[f"gpus-gpu-{number}"][2] for number in (1, 2)] == ["0", "1"]
    assert found["worker1-numeric-1"][2] is None


def test_memory_of_a_task_is_limited_by_its_unit(cluster, workers):
    host = cluster.host("worker1")
    before, others = (
        units(host),
        {name: worker["pid"] for name, worker in workers.items() if "worker1-numeric" not in name},
    )
    program = """
from distributed import KilledWorker, wait
def eat():
    eaten = []
    while True:
        eaten.append(bytearray(b"x" * 2**24))
calm = client.map(lambda n: n ** 2, range(200), pure=False)
greedy = client.submit(eat, workers=["worker1-numeric-1"], allow_other_workers=False)
try:
    greedy.result(120)
except KilledWorker as error:
    print("killed", sum(client.gather(calm)))
"""
    assert cluster.compute(program, timeout=180).split() == ["killed", str(sum(n**2 for n in range(200)))]
    ends = host.check_output("journalctl --unit=dask-worker@numeric-1 --no-pager --output=cat")
    assert ends.count("code=killed, status=9/KILL") == 2
    cluster.wait_until(lambda: {worker["name"] for worker in cluster.summary()["workers"]} == PLANNED, 60)
    now = {worker["name"]: worker["pid"] for worker in cluster.summary()["workers"]}
    assert now["worker1-numeric-1"] != workers["worker1-numeric-1"]["pid"]
    assert {name: now[name] for name in others} == others
    assert units(host)["dask-worker@waiting-1.service"] == before["dask-worker@waiting-1.service"]


def test_memory_may_be_a_share_of_what_the_host_has(cluster, workers):
    host = cluster.host("gpus")
    total = int(host.check_output("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024
    limit = int(0.05 * (total - system_reserve(total)) / HEADROOM) // 2**20 * 2**20
    assert {workers[f"gpus-gpu-{number}"]["memory_limit"] for number in (1, 2)} == {limit}
    shown = host.check_output("systemctl show --property=MemoryMax --value dask-worker@gpu-1")
    assert int(shown) == pytest.approx(limit * HEADROOM, abs=4096)


def test_scheduler_has_its_limit_of_memory_and_arguments(cluster):
    host = cluster.host(cluster.scheduler)
    shown = host.check_output("systemctl show --property=MemoryMax,MainPID --value dask-scheduler").split()
    assert str(2**30) in shown
    pid = next(number for number in shown if number != str(2**30))
    assert "--no-jupyter" in host.check_output(f"tr '\\0' ' ' </proc/{pid}/cmdline")


def test_wrong_argument_of_the_scheduler_is_rejected_without_a_change(cluster, play):
    run = play("site", "--limit", "scheduler", "-e", json.dumps({"dask_scheduler_arguments": ["--jupiter"]}))
    assert run.returncode != 0
    assert "dask_scheduler_arguments: No such option '--jupiter'" in run.output
    assert cluster.summary()["scheduler"]["status"] == "running"


def test_failed_task_is_in_the_journal_and_counted(cluster):
    program = """
print(repr(client.submit(lambda: 1 / 0, key="boom", resources={"NETWORK": 1}, workers=["worker1-waiting-1"]).exception()))
"""
    assert "ZeroDivisionError" in cluster.compute(program)
    listed = "journalctl DASK_EVENT=task-error DASK_KEY=boom --output=json --no-pager"
    (entry,) = map(json.loads, cluster.host("worker1").check_output(listed).splitlines())
    assert entry["_SYSTEMD_UNIT"] == "dask-worker@waiting-1.service"
    assert entry["DASK_EXCEPTION"] == "ZeroDivisionError('division by zero')"
    assert entry["DASK_WORKER"] == "worker1-waiting-1"
    metrics = cluster.get("metrics", url=f"https://{cluster.variables['worker1']['ansible_host']}:8901").stdout
    assert 'dask_worker_task_errors_total{task_prefix_name="boom"} 1.0' in metrics


def test_external_worker_joins_with_the_scheduler_file(cluster, workers):
    """A batch job joins like this, with the scheduler's file and a worker certificate on a shared file system."""
    host = cluster.host(cluster.scheduler)
    assert json.loads(host.check_output("cat /srv/shared/scheduler.json"))["address"] == cluster.address
    for name in ("ca.pem", "worker.pem"):
        text = cluster.host("worker1").check_output(f"cat /opt/dask/tls/{name}")
        host.check_output(f"umask 077; cat > /srv/shared/{name} <<'END'\n{text}\nEND\n")
    host.check_output("chown ops: /srv/shared/*.pem")
    command = (
        f"{PYTHON} -m distributed.cli.dask_worker --scheduler-file /srv/shared/scheduler.json --name batch --nthreads 1 "
        "--memory-limit 300MiB --no-nanny --no-dashboard --tls-ca-file /srv/shared/ca.pem "
        "--tls-cert /srv/shared/worker.pem --tls-key /srv/shared/worker.pem"
    )
    host.check_output(f"systemd-run --quiet --unit=batch --uid=ops --working-directory=/tmp {command}")
    try:
        cluster.wait_until(lambda: "batch" in {worker["name"] for worker in cluster.summary()["workers"]}, 60)
        assert cluster.compute("print(client.submit(sum, [1, 2], workers=['batch']).result())").strip() == "3"
    finally:
        host.check_output("systemctl stop batch")
    cluster.wait_until(lambda: {worker["name"] for worker in cluster.summary()["workers"]} == PLANNED, 60)


def test_running_services_report_settings_and_drift(cluster, play, workers):
    def table():
        shown, status = play("show_configuration"), play("status", "--tags", "health")
        assert (shown.returncode, status.returncode) == (0, 0), shown.output + status.output
        return shown.output + status.output

    told = table()
    assert re.search(r"distributed\.worker\.memory\.spill +0\.7 +file +all services", told)
    assert re.search(r"worker1 dask-worker@waiting-1: --.* --nthreads 4 ", told)
    assert "DIFFERS FROM THE RELEASE" not in told and "is healthy" in told
    change = (
        "import dask\nprint(client.run(dask.config.set, {'distributed.worker.memory.spill': %s}, workers=['%s']) and 1)"
    )
    address = workers["worker1-numeric-1"]["address"]
    cluster.compute(change % (0.75, address))
    try:
        cluster.wait_until(lambda: any(worker["drift"] for worker in cluster.summary()["workers"]), 30)
        told = table()
        key = "distributed.worker.memory.spill"
        assert f"Settings differ from the configuration of the release: {key} on worker1-numeric-1." in re.sub(
            r"\s+", " ", told
        )
        assert re.search(rf"{key} +0\.75 +the process, DIFFERS FROM THE RELEASE +worker1 dask-worker@numeric-1", told)
    finally:
        cluster.compute(change % (0.7, address))


def test_scheduler_serves_pages_of_workers(cluster):
    address = cluster.variables["worker1"]["ansible_host"]
    assert "bokeh" in cluster.get(f"proxy/8901/{address}/status").stdout.lower()
    assert cluster.get(f"proxy/22/{address}/status").returncode != 0


def test_worker_stays_down_after_a_shutdown_request(cluster, play, workers):
    url = f"https://{cluster.variables['worker1']['ansible_host']}:8901/daskops/shutdown"
    authority = ["--cacert", str(cluster.certificates / "ca.pem")]
    command = ["curl", "-sf", *authority, "-X", "POST", "-H", "Authorization: Bearer a-token-of-the-tests", url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == '{"status": "draining"}'
    host = cluster.host("worker1")
    state = "systemctl show --property=ActiveState --value dask-worker@waiting-1"
    cluster.wait_until(lambda: host.run(state).stdout.strip() == "inactive", 60)
    assert "worker1-waiting-1" not in {worker["name"] for worker in cluster.summary()["workers"]}
    assert play("start").returncode == 0
    assert "worker1-waiting-1" in {worker["name"] for worker in cluster.summary()["workers"]}


def test_plan_is_shown_before_it_is_applied(cluster, play):
    # Simulate the files of NVIDIA's driver, so that the GPU is found and need not be declared.
    about = "Model: NVIDIA H100\nGPU UUID: GPU-simulated\n"
    directory = "/proc/driver/nvidia/gpus/0000:3b:00.0"
    host = cluster.host("gpus")
    host.check_output("mount -t tmpfs none /proc/driver")
    try:
        host.check_output(f"mkdir -p {directory} && printf '{about}' > {directory}/information")
        new = {"gpu": {"profile": "gpu"}, "python": {"profile": "python", "memory": "300MiB"}}
        run = play("show_plan", "--limit", "gpus,scheduler", "-e", json.dumps({"dask_worker_pools": new}))
        lines = [line.strip(' ",').split() for line in run.output.splitlines()]
        # Its control group has a quota of 1.5 CPUs.
        assert any(line[:3] == ["gpus", "2", "cores"] and line[6:10] == ["(2", "at", "a", "time)"] for line in lines)
        shown = {line[0]: line[1:] for line in lines if line and line[0].startswith("gpus-")}
        assert set(shown) == {"gpus-gpu-1", "gpus-python-1"}, run.output
        assert shown["gpus-gpu-1"][-2] == "0" and shown["gpus-python-1"][:3] == ["1", "300.0", "MiB"]
        assert not any(run.changed.values())
    finally:
        host.check_output("umount /proc/driver")


def test_pools_that_exceed_the_host_are_rejected_without_a_change(cluster, play, workers):
    new = {"a": {"count": 1, "threads": 4096}, "b": {"count": 1, "threads": 1}}
    run = play("site", "-e", json.dumps({"dask_worker_pools": new, "dask_worker_pool_overrides": {}}))
    assert run.returncode != 0
    assert "worker1: 1 worker(s) of 4096 thread(s) (a)" in run.output
    now = {worker["name"]: worker["pid"] for worker in cluster.summary()["workers"]}
    assert now == {name: worker["pid"] for name, worker in workers.items()}


def test_cluster_without_our_routes_is_managed(cluster, play, workers):
    off = {"dask_summary_route": False, "dask_worker_pages_route": False, "dask_shutdown_token": ""}
    run = play("site", "-e", json.dumps(off))
    assert run.returncode == 0 and "is healthy" in run.output, run.output
    address = cluster.variables["worker1"]["ansible_host"]
    for route in ("daskops/summary.json", f"proxy/8901/{address}/status"):
        assert cluster.get(route).returncode != 0
    assert cluster.get("health").stdout == "ok"
    run = play("site")
    assert run.returncode == 0, run.output


def test_changed_pool_restarts_only_its_workers(cluster, play, workers):
    """Also, a removed pool is drained and its files are removed."""
    host = cluster.host("worker1")
    before = units(host)
    hosts = ["--limit", "worker1"]
    change = {"waiting": {"threads": 3}}
    run = play("site", *hosts, "-e", json.dumps({"dask_worker_pool_overrides": change}))
    assert run.returncode == 0, run.output
    after = units(host)
    assert after["dask-worker@numeric-1.service"] == before["dask-worker@numeric-1.service"]
    assert after["dask-worker@waiting-1.service"] != before["dask-worker@waiting-1.service"]
    run = play("site", *hosts)
    assert run.returncode == 0, run.output
    assert {worker["name"]: worker["nthreads"] for worker in cluster.summary()["workers"]}["worker1-waiting-1"] == 4
