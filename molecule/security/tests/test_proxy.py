# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy in front of the dashboard: authentication, pages, installation and removal."""

import asyncio
import json
import re
import ssl
import subprocess
from urllib.parse import urljoin

import pytest
import yaml
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

PASSWORD = "s3cret $word 'x'"
VARIABLES = {
    "dask_dashboard_proxy": True,
    "dask_dashboard_proxy_prefix": "/dask",
    "dask_dashboard_proxy_users": {"ada": PASSWORD},
}
SITE = "/etc/nginx/conf.d/daskops.conf"
#: File with the port of the site.
RECORD = "/etc/dask-proxy.json"
PASSWORDS = "/etc/nginx/daskops.htpasswd"


class Proxy:
    """A browser's access to the proxy from another machine."""

    def __init__(self, cluster, variables):
        self.origin = f"https://{cluster.variables[cluster.scheduler]['ansible_host']}:8443"
        self.url = f"{self.origin}/dask"
        self.authority = str(cluster.certificates / "ca.pem")
        self.variables = f"@{variables}"

    def get(self, url, *arguments, password=PASSWORD):
        """Return the status and the content of a page."""
        user = ["--user", f"ada:{password}"] if password else []
        command = ["curl", "-s", "-m", "30", "--cacert", self.authority, "-w", "\n%{http_code}", *user, *arguments, url]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
        content, status = done.stdout.rsplit("\n", 1)
        return int(status), content

    async def open(self, token, origin, password=PASSWORD):
        """Open a page's websocket and return Bokeh's first message."""
        request = HTTPRequest(
            self.url.replace("https", "wss") + "/status/ws",
            auth_username="ada",
            auth_password=password,
            headers={"Origin": origin},
            ssl_options=ssl.create_default_context(cafile=self.authority),
        )
        connection = await websocket_connect(request, subprotocols=["bokeh", token])
        try:
            return await asyncio.wait_for(connection.read_message(), 30)
        finally:
            connection.close()

    def token(self):
        """Return the token in a page, which its websocket needs."""
        return re.search(r'"token":"([^"]+)"', self.get(f"{self.url}/status")[1])[1]


@pytest.fixture(scope="module")
def proxy(cluster, play, tmp_path_factory):
    variables = tmp_path_factory.mktemp("proxy") / "variables.yml"
    variables.write_text(yaml.safe_dump(VARIABLES))
    proxy = Proxy(cluster, variables)
    run = play("site", "--diff", "-vvvv", "-e", proxy.variables)
    assert run.returncode == 0, run.output
    assert f"dashboard at {proxy.url}/status." in run.output
    assert "s3cret" not in run.output and "$6$" not in run.output
    yield proxy
    run = play("site")
    assert run.returncode == 0 and not any(run.changed.values()), run.output
    # The tests have made a new CA, so run client.yml for the new client certificate.
    assert play("client").returncode == 0


def test_access_needs_the_right_password(proxy):
    for path in ("", "/dask/status", "/dask/daskops/summary.json", "/status"):
        assert proxy.get(proxy.origin + path, password=None)[0] == 401
    assert proxy.get(f"{proxy.url}/status", password="wrong")[0] == 401
    assert proxy.get(f"{proxy.url}/status")[0] == 200


def test_pages_work_below_the_path(proxy):
    status, page = proxy.get(f"{proxy.url}/", "--location")
    assert status == 200 and "Bokeh" in page
    links = re.findall(r'(?:src|href)="([^"]+[.](?:js|css|svg|ico)[^"]*)"', page)
    assert len(links) > 3
    for link in links:
        assert proxy.get(urljoin(f"{proxy.url}/status", link))[0] == 200, link
    assert proxy.get(f"{proxy.origin}/status")[0] == 404


def test_pages_are_updated_over_a_websocket(proxy):
    assert json.loads(asyncio.run(proxy.open(proxy.token(), proxy.origin)))["msgtype"] == "ACK"


@pytest.mark.parametrize(("about", "status"), [({"origin": "https://evil.example"}, 403), ({"password": "wrong"}, 401)])
def test_websockets_of_other_sites_are_rejected(proxy, about, status):
    with pytest.raises(HTTPClientError) as refused:
        asyncio.run(proxy.open(proxy.token(), **{"origin": proxy.origin, **about}))
    assert refused.value.code == status


def test_dashboard_is_reachable_only_through_the_proxy(proxy, cluster):
    asked = subprocess.run(["curl", "-sk", "-m", "10", f"{cluster.url}/status"], capture_output=True, check=False)
    assert asked.returncode == 7  # connection refused
    assert cluster.host(cluster.scheduler).socket("tcp://127.0.0.1:8787").is_listening


def test_only_nginx_can_read_the_passwords(proxy, cluster):
    host = cluster.host(cluster.scheduler)
    passwords = host.file(PASSWORDS)
    assert (passwords.user, passwords.group, passwords.mode) == ("root", "www-data", 0o640)
    assert PASSWORD not in passwords.content_string
    for user in ("dask", "ops"):
        assert host.run(f"runuser -u {user} -- cat {PASSWORDS}").rc != 0


def test_port_is_recorded_for_later_runs(proxy, cluster):
    recorded = cluster.host(cluster.scheduler).file(RECORD)
    assert (recorded.user, recorded.mode) == ("root", 0o600)
    assert json.loads(recorded.content_string) == {"port": 8443}


def test_client_files_contain_the_proxys_address(proxy, play):
    run = play("client", "-e", proxy.variables)
    assert run.returncode == 0, run.output
    assert f"dashboard at {proxy.url}/status." in run.output


def test_second_run_changes_nothing(proxy, play):
    run = play("site", "-e", proxy.variables)
    assert run.returncode == 0, run.output
    assert not any(run.changed.values()), run.output


def test_proxy_loads_new_certificates(proxy, play):
    run = play("rotate_certificates", "-e", proxy.variables, "-e", "dask_tls_rotation=authority")
    assert run.returncode == 0, run.output
    assert proxy.get(f"{proxy.url}/status")[0] == 200
    run = play("rotate_certificates", "-e", proxy.variables, "-e", "dask_tls_rotation=finish")
    assert run.returncode == 0, run.output
    assert proxy.get(f"{proxy.url}/status")[0] == 200


def test_invalid_site_is_removed(proxy, cluster, play):
    host = cluster.host(cluster.scheduler)
    before = host.file(SITE).content_string
    host.check_output("install -m 644 /dev/null /etc/nginx/no-certificate.pem")
    own = {f"dask_dashboard_proxy_{name}": "/etc/nginx/no-certificate.pem" for name in ("certificate", "key")}
    run = play("site", "-e", proxy.variables, "-e", json.dumps(own))
    assert run.returncode != 0
    assert re.search(r"nginx rejects the site of the proxy: .*no-certificate.pem", run.output), run.output
    assert host.file(SITE).content_string == before
    assert host.check_output("ls /etc/nginx/conf.d") == "daskops.conf"
    assert host.run("nginx -t").rc == 0
    assert proxy.get(f"{proxy.url}/status")[0] == 200


def test_disabled_proxy_is_removed(proxy, cluster, play):
    host = cluster.host(cluster.scheduler)
    host.check_output(
        "printf 'server { listen 8081; location / { return 200 other; } }' >/etc/nginx/conf.d/other.conf && nginx -s reload"
    )
    try:
        run = play("site")
        assert run.returncode == 0, run.output
        assert f"dashboard at {cluster.url}/status." in run.output
        assert not any(host.file(path).exists for path in (SITE, PASSWORDS, RECORD))
        assert cluster.is_whole()
        # nginx and its other sites are kept.
        assert not host.socket("tcp://0.0.0.0:8443").is_listening
        assert host.socket("tcp://0.0.0.0:8081").is_listening
    finally:
        host.check_output("rm /etc/nginx/conf.d/other.conf && nginx -s reload")
