# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus, as the collection installs it: what it reads, when its alerts fire, who can connect, and its removal."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import INVENTORY, PROJECT, SCENARIO
from PIL import Image

DIRECTORY = "/etc/prometheus/dask"
#: Alerts fire after a second.
PROMETHEUS = {"dask_monitoring": "prometheus", "dask_monitoring_interval": 1, "dask_monitoring_delay": 1}
# Asks the API of Prometheus. Nodes have no curl.
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


def setting_up(**variables):
    return ["-e", json.dumps({**PROMETHEUS, **variables})]


@pytest.fixture
def host(cluster):
    """Return the monitoring host, which is also the scheduler's host."""
    return cluster.host(cluster.scheduler)


@pytest.fixture
def ask(host):
    """Return a function that asks the API of Prometheus on its host, and returns the data of the answer."""

    def asked(path):
        return json.loads(host.check_output("python3 -c %s %s", ASK, f"http://127.0.0.1:9090/api/v1/{path}"))["data"]

    return asked


def test_check_mode_predicts_the_installation(cluster, play, host):
    run = play("monitoring", "--check", "--diff", *setting_up())
    assert run.returncode == 0 and run.changed[cluster.scheduler] > 0, run.output
    assert "would be installed" in run.output and "+  - alert: DaskWorkerDown" in run.output
    assert not host.file(DIRECTORY).exists and not host.file("/usr/bin/prometheus").exists


def test_prometheus_is_installed(cluster, play, host):
    pids = cluster.pids()
    run = play("monitoring", *setting_up())
    assert run.returncode == 0, run.output
    assert set(name for name, number in run.changed.items() if number) == {cluster.scheduler}
    assert cluster.pids() == pids
    again = play("monitoring", *setting_up())
    assert again.returncode == 0 and not any(again.changed.values()), again.output


def test_every_service_is_scraped_over_tls(cluster, ask):
    def scraped():
        active = ask("targets?state=active")["activeTargets"]
        return active if all(one["health"] == "up" for one in active) else None

    cluster.wait_until(scraped, 30)
    found = [one for one in scraped() if one["labels"]["job"].startswith("dask-")]
    assert all(one["scrapeUrl"].startswith("https://") for one in found)
    by_worker = {one["labels"].get("worker"): one["labels"] for one in found}
    assert set(by_worker) == {None, *(f"{name}-1" for name in cluster.workers)}
    assert by_worker[None]["job"] == "dask-scheduler" and by_worker[None]["host"] == cluster.scheduler
    assert {labels["cluster"] for labels in by_worker.values()} == {"main"}


# One kind of task fails, and results stay in memory for several scrapes.
TASKS = """
import time
futures = client.map(lambda number: 1 / number, range(4), pure=False)
time.sleep(4)
"""


def test_metrics_of_rules_and_panels_exist(cluster, host, ask):
    cluster.compute(TASKS)
    # A metric of workers on standby has no values here.
    known = {*ask("label/__name__/values"), *ask("metadata")}
    rules = yaml.safe_load(host.check_output(f"cat {DIRECTORY}/dask-rules.yml"))["groups"][0]["rules"]
    expressions = [rule["expr"] for rule in rules]
    for name in host.check_output(f"ls {DIRECTORY}/grafana").split():
        panels = json.loads(host.check_output(f"cat {DIRECTORY}/grafana/{name}"))["panels"]
        expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    without_labels = [re.sub(r"\{.*?\}", "", expression) for expression in expressions]
    named = set(re.findall(r"\b(?:up|(?:dask|daskops|process)_\w+)\b", " ".join(without_labels)))
    assert {"daskops_certificate_not_after_timestamp_seconds", "dask_worker_task_errors_total"} <= named
    assert named - known == set()
    assert ask("query?query=max(daskops_release_drift)")["result"][0]["value"][1] == "0"


def test_rules_and_configuration_are_valid(host, play, tmp_path):
    host.check_output(f"promtool check rules {DIRECTORY}/dask-rules.yml")
    host.check_output(f"promtool check config {DIRECTORY}/dask-prometheus.yml")
    # The tests of the rules need the default delay. Without the group, the controller gets the files.
    inventory = yaml.safe_load((SCENARIO / "hosts.yml").read_text())
    del inventory["all"]["children"]["dask_monitoring"]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    files = tmp_path / "files"
    run = play(
        "monitoring",
        "-e",
        json.dumps({"dask_monitoring_directory": str(files)}),
        inventory=[f"--inventory={PROJECT}/testbed/inventory.py", f"--inventory={tmp_path}/hosts.yml"],
    )
    assert run.returncode == 0 and run.changed["localhost"] > 0, run.output
    for name, text in {
        "dask-rules.yml": (files / "dask-rules.yml").read_text(),
        "rules_test.yml": (SCENARIO / "tests/rules_test.yml").read_text(),
    }.items():
        host.run("mkdir -p /tmp/rules")
        host.check_output("printf %%s %s >/tmp/rules/%s", text, name)
    tested = host.run("cd /tmp/rules && promtool test rules rules_test.yml")
    assert tested.rc == 0, tested.stdout + tested.stderr
    scrape = yaml.safe_load((files / "dask-main-scrape.yml").read_text())["scrape_configs"]
    assert all(job["tls_config"] == {"ca_file": "dask-main-ca.pem"} for job in scrape)
    assert "PRIVATE" not in "".join(path.read_text() for path in files.rglob("*") if path.is_file())


def test_alerts_fire_and_clear(cluster, ask):
    def firing():
        return {
            (alert["labels"]["alertname"], alert["labels"].get("worker"))
            for alert in ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    (stopped, *_) = cluster.workers
    expected = {("DaskWorkerDown", f"{stopped}-1"), ("DaskWorkersMissing", None)}
    cluster.wait_until(lambda: not firing() & expected, 30)
    host = cluster.host(stopped)
    host.check_output("systemctl stop dask-worker@1")
    try:
        cluster.wait_until(lambda: expected <= firing(), 60)
    finally:
        host.check_output("systemctl start dask-worker@1")
    cluster.wait_until(lambda: not firing() & expected, 60)


def test_pictures_of_the_documentation_are_made_from_a_running_cluster(tmp_path):
    tool = [sys.executable, PROJECT / "tools/screenshots", *INVENTORY, f"--output={tmp_path}"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    colours = {path.name: len(Image.open(path).convert("RGB").getcolors()) for path in tmp_path.iterdir()}
    assert colours.keys() == {"dashboard.png", "status.png"} and min(colours.values()) > 20, colours


def test_services_listen_only_at_the_loopback_address(host):
    listening = host.check_output("ss --listening --tcp --numeric --no-header").splitlines()
    found = {line.split()[3] for line in listening if line.split()[3].endswith((":9090", ":9100"))}
    assert found == {"127.0.0.1:9090", "127.0.0.1:9100"}


def test_monitoring_is_removed(cluster, play, host):
    run = play("monitoring", *setting_up(dask_monitoring="absent"))
    assert run.returncode == 0 and run.changed[cluster.scheduler] > 0, run.output
    assert not host.file(DIRECTORY).exists
    assert host.run("ls -d /etc/systemd/system/prometheus*.d").stdout == ""
    for name in ("prometheus", "prometheus-node-exporter"):
        assert host.package(name).is_installed
        assert not host.service(name).is_running and not host.service(name).is_enabled


def test_prometheus_of_others_is_not_changed(cluster, play, host):
    host.check_output("systemctl enable prometheus")
    try:
        run = play("monitoring", *setting_up())
        assert run.returncode != 0 and not host.file(DIRECTORY).exists
        assert "dask_monitoring is prometheus, but a Prometheus that the collection did not set up" in run.output
    finally:
        host.check_output("systemctl disable prometheus")
