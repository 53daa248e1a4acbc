# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the configuration only: they restart the affected services in batches and keep the environment."""

import json
import re
import shutil
import subprocess

import yaml
from conftest import INVENTORY, LOCK, PROJECT, without_checkout


def change(**variables):
    return ["--tags", "config", "-e", json.dumps(variables)]


WORKERS_ONLY = change(dask_worker_config={"distributed": {"worker": {"memory": {"target": 0.55}}}})


def environments(cluster):
    """Return the environments of each host with their creation times."""
    return {
        name: cluster.host(name).check_output("ls -l --time-style=full-iso /opt/dask/environments")
        for name in [cluster.scheduler, *cluster.workers]
    }


def test_hosts_have_only_ipv6_addresses(cluster, play):
    summary = cluster.summary()
    for name in [cluster.scheduler, *cluster.workers]:
        host, address = cluster.host(name), cluster.variables[name]["ansible_host"]
        assert host.check_output("ip -4 -brief address show dev eth0").split() == []
        rules = host.check_output("nft list table inet daskops")
        assert "ip6 saddr" in rules and "ip saddr" not in rules
        assert address in host.check_output("ss --no-header --listening --tcp --numeric | grep -E ':8(78|80|90)'")
    assert summary["scheduler"]["address"] == cluster.address
    assert {worker["address"] for worker in summary["workers"]} == {
        f"tls://{cluster.in_url(name)}:8800" for name in cluster.workers
    }
    # A page of a worker behind the scheduler, and data that moves between the workers.
    assert cluster.get(f"proxy/8900/{cluster.variables['worker1']['ansible_host']}/status").returncode == 0
    program = """
one, two = (client.submit(bytes, 100_000, workers=[f"worker{n}-1"], pure=False) for n in (1, 2))
print(client.submit(lambda a, b: len(a + b), one, two).result(), client.dashboard_link)
"""
    assert cluster.compute(program).split() == ["200000", f"{cluster.url}/status"]
    # The names of the hosts lead to their IPv6 addresses.
    run = play("site", "-e", "dask_scheduler_host=scheduler", "--check")
    assert run.returncode == 0, run.output


def test_worker_setting_restarts_only_workers(cluster, play, load):
    scheduler, before = cluster.summary()["scheduler"]["id"], environments(cluster)
    pids = cluster.pids()
    run = play("site", *WORKERS_ONLY)
    assert run.returncode == 0, run.output
    assert run.changed[cluster.scheduler] == 0
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert {name for name, pid in cluster.pids().items() if pid == pids[name]} == set()
    assert "Started or restarted: dask-worker@1 of worker1, dask-worker@1 of worker2." in run.output, run.output
    assert "TASK [daskops.cluster.environment" not in run.output
    assert environments(cluster) == before
    target = cluster.compute(
        "print(client.run(lambda: __import__('dask').config.get('distributed.worker.memory.target')))"
    )
    assert target.count("0.55") == len(cluster.workers)


def rejected(cluster, play, *arguments):
    """Run site.yml, assert that it fails without a change, and return its output."""
    listed = "readlink /opt/dask/current; ls /opt/dask/releases"
    hosts = [cluster.scheduler, *cluster.workers]
    before = {name: cluster.host(name).check_output(listed) for name in hosts}
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    run = play("site", *arguments)
    assert run.returncode != 0, run.output
    assert not any(run.changed.values())
    assert {name: cluster.host(name).check_output(listed) for name in hosts} == before
    assert (cluster.summary()["scheduler"]["id"], cluster.pids()) == (scheduler, pids)
    return run.output


def test_invalid_configuration_is_rejected(cluster, play):
    wrong = {
        "dask_config": {"distributed": {"comm": {"timeout": {"connect": "5s"}}}},
        "dask_environment_variables": {"DASK_DISTRIBUTED__COMM__SHARD": "canary"},
    }
    said = rejected(cluster, play, *change(**wrong))
    assert "dask_config: distributed.comm.timeout is not a setting of Dask" in said
    assert "distributed.comm.timeouts is." in said
    assert "dask_environment_variables: distributed.comm.shard is not a size" in said and "canary" not in said


def test_settings_that_stop_the_cluster_are_rejected(cluster, play):
    wrong = {
        "dask_config": {"distributed": {"comm": {"default-scheme": "tcp", "require-encryption": False}}},
        "dask_scheduler_config": {"distributed": {"admin": {"event-loop": "uvloop"}}},
    }
    said = rejected(cluster, play, *change(**wrong))
    own = "is set by daskops.cluster itself. Remove it, and use dask_tls instead."
    assert f"dask_config: distributed.comm.require-encryption {own}" in said
    assert (
        "dask_scheduler_config: distributed.admin.event-loop needs uvloop, which the environment does not have" in said
    )

    file = {"class": "logging.FileHandler", "filename": "/var/log/dask.log"}
    log = {"version": 1, "handlers": {"file": file}, "root": {"handlers": ["file"]}}
    bokeh = {"scheduler": {"dashboard": {"bokeh-application": {"use_index": True}}}}
    said = rejected(
        cluster, play, *change(dask_worker_config={"logging": log}, dask_scheduler_config={"distributed": bokeh})
    )
    assert "dask_worker_config: logging: the worker cannot set up its log with this value: PermissionError" in said
    assert "bokeh-application.use_index: the scheduler does not start with this value: TypeError" in said


def test_copied_defaults_of_dask_keep_encryption(cluster, play):
    site_packages = "/opt/dask/current/environment/lib/python3*/site-packages"
    pasted = {}
    for name in ("dask", "distributed"):
        pasted.update(
            yaml.safe_load(cluster.host(cluster.scheduler).check_output(f"cat {site_packages}/{name}/{name}.yaml"))
        )
    run = play("site", *change(dask_config=pasted), "--check", "--diff")
    assert run.returncode == 0, run.output
    assert "dask_config repeats Dask's defaults for" in " ".join(run.output.split())
    assert "require-encryption: null" not in run.output and "default-scheme: tcp" not in run.output


def test_preload_that_cannot_be_imported_is_rejected(cluster, play, tmp_path):
    preload = tmp_path / "greeting.py"
    # The check imports it as the services' user.
    preload.write_text("import getpass\nraise RuntimeError(f'{getpass.getuser()} misses a library')\n")
    said = rejected(cluster, play, *change(dask_worker_preloads=[str(preload)]))
    assert "The worker's preload module greeting cannot be imported: RuntimeError: dask misses a library." in said


def with_lines(*lines):
    """Return the change of `WORKERS_ONLY` with lines of shell before every service."""
    return change(**json.loads(WORKERS_ONLY[-1]), dask_environment_setup=list(lines))


WHO = "lambda: (__import__('os').environ['LOADED'], __import__('os').getpid())"


def test_lines_of_shell_run_before_every_service(cluster, play):
    lines = ['module() { export LOADED="$1 by $(id -un)"; }', "module gdal/3.8"]
    run = play("site", *with_lines(*lines), "-e", "dask_serial=100%")
    assert run.returncode == 0, run.output
    found = cluster.compute(f"print(client.run({WHO}), client.run_on_scheduler({WHO}))")
    assert found.count("gdal/3.8 by dask") == 1 + len(cluster.workers)
    # systemd knows the interpreter as the main process, which sends READY and feeds the watchdog.
    shown = cluster.host(cluster.scheduler).check_output("systemctl show --property=MainPID --value dask-scheduler")
    assert f", {shown})" in found
    pids = cluster.pids()
    run = play("site", *with_lines(*lines), "-e", "dask_serial=100%")
    assert run.returncode == 0, run.output
    assert not any(run.changed.values()) and cluster.pids() == pids


def test_line_of_shell_that_fails_is_rejected(cluster, play):
    lines = with_lines("true", "echo no such library; ls /does-not-exist")
    said = rejected(cluster, play, *lines)
    assert "dask_environment_setup: line 2 (echo no such library; ls /does-not-exist) ended with status 2" in said
    assert "Its output: no such library" in said
    # It works outside of the sandbox of services only, so the trial finds it.
    for name in [cluster.scheduler, *cluster.workers]:
        cluster.host(name).check_output("install -d /home/shared && echo export LOADED=1 >/home/shared/vars.sh")
    pids = cluster.pids()
    run = play("site", *with_lines("source /home/shared/vars.sh"), trial=True)
    assert run.returncode != 0
    assert "The probable cause is the variable dask_environment_setup (line 1). Change it." in run.output
    assert cluster.pids() == pids


SHARED = "/srv/shared/env"
SITE = f"{SHARED}/lib/python3*/site-packages"
# A virtual environment with the packages of the environment that the host runs.
MAKE_SHARED = f"""
set -e
lib=$(echo $(readlink -f /opt/dask/current/environment)/lib/python3*/site-packages)
mkdir -p {SHARED}
python3 -m venv --without-pip {SHARED}
echo $lib >$(echo {SITE})/packages.pth
"""


def add_package(version):
    """Return the command that puts a package into the shared environment; it has no modules."""
    text = f"Metadata-Version: 2.1\\nName: addition\\nVersion: {version}\\n"
    package = f"addition-{version}.dist-info"
    return f"cd {SITE} && rm -rf addition-* && mkdir {package} && printf '{text}' >{package}/METADATA"


def everywhere(cluster, command):
    """Run a command on all hosts as root, and return the outputs."""
    return [cluster.host(name).check_output(command) for name in [cluster.scheduler, *cluster.workers]]


def test_environment_that_hosts_have(cluster, play):
    everywhere(cluster, MAKE_SHARED)
    everywhere(cluster, add_package(1))
    shared = change(**json.loads(WORKERS_ONLY[-1]), dask_environment_path=SHARED, dask_serial="100%")[2:]
    before = everywhere(cluster, f"find {SHARED} -printf '%p %u %m %T@\\n' | sort | sha256sum")
    run = play("site", *shared)
    assert run.returncode == 0, run.output
    prefixes = cluster.compute(
        "print(client.run(lambda: (__import__('sys').prefix, __import__('os').getenv('LOADED'))))"
    )
    assert prefixes.count(f"('{SHARED}', None)") == len(cluster.workers)
    # Root ran nothing of it, and nothing was written there.
    assert everywhere(cluster, f"find {SHARED} -printf '%p %u %m %T@\\n' | sort | sha256sum") == before
    assert everywhere(cluster, "ls /opt/dask/current/environment/")[0].split() == [
        "environment.json", "fastjsonschema.whl", "prefix", "sbom.cdx.json"
    ]  # fmt: skip
    pids = cluster.pids()
    run = play("site", *shared)
    assert run.returncode == 0 and not any(run.changed.values()) and cluster.pids() == pids
    report = play("status", *shared)
    assert report.returncode == 0 and f", path {SHARED}." in report.output and "degraded" not in report.output


def test_changed_packages_are_reported_and_restart_services(cluster, play, load):
    shared = change(**json.loads(WORKERS_ONLY[-1]), dask_environment_path=SHARED)[2:]
    pids = cluster.pids()
    everywhere(cluster, add_package(2))
    report = play("status", *shared)
    said = " ".join(report.output.split())
    assert report.returncode == 0, report.output
    assert (
        f"The environment {SHARED} has other packages than the services were started with: addition 2 (was 1)" in said
    )
    assert "The cluster is degraded" in said and cluster.pids() == pids
    # The hosts must agree.
    cluster.host(cluster.workers[1]).check_output(add_package(3))
    run = play("site", *shared)
    assert run.returncode != 0 and not any(run.changed.values())
    assert (
        f"{cluster.workers[1]}: dask_environment_path ({SHARED}) has other packages than on the other hosts"
        in run.output
    )
    assert "addition 3 (others: 2)" in run.output
    cluster.host(cluster.workers[1]).check_output(add_package(2))
    run = play("site", *shared, "-e", "dask_scheduler_idle_timeout=1")
    assert run.returncode == 0, run.output
    assert {name for name, pid in cluster.pids().items() if pid == pids[name]} == set()


def test_changed_packages_prevent_a_rollback(cluster, play):
    shared = change(**json.loads(WORKERS_ONLY[-1]), dask_environment_path=SHARED)[2:]
    pids = cluster.pids()
    run = play("rollback", *shared)
    assert run.returncode != 0 and not any(run.changed.values()) and cluster.pids() == pids
    assert "the packages of the previous release were changed in their directory" in " ".join(run.output.split())


def test_unsafe_environment_is_rejected(cluster, play):
    host = cluster.host(cluster.workers[0])
    host.check_output(f"chown dask {SHARED}/lib")
    said = rejected(cluster, play, *change(**json.loads(WORKERS_ONLY[-1]), dask_environment_path=SHARED)[2:])
    assert (
        f"{cluster.workers[0]}: dask_environment_path ({SHARED}) is not safe: dask_user can change {SHARED}/lib" in said
    )
    host.check_output(f"chown root {SHARED}/lib")
    run = play("site", *WORKERS_ONLY[2:], "-e", "dask_serial=100%")
    assert run.returncode == 0, run.output
    # Nothing of the collection removes it.
    everywhere(cluster, f"test -e {SHARED}/bin/python3 && rm -r {SHARED}")


def test_scheduler_setting_restarts_only_the_scheduler(cluster, play):
    scheduler = cluster.summary()["scheduler"]["id"]
    variables = json.loads(WORKERS_ONLY[-1])
    run = play(
        "site", *change(**variables, dask_scheduler_config={"distributed": {"scheduler": {"allowed-failures": 12}}})
    )
    assert run.returncode == 0, run.output
    assert cluster.summary()["scheduler"]["id"] != scheduler
    assert {name: number for name, number in run.changed.items() if number and name != cluster.scheduler} == {}


def test_comment_restarts_nothing(cluster, tmp_path):
    # A later version of the collection that differs only in a comment.
    later = tmp_path / "ansible_collections/daskops/cluster"
    for name in ("roles", "plugins", "playbooks", "meta"):
        shutil.copytree(PROJECT / name, later / name)
    path = later / "roles/config/templates/environment.j2"
    path.write_text("# One comment more.\n" + path.read_text())
    # The configuration begins with this comment.
    path = later / "plugins/plugin_utils/cluster/rendering.py"
    header = 'HEADER = "# '
    assert header in path.read_text()
    path.write_text(path.read_text().replace(header, 'HEADER = "# One comment more.\\n# '))
    variables = json.loads(WORKERS_ONLY[-1])
    variables["dask_scheduler_config"] = {"distributed": {"scheduler": {"allowed-failures": 12}}}
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    done = subprocess.run(
        ["ansible-playbook", *INVENTORY, "daskops.cluster.site", *change(**variables)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=without_checkout(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in [cluster.scheduler, *cluster.workers]:
        assert "One comment more" in cluster.host(name).check_output("cat /opt/dask/current/services/*.env")
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert cluster.pids() == pids


def test_worker_started_with_another_unit_is_restarted(cluster, play):
    name = cluster.workers[0]
    host = cluster.host(name)
    host.check_output("sed -i 's/^LimitNOFILE=.*/LimitNOFILE=1000/' '/etc/systemd/system/dask-worker@.service'")
    host.check_output("systemctl daemon-reload && systemctl restart dask-worker@1")
    cluster.wait_until(cluster.is_whole, 30)
    pids = cluster.pids()
    run = play("start")
    assert run.returncode == 0, run.output
    assert {host for host, number in run.changed.items() if number} == {name}
    assert {worker for worker, pid in cluster.pids().items() if pid != pids[worker]} == {f"{name}-1"}
    assert host.check_output("systemctl show --property=LimitNOFILE --value dask-worker@1") == "65536"


def test_missing_environment_is_rejected(cluster, play, tmp_path):
    before, pids = environments(cluster), cluster.pids()
    lock = tmp_path / "lock.txt"
    lock.write_text(re.sub(r"^lz4==.*\n(    --hash.*\n)+", "", LOCK.read_text(), flags=re.MULTILINE))
    run = play("site", "--tags", "config", "-e", f"dask_environment_lock={lock}")
    assert run.returncode != 0
    assert "is not on this host" in run.output and "--tags environment" in run.output
    assert environments(cluster) == before
    assert cluster.pids() == pids


def history(host):
    return json.loads(host.check_output("cat /opt/dask/history.json"))


def test_old_releases_are_removed_and_those_in_use_kept(cluster, play):
    host = cluster.host(cluster.workers[0])
    config = {"distributed": {"scheduler": {"allowed-failures": 23}}}
    run = play("site", *change(dask_config=config, dask_serial="100%"))
    assert run.returncode == 0, run.output
    # The tests before have made more releases.
    releases = host.check_output("ls /opt/dask/releases").split()
    current = host.check_output("basename $(readlink -f /opt/dask/current)")
    previous = history(host)["releases"][current]["previous"]
    assert len(releases) <= 3 and {current, previous} <= set(releases)
    environment = host.check_output("readlink -f /opt/dask/current/environment")
    assert host.check_output("ls /opt/dask/environments") == environment.rsplit("/", 1)[1]


# Converts a host to the state of an earlier version, which stored it in times, links and rendered files.
EARLIER = """
import json, os, pathlib
home = pathlib.Path("/opt/dask")
history = json.loads((home / "history.json").read_text())
for name, about in history["releases"].items():
    release = home / "releases" / name
    manifest = json.loads((release / "manifest.json").read_text())
    manifest = {key: manifest[key] for key in ("id", "environment", "services", "files")}
    (release / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + chr(10))
    os.utime(release / "manifest.json", (about["staged"], about["staged"]))
    for use in ("served", "tried"):
        for kind in about[use]:
            (release / f"{use}-{kind}").symlink_to("manifest.json")
    if about["previous"]:
        (release / "previous").symlink_to(f"../{about['previous']}")
(home / "history.json").unlink()
"""


def test_hosts_of_an_earlier_version_are_taken_over_without_a_restart(cluster, play):
    def histories():
        found = {name: history(cluster.host(name))["releases"] for name in [cluster.scheduler, *cluster.workers]}
        return {
            name: {
                release: (about["staged"], about["previous"], sorted(about["served"]), sorted(about["tried"]))
                for release, about in releases.items()
            }
            for name, releases in found.items()
        }

    before, scheduler, pids = histories(), cluster.summary()["scheduler"]["id"], cluster.pids()
    for name in before:
        cluster.host(name).check_output("python3 -c %s", EARLIER)
    config = {"distributed": {"scheduler": {"allowed-failures": 23}}}
    for _run in range(2):
        run = play("site", *change(dask_config=config, dask_serial="100%"))
        assert run.returncode == 0, run.output
        assert histories() == before
        assert (cluster.summary()["scheduler"]["id"], cluster.pids()) == (scheduler, pids)
    assert not any(run.changed.values())


PREFIX = ["-e", json.dumps({"dask_dashboard_prefix": "/sites/dask"})]


def test_dashboard_below_a_path(cluster, play):
    """A scheduler for a reverse proxy that serves other sites, too."""
    assert "add -e dask_scheduler_restart=now" in rejected(cluster, play, *PREFIX)
    pids, now = cluster.pids(), ["-e", "dask_scheduler_restart=now"]
    run = play("site", *PREFIX, *now)
    assert run.returncode == 0, run.output
    assert f"dashboard at {cluster.url}/sites/dask/status." in run.output
    assert cluster.get("daskops/summary.json").returncode != 0 and cluster.get("status").returncode != 0
    summary = json.loads(cluster.get("sites/dask/daskops/summary.json").stdout)
    assert cluster.pids(summary).keys() == pids.keys()
    assert all(worker["status"] == "running" for worker in summary["workers"])
    # The page of a worker, with its script, and a redirection to the dashboard.
    host, port = summary["workers"][0]["host"], summary["workers"][0]["dashboard_port"]
    page = cluster.get(f"sites/dask/proxy/{port}/{host}/status").stdout
    (script, *_) = re.findall(r'src="([^"]*bokeh.min.js[^"]*)"', page)
    assert len(cluster.get(f"sites/dask/proxy/{port}/{host}/{script}").stdout) > 10_000
    to = subprocess.run(
        ["curl", "-sk", "-o/dev/null", "-w%{redirect_url}", cluster.url], capture_output=True, text=True
    )
    assert to.stdout == f"{cluster.url}/sites/dask/status"
    # Other playbooks and clients follow.
    assert play("client", *PREFIX).returncode == 0
    assert cluster.compute("print(client.dashboard_link)").strip() == f"{cluster.url}/sites/dask/status"
    run = play("site", *PREFIX)
    assert run.returncode == 0 and not any(run.changed.values()), run.output
