# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clusters with one monitoring host or one directory. Their files are the real ones."""

import contextlib
import io
import json
import os

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.daskops.cluster.plugins.module_utils import monitoring
from ansible_collections.daskops.cluster.plugins.modules import inspect_monitoring
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.prometheus import drop_ins, file_names, files, targets

A, B = "10.0.0.1:8786", "10.0.9.1:8786"
SHARED = {"dask-rules.yml", "grafana/dask-host.json"}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A monitoring host: its directory of files, and that of systemd."""
    monkeypatch.setattr(inspect_monitoring, "DROP_IN", f"{tmp_path}/systemd/prometheus.service.d/daskops.conf")
    monkeypatch.setattr(inspect_monitoring, "ENABLED", f"{tmp_path}/systemd/enabled")
    return tmp_path


def values(host, name, state):
    variables = {"dask_monitoring_cluster": name, "dask_monitoring": state}
    return complete({"dask_monitoring_directory": f"{host}/files", **variables})


def set_up(host, scheduler, name="main", state="prometheus"):
    """Write what a run for a cluster writes."""
    own, url = values(host, name, state), "https://10.0.0.1:8787/status"
    about = {"url": url, "tls": True, "proxy": False, "proxy_certificate": False, "authorities": ["CA"]}
    about.update(targets=targets({}, {}, "s1", url), scheduler=scheduler)
    written = {f"files/{path}": text for path, text in files(about, own, 30, True).items()}
    if state == "prometheus":
        written.update({f"systemd/{path}": text for path, text in drop_ins(own, scheduler).items()})
    for path, text in written.items():
        (host / path).parent.mkdir(parents=True, exist_ok=True)
        (host / path).write_text(text)


def run(host, scheduler, state, name="main", services=True):
    """Return the result of the module for a cluster."""
    arguments = {
        "directory": f"{host}/files",
        "cluster": name,
        "scheduler": scheduler,
        "state": state,
        "names": file_names(values(host, name, state)),
        "services": services,
    }
    with patch_module_args(arguments), contextlib.redirect_stdout(io.StringIO()) as output:
        with pytest.raises(SystemExit):
            inspect_monitoring.main()
    return json.loads(output.getvalue())


def test_cluster_can_change_and_remove_its_own(host):
    assert not run(host, A, "prometheus").get("failed")
    set_up(host, A)
    for state in ("prometheus", "files", "absent"):
        found = run(host, A, state)
        assert found["absent"] == file_names(values(host, "main", state))
        assert found["remove_prometheus"] == (state != "prometheus")
    assert not run(host, A, "files", services=False)["remove_prometheus"]
    # Another name of the same cluster.
    assert run(host, A, "absent", name="new")["remove_prometheus"]


@pytest.mark.parametrize("state", ["files", "absent"])
def test_prometheus_of_another_cluster_stays(host, state):
    set_up(host, A)
    found = run(host, B, state, name="b")
    assert not found["remove_prometheus"]
    assert not {"dask-prometheus.yml", *SHARED} & set(found["absent"]) and "dask-b-ca.pem" in found["absent"]


def test_shared_files_stay_until_the_last_cluster_is_removed(host):
    set_up(host, A, "a", "files")
    set_up(host, B, "b", "files")
    assert not SHARED & set(run(host, A, "absent", name="a")["absent"])
    (host / "files/dask-a-scrape.yml").unlink()
    assert set(run(host, B, "absent", name="b")["absent"]) >= SHARED


def test_second_cluster_cannot_take_over_prometheus(host):
    set_up(host, A, "a")
    found = run(host, B, "prometheus", name="b")
    assert found["failed"] and found["msg"] == (
        f"dask_monitoring is prometheus, but {host}/systemd/prometheus.service.d/daskops.conf belongs to the cluster 'a' "
        "with the scheduler 10.0.0.1:8786. One installed Prometheus reads one cluster. Set dask_monitoring to files and "
        "dask_monitoring_directory to another directory, or put another host into the group dask_monitoring. If this "
        "cluster had that scheduler before, remove the line '# Cluster: ...' from the file."
    )
    (host / "systemd/prometheus.service.d/daskops.conf").unlink()
    assert f"but {host}/files/dask-prometheus.yml belongs to the cluster 'a'" in run(host, B, "prometheus", "b")["msg"]


def test_second_cluster_with_the_same_name_is_rejected(host):
    set_up(host, A, state="files")
    found = run(host, B, "files")
    assert found["failed"] and found["msg"] == (
        f"{host}/files/dask-main-scrape.yml belongs to the cluster 'main' with the scheduler 10.0.0.1:8786. Set "
        "dask_monitoring_cluster to another name, or dask_monitoring_directory to another directory. If this cluster had "
        "that scheduler before, remove the line '# Cluster: ...' from the file."
    )
    # Its removal keeps all files. They may be those of the other one.
    assert run(host, B, "absent")["absent"] == ["dask-prometheus.yml"]
    scrape = host / "files/dask-main-scrape.yml"
    scrape.write_text(scrape.read_text().replace("# Cluster: main", "# Was: main"))
    assert not run(host, B, "files").get("failed")


def test_prometheus_of_others_is_rejected(host):
    (host / "systemd").mkdir()
    (host / "systemd/enabled").symlink_to("/nowhere")
    assert "that the collection did not set up starts at boot" in run(host, A, "prometheus")["msg"]
    assert not run(host, A, "files").get("failed")


def test_what_is_not_a_regular_file_has_no_owner(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text(monitoring.owner_line("a", A))
    (tmp_path / "link").symlink_to("file")
    for name, owner in (
        ("fifo", ""),
        ("link", ""),
        ("none", ""),
        ("file/a", ""),
        ("file", f"the cluster 'a' with the scheduler {A}"),
    ):
        assert monitoring.other_owner(str(tmp_path / name), B) == owner
