# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes during a computation, which must not lose results or data, cause errors, or repeat tasks."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

# Runs a task on each release and prints the worker and the version of a package there.
WHERE = """
def where():
    import lz4
    from distributed import get_worker
    return get_worker().name, lz4.__version__

for release in %s:
    future = client.submit(where, resources={"release:" + release: 1}, pure=False)
    print(release, *future.result(timeout=60))
"""


def test_restart_by_hand(cluster, load):
    for name in cluster.workers[:2]:
        host = cluster.host(name)
        host.check_output("systemctl restart dask-worker@1")
        assert "drained" in host.check_output("journalctl --unit=dask-worker@1 --output=cat --lines=200")
        cluster.wait_until(cluster.is_whole, 30)


def test_rolling_change_of_packages(cluster, play, load, lock):
    scheduler = cluster.summary()["scheduler"]["id"]
    before = cluster.releases()
    change = ["-e", f"dask_environment_lock={lock}", "-e", "dask_release_label=v2.0"]
    process = play.start("upgrade", *change, "-e", "dask_scheduler_idle_timeout=1")

    def side_by_side():
        return len(cluster.releases()) == len(before) and len(set(cluster.releases().values())) == 2

    try:
        # A second run fails and names the first one. Runs without changes are not blocked.
        locked = cluster.host(cluster.scheduler).file("/run/daskops/holder.json")
        cluster.wait_until(lambda: locked.exists, 60)
        other = play(
            "site", "-e", json.dumps({"dask_config": {"array": {"chunk-size": "64MiB"}}, "dask_lock_timeout": 0})
        )
        assert other.returncode != 0
        assert "Another run is changing this cluster: " in other.output, other.output
        assert "runs 'ansible-playbook upgrade.yml' since " in other.output
        assert not any(other.changed.values())
        look = play("site", "--check")
        assert look.returncode == 0, look.output
        # While old and new workers run, a client selects workers by release.
        cluster.wait_until(side_by_side, 180)
        first = cluster.releases()[f"{cluster.workers[0]}-1"]
        assert first not in before.values()
        lines = cluster.compute(WHERE % [first, "v2.0"], mixed=True).splitlines()
    finally:
        run = play.finish(process)
    assert run.returncode == 0, run.output
    for line, expected in zip(lines, [first, "v2.0"], strict=True):
        release, name, version = line.split()
        assert release == expected and name.split("-")[0] in cluster.workers and version == "4.4.4"
    # After the run, the report and the table of versions name the label.
    assert f"Release {first} (v2.0) on {len(before)} worker(s)." in run.output, run.output
    assert f"Release {first} (v2.0) on {', '.join(cluster.workers)}." in play("status").output
    # The scheduler has work, so it is not restarted and reported as pending.
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert "The scheduler is pending" in run.output
    assert cluster.is_whole()
    assert set(cluster.releases().values()) == {first}


def test_other_playbooks_report_the_pending_scheduler(cluster, play):
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    for playbook in ("status", "start"):
        run = play(playbook)
        assert run.returncode == 0, run.output
        assert "The scheduler is pending" in run.output
        assert not any(run.changed.values())
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert cluster.pids() == pids


def test_workers_change_while_the_scheduler_is_pending(cluster, play, lock):
    scheduler, pids = cluster.summary()["scheduler"]["id"], cluster.pids()
    # Neither run restarts the scheduler. The second one does not include its host.
    for target, limit in ((0.55, ["--tags", "worker"]), (0.56, ["--limit", cluster.workers[0]])):
        change = {"dask_worker_config": {"distributed": {"worker": {"memory": {"target": target}}}}}
        variables = {**change, "dask_environment_lock": str(lock), "dask_serial": "100%"}
        run = play("site", *limit, "-e", json.dumps(variables))
        assert run.returncode == 0, run.output
        assert "The scheduler is pending" in run.output
        # The report warns only about hosts of different changes.
        look = play("status")
        assert look.returncode == 0 and ("releases of different changes: " in look.output) == ("--limit" in limit)
        changed = {name for name, pid in cluster.pids().items() if pid != pids[name]}
        assert changed == ({f"{cluster.workers[0]}-1"} if "--limit" in limit else set(pids))
        pids = cluster.pids()
    assert cluster.summary()["scheduler"]["id"] == scheduler


def test_next_run_restarts_the_pending_scheduler_as_predicted(cluster, play):
    # The cluster is idle. Return to the default lock.
    scheduler = cluster.summary()["scheduler"]["id"]
    config = {"distributed": {"scheduler": {"allowed-failures": 11}}}
    change = ["-e", json.dumps({"dask_config": config, "dask_serial": "100%"})]
    predicted = play("upgrade", "--check", "--diff", *change)
    assert predicted.returncode == 0, predicted.output
    assert cluster.summary()["scheduler"]["id"] == scheduler
    run = play("upgrade", *change)
    assert run.returncode == 0, run.output
    assert run.changed == predicted.changed and all(run.changed.values())
    assert cluster.summary()["scheduler"]["id"] != scheduler
    assert "pending" not in run.output.split("Check the cluster's health")[1]


def test_rolling_change_to_a_packed_environment_and_back(cluster, play, load, packed):
    scheduler, before = cluster.summary()["scheduler"]["id"], cluster.releases()
    # An environment of conda has its own Python, so hosts need none.
    settings = {
        "dask_scheduler_idle_timeout": 1,
        "dask_config": {"distributed": {"scheduler": {"allowed-failures": 11}}},
    }
    change = ["-e", json.dumps({**packed, **settings, "dask_python": "/usr/bin/none"})]
    look = play("upgrade", "--check", "--diff", *change)
    assert look.returncode == 0, look.output
    assert "-bokeh==" in look.output and cluster.releases() == before
    run = play("upgrade", *change)
    assert run.returncode == 0, run.output
    after = cluster.releases()
    assert len(set(after.values())) == 1 and not set(after.values()) & set(before.values())
    assert (
        "The environment has no bokeh: the dashboard has no pages. Add bokeh to dask_environment_archive." in run.output
    )
    again = play("upgrade", *change)
    assert again.returncode == 0 and not any(again.changed.values()), again.output
    host = cluster.host(cluster.workers[0])
    environment = host.check_output("readlink -f /opt/dask/current/environment")
    prefixes = cluster.compute("print(set(client.run(lambda: __import__('sys').prefix).values()))", mixed=True)
    assert prefixes.strip() == str({environment})
    # Root owns the files, and other users cannot change them. No file has the prefix of the packed environment.
    assert host.check_output(f"find {environment} ! -user root -o ! -type l -perm /7022") == ""
    assert host.check_output(f"cat {environment}/etc/a.conf") == f"home = {environment}/share"
    bill = json.loads(host.check_output(f"cat {environment}/sbom.cdx.json"))
    assert "pkg:conda/liba@1.0?build=0&channel=conda-forge&subdir=linux-64" in [
        one["purl"] for one in bill["components"]
    ]
    report = play("status", "--tags", "versions", *change)
    assert f", archive {packed['dask_environment_archive_sha256']}." in report.output
    # Users get the list of packages.
    assert play("client", *change).returncode == 0
    user = cluster.variables[cluster.scheduler]["ansible_user"]
    text = cluster.host(cluster.scheduler).check_output(f"cat ~{user}/.config/dask/daskops-environment.txt")
    assert packed["dask_environment_archive_sha256"] in text and "--hash" not in text and "\ndistributed==" in text
    # A rollback needs no archive.
    run = play("rollback")
    assert run.returncode == 0, run.output
    assert cluster.releases() == before
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert "bokeh" in cluster.compute("import sys, bokeh; print(bokeh.__name__)")
    assert play("client").returncode == 0
    # The rollback keeps the environment, and a run with other variables than those of before goes on from there.
    assert host.file(environment).exists


def test_unusable_archive_is_rejected(cluster, play, packed, tmp_path):
    pids = cluster.pids()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(Path(packed["dask_environment_archive"]).read_bytes()[:1000])
    run = play("upgrade", "-e", json.dumps({**packed, "dask_environment_archive": str(cut)}))
    assert run.returncode != 0 and "or was damaged or truncated on its way" in " ".join(run.output.split()), run.output
    assert not any(run.changed.values())
    assert cluster.pids() == pids


def test_interrupted_run_is_continued(cluster, play, load, lock):
    change = ["-e", f"dask_environment_lock={lock}", "-e", "dask_scheduler_idle_timeout=1"]
    before = cluster.releases()
    process = play.start("upgrade", *change)
    cluster.wait_until(lambda: len(set(cluster.releases().values())) == 2, 180)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    # Also reboot the host that was changing.
    subprocess.run(["docker", "restart", "--time", "60", cluster.container(cluster.workers[1])], check=True)
    cluster.wait_until(cluster.is_whole, 90)
    pids, between = cluster.pids(), cluster.releases()
    done = {name for name in before if between[name] != before[name]}
    assert done and done != set(before)
    run = play("upgrade", *change)
    assert run.returncode == 0, run.output
    after = cluster.releases()
    assert set(after.values()) == {between[name] for name in done}
    assert {name for name, pid in cluster.pids().items() if pid == pids[name]} == done


# Calls a function of a shared module, which the task's function names, and writes a file for a group.
SHARED = """
import sys
sys.path.append("/srv/shared/code")
import shared

def write():
    with open("/srv/shared/results/answer", "w") as file:
        file.write("42")
    return open("/srv/shared/results/answer").read()

print(client.submit(shared.double, 21).result(timeout=60), client.submit(write, pure=False).result(timeout=60))
"""


def test_services_share_files_and_code_with_people(cluster, play):
    hosts = [cluster.host(name) for name in (cluster.scheduler, *cluster.workers)]
    change = {
        "dask_user_groups": ["analysts"],
        "dask_umask": "0002",
        "dask_worker_paths": ["/srv/shared/results"],
        "dask_worker_import_paths": ["/srv/shared/code"],
        "dask_scheduler_import_paths": ["/srv/shared/code"],
        "dask_serial": "100%",
    }
    pids = cluster.pids()
    run = play("site", "-e", json.dumps({**change, "dask_worker_paths": []}))
    assert run.returncode != 0
    for name in (cluster.scheduler, *cluster.workers):
        assert f"{name} has no group analysts, which is in dask_user_groups" in run.output, run.output
    assert (
        "dask_worker_import_paths has /srv/shared/code, which is not a directory that dask_user can read" in run.output
    )
    try:
        for host in hosts:
            host.check_output("groupadd --force analysts && mkdir -p /srv/shared/code /srv/shared/results")
            host.check_output("echo 'def double(number): return 2 * number' > /srv/shared/code/shared.py")
            host.check_output("chgrp analysts /srv/shared/* && chmod 2770 /srv/shared/results")
            host.check_output("chmod 2775 /srv/shared/code")
        run = play("site", "-e", json.dumps(change))
        assert run.returncode != 0
        # Tasks have the rights of the group, so they could leave code there.
        assert "dask_user can change /srv/shared/code, so a task could write code there" in run.output, run.output
        assert cluster.pids() == pids
        for host in hosts:
            host.check_output("chmod 0755 /srv/shared/code")
        run = play("site", "-e", json.dumps(change))
        assert run.returncode == 0, run.output
        assert cluster.compute(SHARED) == "42 42\n"
        (written,) = (host for host in hosts if host.file("/srv/shared/results/answer").exists)
        answer = written.file("/srv/shared/results/answer")
        assert (answer.user, answer.group, answer.mode) == ("dask", "analysts", 0o664)
    finally:
        run = play("site", "-e", "dask_serial=100%")
        for host in hosts:
            host.check_output("rm -rf /srv/shared && groupdel --force analysts")
    assert run.returncode == 0, run.output


PROJECT = """
[project]
name = "analysis"
version = "1.0"
dependencies = ["numpy>=1"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
packages = ["src/analysis"]
"""

# Tasks import the application of their worker.
ANSWERS = """
def answer():
    import analysis
    return analysis.answer()

for label in %s:
    print(label, client.submit(answer, resources={"release:" + label: 1}, pure=False).result(timeout=60))
"""

# The scheduler and the workers import the function that the task names.
BY_NAME = """
import sys
sys.path.append("/opt/dask/current/application/modules")
import analysis
print(analysis.answer(), client.submit(analysis.answer, pure=False).result(timeout=60), client.run(analysis.setting))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a function that changes a project and returns the variables of a run."""
    directory = tmp_path_factory.mktemp("repository")
    (directory / "src/analysis").mkdir(parents=True)
    (directory / "pyproject.toml").write_text(PROJECT)
    (directory / "src/analysis/monitor.py").write_text(
        "import os\n\ndef dask_setup(worker):\n    os.environ['ANALYSIS_MONITOR'] = 'on'\n"
    )

    def change(answer, **variables):
        (directory / "src/analysis/__init__.py").write_text(
            f"import os\n\ndef answer():\n    return {answer}\n\n"
            "def setting():\n    return os.environ.get('ANALYSIS_MONITOR')\n"
        )
        about = {"dask_application": [str(directory)], "dask_worker_preloads": ["analysis.monitor"], **variables}
        return ["-e", json.dumps({"dask_release_label": f"v{answer}", **about})]

    return change


def test_application_is_installed(cluster, play, project):
    run = play("site", *project(1, dask_serial="100%"))
    assert run.returncode == 0, run.output
    found = cluster.compute(BY_NAME).split(" ", 2)
    assert found[:2] == ["1", "1"] and found[2].count("'on'") == len(cluster.workers)
    # The same content is not built or installed again.
    pids = cluster.pids()
    run = play("site", *project(1, dask_serial="100%"))
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    assert cluster.pids() == pids
    for name in (cluster.scheduler, *cluster.workers):
        (path,) = cluster.host(name).check_output("ls -d /opt/dask/applications/*").split()
        assert cluster.host(name).file(f"{path}/modules/analysis/__init__.py").user == "root"
    assert "with the application analysis 1.0 (" in play("status").output


def test_application_changes_during_a_computation(cluster, play, project, load):
    scheduler, before = cluster.summary()["scheduler"]["id"], cluster.releases()
    process = play.start("site", *project(2, dask_scheduler_idle_timeout=1))
    try:
        cluster.wait_until(lambda: len(set(cluster.releases().values())) == 2, 180)
        assert cluster.compute(ANSWERS % ["v1", "v2"]).splitlines() == ["v1 1", "v2 2"]
    finally:
        run = play.finish(process)
    assert run.returncode == 0, run.output
    # Only the application has changed, so the environment is not built again.
    assert "The scheduler is pending" in run.output and "TASK [daskops.cluster.environment" not in run.output
    assert cluster.summary()["scheduler"]["id"] == scheduler
    assert not set(cluster.releases().values()) & set(before.values())


def test_clients_get_the_application(cluster, play, project):
    run = play("site", *project(2))
    assert run.returncode == 0 and "pending" not in run.output.split("Check the cluster's health")[1], run.output
    assert cluster.compute(BY_NAME).startswith("2 2 ")
    run = play("client", *project(2))
    assert run.returncode == 0 and "dask_application is not what the cluster runs" not in run.output, run.output
    account = cluster.variables[cluster.scheduler]["ansible_user"]
    home = cluster.host(cluster.scheduler).user(account).home
    lock = cluster.host(cluster.scheduler).file(f"{home}/.config/dask/daskops-environment.txt").content_string
    wheel = re.search(r"^analysis @ file://(\S+\.whl) --hash=sha256:(\w{64})$", lock, re.MULTILINE)
    assert cluster.host(cluster.scheduler).file(wheel[1]).sha256sum == wheel[2]
    assert "dask_application is not what the cluster runs" in play("client", *project(3)).output


def test_application_is_rolled_back(cluster, play, project):
    run = play("rollback")
    assert run.returncode == 0, run.output
    assert re.search(r"release \w+ \(v2\) to \w+ \(v1\), application \w+ to \w+", run.output), run.output
    assert cluster.compute(BY_NAME).startswith("1 1 ")
    run = play("site", "-e", "dask_serial=100%")
    assert run.returncode == 0, run.output
    assert cluster.compute("print(client.submit(lambda: __import__('sys').path).result())").count("applications") == 0
    assert play("client").returncode == 0
