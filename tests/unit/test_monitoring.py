# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of monitoring.yml: which hosts get which files, and what is rejected."""

import dataclasses
import json
import types

import pytest
from ansible_collections.daskops.cluster.plugins.action import plan as action
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import Application
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import Outside, Rejected, make_plan
from settled_hosts import GROUPS, HOSTS, SETTLED, cluster_of

CA = {"ca.pem": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"}

#: A run of monitoring.yml needs nothing from outside.
NOTHING = Outside(
    unsafe_cache=None,
    pythons=None,
    environments=None,
    client_packages=None,
    application=lambda values: Application(),
    pack=None,
    addresses_of=None,
    resolve=None,
    filtered_hosts=None,
)


def plan(purpose="monitor", hosts=("localhost",), groups=None, infos=SETTLED, monitoring=None, **variables):
    """Return the plan for monitoring hosts with the variables ``monitoring``."""
    cluster = cluster_of(infos, **{"dask_tls_files": CA, **variables})
    values = complete({"dask_monitoring_directory": "/files", **(monitoring or {})})
    cluster = dataclasses.replace(
        cluster, groups={**GROUPS, **(groups or {})}, monitoring=dict.fromkeys(hosts, values), playing=list(HOSTS)
    )
    return make_plan(cluster, purpose, "lock.txt", NOTHING)


def problem(*arguments, **options):
    with pytest.raises(Rejected) as rejected:
        plan(*arguments, **options)
    (sentence,) = rejected.value.problems
    return sentence


def test_controller_gets_the_files():
    found = plan()["monitoring"]
    assert list(found) == ["localhost"] and found["localhost"]["state"] == "files"
    assert "add dask-main-scrape.yml to scrape_config_files and dask-rules.yml to" in found["localhost"]["advice"]
    workers = json.loads(found["localhost"]["files"]["dask-main-workers.json"])
    assert {one["labels"]["host"] for one in workers} == {"w1", "w2"}


def test_hosts_of_the_group_get_the_files_and_prometheus():
    groups = {"dask_monitoring": ["m1", "m2"]}
    found = plan(hosts=("m1", "m2"), groups=groups, monitoring={"dask_monitoring": "prometheus"})["monitoring"]
    assert list(found) == ["m1", "m2"]
    assert found["m1"]["listen"] == "127.0.0.1:9090" and found["m1"]["advice"] == ""
    exporter, prometheus = (text.splitlines()[-1] for text in found["m1"]["drop_ins"].values())
    assert exporter == "ExecStart=/usr/bin/prometheus-node-exporter $ARGS --web.listen-address=127.0.0.1:9100"
    options = "--config.file=/files/dask-prometheus.yml --web.listen-address=127.0.0.1:9090"
    assert prometheus == f"ExecStart=/usr/bin/prometheus $ARGS {options}"
    assert '"/files/dask-main' not in found["m1"]["files"]["dask-prometheus.yml"]
    assert "/files/dask-main-workers.json" in found["m1"]["files"]["dask-prometheus.yml"]


def test_host_in_maintenance_has_no_target():
    found = plan()["monitoring"]["localhost"]["files"]["dask-main-workers.json"]
    cluster = cluster_of(SETTLED, dask_tls_files=CA)
    values = {**cluster.values, "w2": {**cluster.values["w2"], "dask_maintenance": True}}
    monitoring = {"localhost": complete({"dask_monitoring_directory": "/files"})}
    infos = {host: info for host, info in SETTLED.items() if host != "w2"}
    cluster = dataclasses.replace(cluster, values=values, monitoring=monitoring, infos=infos)
    less = make_plan(cluster, "monitor", "lock.txt", NOTHING)["monitoring"]["localhost"]["files"]
    assert "w2" in found and "w2" not in less["dask-main-workers.json"] and "w1" in less["dask-main-workers.json"]


def test_prometheus_without_a_host_is_rejected():
    assert problem(monitoring={"dask_monitoring": "prometheus"}) == (
        "dask_monitoring is prometheus, but the group dask_monitoring has no host. Put the host on which Prometheus is to "
        "run into this group."
    )


def test_host_that_could_not_be_inspected_is_rejected():
    infos = {host: info for host, info in SETTLED.items() if host != "w2"}
    assert problem(infos=infos) == (
        "w2: the host could not be inspected, so Prometheus would not read its metrics any more. Run the playbook again "
        "when the host can be reached, or set dask_maintenance for it."
    )


def test_limit_is_rejected():
    cluster = cluster_of(SETTLED, dask_tls_files=CA)
    infos = {host: info for host, info in SETTLED.items() if host != "w2"}
    cluster = dataclasses.replace(cluster, playing=["s1", "w1"], infos=infos)
    with pytest.raises(Rejected) as rejected:
        make_plan(cluster, "monitor", "lock.txt", NOTHING)
    assert rejected.value.problems == [
        "--limit excludes w2, so Prometheus would not read the metrics of these hosts any more. Omit --limit. For hosts "
        "that are off, set dask_maintenance."
    ]


def test_proxy_without_a_user_is_rejected():
    proxy = {"dask_dashboard_proxy": True, "dask_dashboard_proxy_users": {"ada": "secret"}}
    assert problem(**proxy) == (
        "localhost: dask_monitoring_proxy_user is '', which is not in dask_dashboard_proxy_users. Prometheus reads the "
        "metrics of the scheduler through the proxy. Set it to a user of the proxy."
    )


@pytest.mark.parametrize("purpose", ["monitor", "remove"])
@pytest.mark.parametrize(
    "path", ["mon", "/a b", "/a%h", "/$HOME", "~/a", "/a\nExecStartPre=/b", "/a'b", '/a"b', "/a;b", "/a/../b", "/*"]
)
def test_directory_that_units_would_interpret_is_rejected(purpose, path):
    groups = {"dask_monitoring": ["m1"]}
    assert problem(purpose, hosts=("m1",), groups=groups, monitoring={"dask_monitoring_directory": path}) == (
        f"m1: dask_monitoring_directory is '{path}'. Give an absolute path of letters, digits and the characters . _ - + @, "
        "without . and .. between slashes."
    )
    assert plan(monitoring={"dask_monitoring_directory": "/a b"})["monitoring"]  # the controller has no unit


@pytest.mark.parametrize("path, seen", [("mon", "WORK/mon"), ("~/mon", "HOME/mon"), ("/files", "/files")])
def test_relative_directory_of_the_controller_starts_in_the_working_directory(path, seen, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        action, "values_of", lambda *given: {name: {"dask_monitoring_directory": path} for name in given[3]}
    )
    run = types.SimpleNamespace(_templar=None, _task=None)
    found = action.ActionModule._monitoring(run, "monitor", {"groups": {}})["localhost"]["dask_monitoring_directory"]
    assert found == seen.replace("WORK", f"{tmp_path}/work").replace("HOME", f"{tmp_path}/home")
    found = action.ActionModule._monitoring(run, "monitor", {"groups": {"dask_monitoring": ["m1"]}})
    assert found["m1"]["dask_monitoring_directory"] == path  # rejected unless it is absolute


@pytest.mark.parametrize("address", ["", "a b", "0.0.0.0:9090", "[::]", "fd00::1%$x", "127.0.0.1\nUser=root", "%h"])
def test_address_that_units_would_interpret_is_rejected(address):
    groups = {"dask_monitoring": ["m1"]}
    assert problem(hosts=("m1",), groups=groups, monitoring={"dask_monitoring_address": address}) == (
        f"m1: dask_monitoring_address is '{address}'. Give a name or an address, without a protocol, a port and brackets."
    )


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "localhost", "fd00::1", "m1.example.org"])
def test_addresses_of_hosts_and_all_addresses_are_accepted(address):
    plan(hosts=("m1",), groups={"dask_monitoring": ["m1"]}, monitoring={"dask_monitoring_address": address})


def test_files_name_their_cluster():
    found = plan(hosts=("m1",), groups={"dask_monitoring": ["m1"]}, monitoring={"dask_monitoring": "prometheus"})
    found = found["monitoring"]["m1"]
    assert (found["cluster"], found["scheduler"]) == ("main", "10.0.0.1:8786")
    texts = [
        *found["drop_ins"].values(),
        *(found["files"][f"dask-{name}.yml"] for name in ("main-scrape", "prometheus")),
    ]
    assert all("\n# Cluster: main, scheduler: 10.0.0.1:8786\n" in text for text in texts)
    assert "# Cluster" not in found["files"]["dask-rules.yml"]  # it is shared


def test_removal_names_all_files():
    for purpose, variables in (("remove", {}), ("monitor", {"dask_monitoring": "absent"})):
        found = plan(purpose, monitoring=variables)["monitoring"]["localhost"]
        assert found["state"] == "absent" and found["files"] == {}
        assert {"dask-main-ca.pem", "dask-rules.yml", "grafana/dask-host.json"} <= set(found["names"])


@pytest.mark.parametrize("address, connects", [("127.0.0.1", "the host itself"), ("10.0.0.5", "Grafana, browsers")])
def test_ports_of_an_installed_prometheus_are_shown(address, connects):
    variables = {"dask_monitoring": "prometheus", "dask_monitoring_address": address}
    found = plan("show", ("m1",), {"dask_monitoring": ["m1"]}, monitoring=variables)["monitoring"]["m1"]["ports"]
    assert [(one["port"], one["connects"]) for one in found] == [(9090, connects), (9100, "the host itself")]
    assert plan("show", ("m1",), {"dask_monitoring": ["m1"]})["monitoring"] == {}
