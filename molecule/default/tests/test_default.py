# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that site.yml created, checked on its hosts and from a client."""

import json
import os
import re
import subprocess

import pytest
import yaml
from conftest import INVENTORY, PROJECT, SCENARIO, without_checkout

COMPUTE = """
import dask.array as da
import numpy as np

x = np.arange(2000 * 2000).reshape(2000, 2000) / 1e6
d = da.arange(2000 * 2000, chunks=500_000).reshape(2000, 2000).rechunk(250) / 1e6
result = ((d + d.T) @ d).sum(axis=0)
tasks = len(result.__dask_graph__())
np.testing.assert_allclose(result.compute(), ((x + x.T) @ x).sum(axis=0))
print(tasks)
"""

CONNECT = """
import importlib.metadata, json
from distributed import Client
with Client(timeout=60) as client:
    print(client.security.require_encryption, client.submit(sum, [1, 2, 3]).result())
print(json.dumps({d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}))
"""


def test_unchanged_run_executes_one_command_on_each_worker_host(cluster, play):
    run = play("site")
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    print("remote commands of a run that changes nothing:", run.commands)
    assert all(run.commands[host] == 1 for host in cluster.workers)
    # The lock with host_info, and the health report.
    assert run.commands[cluster.scheduler] == 2


def test_limited_run_runs_on_that_host_only(cluster, play):
    name = cluster.workers[-1]
    run = play("site", "--limit", name)
    assert run.returncode == 0, run.output
    assert run.changed == {name: 0}
    assert "The cluster is healthy" in run.output


def test_services(cluster):
    units = {cluster.scheduler: ["dask-scheduler.service"]}
    units.update({name: ["dask-worker@1.service", "dask-workers.target"] for name in cluster.workers})
    for name, wanted in units.items():
        host = cluster.host(name)
        for unit in wanted:
            assert host.check_output(f"systemctl is-active {unit}") == "active"
        assert host.service(wanted[-1]).is_enabled
        # systemd-analyze verify prints nothing about correct units.
        assert host.run(f"systemd-analyze verify {' '.join(wanted)}").stderr == ""


def test_worker_unit_has_the_planned_settings(cluster):
    host = cluster.host(cluster.workers[0])
    names = "User,Type,Restart,WatchdogUSec,MemoryMax,LimitNOFILE,StartLimitIntervalUSec,Slice"
    shown = host.check_output(f"systemctl show --property={names} dask-worker@1.service")
    unit = dict(line.split("=", 1) for line in shown.splitlines())
    assert unit["User"] == "dask"
    assert unit["Type"] == "notify"
    assert unit["Restart"] == "always"
    assert unit["WatchdogUSec"] == "1min"
    assert unit["StartLimitIntervalUSec"] == "0"
    assert unit["LimitNOFILE"] == "65536"
    worker = next(w for w in cluster.summary()["workers"] if w["name"] == f"{cluster.workers[0]}-1")
    assert worker["memory_limit"] == 1024**3 < int(unit["MemoryMax"])


def test_user_and_files(cluster):
    for name in [cluster.scheduler, *cluster.workers]:
        host = cluster.host(name)
        assert host.user("dask").shell == "/usr/sbin/nologin"
        assert host.user("dask").uid < 1000
        kind = "scheduler" if name == cluster.scheduler else "worker"
        configuration = host.file(f"/opt/dask/current/{kind}/dask_configuration.yaml")
        assert configuration.contains("daskops_runtime")
        # Only root may change the files that services run.
        assert (
            host.check_output("find -L /opt/dask/current '(' ! -user root -o -perm /022 ')' ! -type l -print -quit")
            == ""
        )
        leftovers = "find /opt/dask /etc/systemd/system -name '.partial-*' -o -name '.unpacked-*' -o -name '*.new'"
        assert host.check_output(leftovers) == ""
    scratch = cluster.host(cluster.workers[0]).file("/var/lib/dask/scratch")
    assert (scratch.user, scratch.mode) == ("dask", 0o700)


def test_ports(cluster):
    """Each service listens only at its host's address. The dashboard also listens on the loopback address."""
    ports = {cluster.scheduler: [8786, 8787], **dict.fromkeys(cluster.workers, [8800, 8900])}
    for name in ports:
        sockets = cluster.host(name).check_output("ss --listening --tcp --numeric --no-header --processes")
        dask = {line.split()[3] for line in sockets.splitlines() if "python" in line}
        local = {"127.0.0.1:8787"} if name == cluster.scheduler else set()
        assert dask == local | {f"{cluster.variables[name]['ansible_host']}:{port}" for port in ports[name]}


def test_every_host_has_the_same_packages(cluster):
    listed = "cat /opt/dask/current/environment/environment.json"
    hosts = [cluster.scheduler, *cluster.workers]
    first, *others = (json.loads(cluster.host(name).check_output(listed)) for name in hosts)
    assert all({**other, "built": first["built"]} == first for other in others)
    assert {"dask", "distributed", "bokeh", "numpy", "pandas", "prometheus_client", "lz4", "cryptography"} <= {
        name.replace("-", "_") for name in first["packages"]
    }


def test_computation(cluster):
    tasks = int(cluster.compute(COMPUTE))
    assert tasks > 300


def test_dashboard_and_metrics_answer(cluster):
    for route, text in {"status": "Bokeh", "metrics": "dask_scheduler_workers", "health": "ok"}.items():
        assert text in cluster.get(route).stdout


def test_users_configuration_preloads_and_environment_variables(cluster, play, tmp_path):
    preload = tmp_path / "greeting.py"
    preload.write_text("def dask_setup(worker):\n    worker.greeting = 'hello'\n")
    variables = {
        "dask_config": {"distributed": {"worker": {"memory": {"target": 0.5, "spill": 0.6}}}},
        "dask_environment_variables": {"DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": 0.65, "GREETING": 'a "b" \\ $c'},
        "dask_worker_preloads": [str(preload)],
        "dask_worker_resources": {"GPU": 2, "FOO": 0.5},
    }
    run = play("site", "-e", json.dumps(variables))
    assert run.returncode == 0, run.output
    program = """
import json, os, dask
def look(dask_worker):
    memory = [dask.config.get(f"distributed.worker.memory.{key}") for key in ("target", "spill", "pause")]
    return [memory, os.environ["GREETING"], dask_worker.greeting, dask_worker.state.total_resources]
print(json.dumps(list(client.run(look).values())))
"""
    # An environment variable overrides the file, the file the collection's default, and that Dask's. The release is a
    # resource with one unit for each thread.
    worker = cluster.summary()["workers"][0]
    resources = {"GPU": 2.0, "FOO": 0.5, f"release:{worker['release'].split('.')[0]}": worker["nthreads"]}
    expected = [[0.5, 0.65, 0.8], 'a "b" \\ $c', "hello", resources]
    assert json.loads(cluster.compute(program)) == [expected] * len(cluster.workers)


def test_workers_with_a_nanny(cluster, play):
    nannies = {"dask_worker_nanny": True, "dask_worker_count": 2, "dask_worker_memory": "512MiB"}
    run = play("site", "-e", json.dumps({**nannies, "dask_serial": "100%"}))
    assert run.returncode == 0, run.output
    assert all(worker["nanny"] for worker in cluster.summary()["workers"])
    assert len(cluster.summary()["workers"]) == 2 * len(cluster.workers)
    assert int(cluster.compute(COMPUTE)) > 300
    # With one worker on each host again, the second unit and its files are removed.
    run = play("site", "-e", json.dumps({"dask_serial": "100%"}))
    assert run.returncode == 0, run.output
    assert cluster.is_whole()
    traces = "ls -d /etc/systemd/system/dask-worker@2*; systemctl list-units --all --no-legend 'dask-worker@2*'"
    assert cluster.host(cluster.workers[0]).run(traces).stdout == ""


def test_run_fails_when_the_cluster_is_not_whole(cluster, play):
    host = cluster.host(cluster.workers[0])
    # A drop-in with a long watchdog interval, so that the run sees the worker before systemd restarts it.
    drop_in = "/etc/systemd/system/dask-worker@1.service.d/patient.conf"
    host.check_output(f"mkdir -p $(dirname {drop_in}) && printf '[Service]\\nWatchdogSec=600\\n' > {drop_in}")
    host.check_output("systemctl daemon-reload && systemctl restart dask-worker@1")
    cluster.wait_until(cluster.is_whole, 60)
    host.check_output("systemctl kill --kill-whom=main --signal=STOP dask-worker@1")
    try:
        # The unit is active and the run has nothing to change: only the scheduler notices that the worker hangs.
        cluster.wait_until(lambda: max(w["heartbeat_age"] for w in cluster.summary()["workers"]) > 30, 45)
        run = play("site", "-e", "dask_health_timeout=1")
        assert run.returncode != 0
        assert f"Silent: {cluster.workers[0]}-1" in run.output, run.output
        assert not any(run.changed.values())
    finally:
        host.check_output("systemctl kill --kill-whom=main --signal=CONT dask-worker@1")
        host.check_output(f"rm {drop_in} && systemctl daemon-reload && systemctl restart dask-worker@1")
    cluster.wait_until(cluster.is_whole, 60)


def test_workers_join_an_external_scheduler(cluster, play, tmp_path):
    # For an inventory without its host, the cluster's scheduler is an external one.
    inventory = yaml.safe_load((SCENARIO / "hosts.yml").read_text())
    groups = inventory["all"]["children"]
    del groups["dask_scheduler"], groups["dask_clients"], groups["testbed"]["children"]["dask_scheduler"]
    inventory["all"]["vars"] = {
        "dask_scheduler_address": cluster.address,
        "dask_scheduler_platform": "windows",
        "dask_tls_certificates": "own",
    }
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(yaml.safe_dump(inventory))
    run = play("site", inventory=[INVENTORY[0], f"--inventory={hosts}"])
    assert run.returncode == 0, run.output
    assert set(run.changed) == set(cluster.workers) and not any(run.changed.values())
    assert f"The cluster is healthy: {len(cluster.workers)} worker(s) at {cluster.address}" in run.output
    assert f"Release {cluster.releases().popitem()[1]} on {len(cluster.workers)} worker(s)." in run.output


def test_user_with_uv_gets_the_same_packages_and_connects(cluster, play, tmp_path):
    """The user works on this machine, which is not part of the cluster; the group dask_clients is empty."""
    inventory = yaml.safe_load((SCENARIO / "hosts.yml").read_text())
    del inventory["all"]["children"]["dask_clients"]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    bundle = tmp_path / "bundle"
    run = play(
        "client", "-e", f"dask_client_directory={bundle}", inventory=[INVENTORY[0], f"--inventory={tmp_path}/hosts.yml"]
    )
    assert run.returncode == 0, run.output
    (command,) = re.findall(r"uv run --no-project --isolated --python \S+ --with-requirements \S+ python", run.output)
    done = subprocess.run(
        [*command.split(), "-c", CONNECT],
        env={**os.environ, "DASK_CONFIG": str(bundle)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result, packages = done.stdout.splitlines()
    assert result == "True 6"
    description = "cat /opt/dask/current/environment/environment.json"
    on_hosts = json.loads(cluster.host(cluster.scheduler).check_output(description))["packages"]
    assert json.loads(packages) == {**on_hosts, "daskops": "0.1.0"}  # services do not need this package


def test_run_with_the_installed_collection_changes_nothing(cluster, tmp_path):
    # The run must not find files of the checkout.
    environment = without_checkout(tmp_path / "collections")

    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True).stdout

    run("ansible-galaxy", "collection", "build", str(PROJECT), "--output-path", str(tmp_path))
    archive = str(next(tmp_path.glob("daskops-cluster-*.tar.gz")))
    # The dependencies are installed, and a Galaxy server may be unreachable.
    run("ansible-galaxy", "collection", "install", "--no-deps", archive, "-p", environment["ANSIBLE_COLLECTIONS_PATH"])
    output = run("ansible-playbook", *INVENTORY, "daskops.cluster.site", "--check", "--diff")
    assert "changed=0" in output and not re.search(r"changed=[1-9]", output), output


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_cluster_recovers_after_a_reboot(cluster, role):
    name = cluster.workers[0] if role == "worker" else cluster.scheduler
    before = cluster.summary()["scheduler"]["id"]
    subprocess.run(["docker", "restart", "--time", "60", cluster.container(name)], check=True, capture_output=True)
    seconds = cluster.wait_until(cluster.is_whole, 90)
    print(f"whole again {seconds:.1f} s after the {role} host's reboot")
    assert (cluster.summary()["scheduler"]["id"] != before) == (role == "scheduler")
    assert int(cluster.compute(COMPUTE)) > 300
