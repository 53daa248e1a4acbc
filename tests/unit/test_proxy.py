# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard's proxy: its password file, and its nginx site as Ansible renders it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import addresses
from cluster_settings import ROLE_DEFAULTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Return the lines of the site by host: with defaults, below a path, and without TLS in the cluster."""
    directory = tmp_path_factory.mktemp("proxy")
    hosts = {
        "plain": {},
        "below": {"dask_dashboard_proxy_prefix": "/dask/", "dask_dashboard_proxy_port": 443},
        "prefixed": {"dask_dashboard_prefix": "/a/b"},
        "own": {
            "dask_tls": "no",  # an INI inventory gives a string
            "dask_dashboard_proxy_certificate": "/etc/ssl/dask.pem",
            "dask_dashboard_proxy_key": "/etc/ssl/dask.key",
        },
    }
    template = {
        "src": str(ROOT / "roles/proxy/templates/daskops.conf.j2"),
        "dest": str(directory / "{{ inventory_hostname }}"),
    }
    playbook = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            "dask_dashboard_proxy": True,
        },
        "tasks": [{"name": "Write the site to the test's directory", "ansible.builtin.template": template}],
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    group = {"dask_scheduler": {"hosts": dict.fromkeys(hosts, {})}}
    for about in hosts.values():
        values = {**ROLE_DEFAULTS, "dask_dashboard_proxy": True, "dask_scheduler_host": "10.0.0.1", **about}
        reached = addresses({name.removeprefix("dask_"): value for name, value in values.items()}, {})
        listens = {"hosts": {host: {"proxy_host": "[fd00::1]" if host == "prefixed" else "10.0.0.1"} for host in hosts}}
        about["__dask_plan"] = {**listens, "addresses": reached, "certificates": {"directory": str(directory / "tls")}}
        about["__dask_result"] = {"stdout": f"{about.get('dask_tls', 'yes')}  scheduler.pem"}
    (directory / "hosts.json").write_text(
        json.dumps({"all": {"hosts": hosts, "vars": {**ROLE_DEFAULTS, **local}, "children": group}})
    )
    (directory / "playbook.json").write_text(json.dumps([playbook]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.json", "playbook.json"],
        cwd=directory,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(directory / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: [line.strip() for line in (directory / host).read_text().splitlines()] for host in hosts}


def test_site_with_defaults(sites):
    assert {"listen 10.0.0.1:8443 ssl;", "ssl_certificate /opt/dask/tls/scheduler.pem;", "location / {"} <= set(
        sites["plain"]
    )
    assert "proxy_pass https://127.0.0.1:8787/;" in sites["plain"]
    assert "proxy_ssl_verify on;" in sites["plain"]
    assert "auth_basic_user_file /etc/nginx/daskops.htpasswd;" in sites["plain"]


def test_site_below_a_path(sites):
    assert {"listen 10.0.0.1:443 ssl;", "location /dask/ {", "proxy_redirect / /dask/;"} <= set(sites["below"])


def test_site_of_a_dashboard_below_a_path(sites):
    assert "listen [fd00::1]:8443 ssl;" in sites["prefixed"]
    assert {"location /a/b/ {", "proxy_pass https://127.0.0.1:8787/a/b/;", "proxy_redirect /a/b/ /a/b/;"} <= set(
        sites["prefixed"]
    )


def test_site_without_tls_in_the_cluster(sites):
    assert "ssl_certificate /etc/ssl/dask.pem;" in sites["own"]
    assert "ssl_certificate_key /etc/ssl/dask.key;" in sites["own"]
    assert "proxy_pass http://127.0.0.1:8787/;" in sites["own"]
    assert not any("proxy_ssl" in line for line in sites["own"])


def test_other_certificates_change_the_site(sites):
    plain, below, own = (sites[host][1] for host in ("plain", "below", "own"))
    assert plain == below != own and plain.startswith("# Certificates: ")
