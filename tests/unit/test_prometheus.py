# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for Prometheus. The scenario `monitoring` uses them with Prometheus itself."""

import json

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.prometheus import file_names, files, targets

WORKER = {"contact_host": "", "address": "10.0.0.2", "dashboard_port": 8900, "pool": "fast", "name": "w1-fast-1"}
INFO = {"route": ["10.0.0.9"]}
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"


def made(url="https://10.0.0.1:8787/status", absolute=False, variables=None, **about):
    """Return the files, YAML and JSON as objects."""
    values = complete({"dask_monitoring_directory": "/etc/prometheus/dask", **(variables or {})})
    found = targets({"w1": {"workers": [WORKER]}, "s1": {"workers": []}}, {"w1": INFO}, "s1", url)
    given = {
        "tls": True,
        "proxy": False,
        "proxy_certificate": False,
        "authorities": [AUTHORITY],
        "scheduler": "10.0.0.1:8786",
        **about,
    }
    texts = files({"targets": found, "url": url, **given}, values, 30, absolute)
    assert set(texts) <= set(file_names(values))
    load = {"json": json.loads, ".yml": yaml.safe_load, ".pem": str}
    return {name: load[name[-4:]](text) for name, text in texts.items()}


def jobs(**options):
    scheduler, worker = made(**options)["dask-main-scrape.yml"]["scrape_configs"]
    return scheduler, worker


def test_targets_have_labels():
    found = made(variables={"dask_monitoring_cluster": "lab"})
    labels = {"job": "dask-worker", "cluster": "lab", "host": "w1", "pool": "fast", "worker": "w1-fast-1"}
    assert found["dask-lab-workers.json"] == [{"targets": ["10.0.0.2:8900"], "labels": labels}]
    (scheduler,) = found["dask-lab-scheduler.json"]
    assert scheduler["targets"] == ["10.0.0.1:8787"]
    assert scheduler["labels"] == {"job": "dask-scheduler", "cluster": "lab", "host": "s1", "pool": ""}


@pytest.mark.parametrize(
    "worker, target",
    [
        ({"contact_host": "gateway.example.org"}, "gateway.example.org:8900"),
        ({"address": "0.0.0.0"}, "10.0.0.9:8900"),
        ({"address": "fd00::2"}, "[fd00::2]:8900"),
    ],
)
def test_target_is_the_address_for_other_hosts(worker, target):
    found = targets({"w1": {"workers": [{**WORKER, **worker}]}}, {"w1": INFO}, "", "https://outside:8787/status")
    assert found["dask-worker"][0]["targets"] == [target]
    assert found["dask-scheduler"][0] == {"targets": ["outside:8787"], "labels": {"host": "outside", "pool": ""}}


def test_services_are_scraped_over_tls_with_the_ca():
    for job in jobs():
        assert job["scheme"] == "https" and job["tls_config"] == {"ca_file": "dask-main-ca.pem"}
        assert job["scrape_interval"] == "15s" and "basic_auth" not in job
    found = made()
    assert found["dask-main-ca.pem"] == f"{AUTHORITY}\n"
    assert "PRIVATE" not in str(found) and "dask-prometheus.yml" not in found


def test_paths_on_a_monitoring_host_are_absolute():
    scheduler, worker = jobs(absolute=True)
    assert scheduler["file_sd_configs"] == [{"files": ["/etc/prometheus/dask/dask-main-scheduler.json"]}]
    assert worker["tls_config"] == {"ca_file": "/etc/prometheus/dask/dask-main-ca.pem"}


def test_cluster_without_tls_needs_no_ca():
    found = made("http://10.0.0.1:8787/status", tls=False, authorities=[])
    assert "dask-main-ca.pem" not in found
    for job in found["dask-main-scrape.yml"]["scrape_configs"]:
        assert job["scheme"] == "http" and "tls_config" not in job


@pytest.mark.parametrize("own", [True, False])
def test_scheduler_behind_the_proxy_is_scraped_through_it(own):
    scheduler, worker = jobs(
        url="https://10.0.0.1:8443/dask/status",
        proxy=True,
        proxy_certificate=own,
        variables={"dask_monitoring_proxy_user": "prometheus"},
    )
    assert scheduler["metrics_path"] == "/dask/metrics"
    assert scheduler["basic_auth"] == {"username": "prometheus", "password_file": "dask-main-password"}
    # Another CA has signed a certificate of the proxy's own.
    assert ("tls_config" in scheduler) != own and "tls_config" in worker and "basic_auth" not in worker


def test_installed_prometheus_gets_a_configuration():
    variables = {
        "dask_monitoring": "prometheus",
        "dask_monitoring_alertmanagers": ["alerts:9093"],
        "dask_monitoring_address": "::1",
        "dask_monitoring_interval": 5,
    }
    found = made(variables=variables)["dask-prometheus.yml"]
    assert found["global"] == {"scrape_interval": "5s", "evaluation_interval": "5s"}
    assert found["rule_files"] == ["dask-rules.yml"]
    own = {job["job_name"]: job["static_configs"][0]["targets"] for job in found["scrape_configs"][2:]}
    assert own == {"prometheus": ["[::1]:9090"], "node": ["127.0.0.1:9100"]}
    assert found["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alerts:9093"]}]}]
    assert "alerting" not in made(variables={"dask_monitoring": "prometheus"})["dask-prometheus.yml"]
