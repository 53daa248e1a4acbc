# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of workers behind the scheduler's proxy."""

import asyncio
import re
import signal
import urllib.error
import urllib.request

import psutil
import pytest
from conftest import STOCK_ROUTES, scheduler, wait_until, worker
from http_pages import fetch, http_port
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

PAGES = {"scheduler.http.routes": ["daskops_runtime.summary", "daskops_runtime.worker_proxy", *STOCK_ROUTES]}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the URL of a worker's pages behind the scheduler's proxy."""
    with scheduler(tmp_path_factory.mktemp("pages"), runtime=True, settings=PAGES) as started:
        with worker(started, "w1", runtime=True), started.client() as client:
            client.wait_for_workers(1, 30)
            yield f"{started.url}/proxy/{http_port(started, 'w1')}/127.0.0.1"


def test_proxy_serves_pages_of_workers(pages):
    assert fetch(f"{pages}/health") == (200, "ok")
    status, page = fetch(f"{pages}/status")
    assert status == 200 and "bokeh" in page.lower()
    assert fetch(f"{pages}/nothing-like-that")[0] == 404
    # Relative links in a page work, too.
    (script, *_) = re.findall(r'src="((?:\.\./|\./|)static/[^"]*bokeh[^"]*)"', page)
    status, text = fetch(f"{pages}/{script}")
    assert status == 200 and len(text) > 10_000


def test_proxy_forwards_websockets(pages):
    """Bokeh pages load their content over a websocket."""
    token = re.search(r'"token":"([^"]+)"', fetch(f"{pages}/status")[1]).group(1)

    async def connect(page, *protocols):
        connection = await websocket_connect(f"{pages.replace('http', 'ws', 1)}/{page}", subprotocols=protocols)
        message = await asyncio.wait_for(connection.read_message(), 20)
        protocol = connection.selected_subprotocol
        connection.close()
        return protocol, message

    protocol, message = asyncio.run(connect("status/ws", "bokeh", token))
    assert protocol == "bokeh" and "ACK" in message
    with pytest.raises(HTTPClientError):
        asyncio.run(connect("no/ws"))


@pytest.mark.parametrize("address", ["22/127.0.0.1", "{port}/localhost", "{port}/127.0.0.2", "{port}/x@127.0.0.1"])
def test_proxy_connects_to_workers_only(pages, address):
    root, port = re.fullmatch(r"(.*/proxy)/(\d+)/127\.0\.0\.1", pages).groups()
    status, said = fetch(f"{root}/{address.format(port=port)}/health")
    assert status == 404 and "No worker of this cluster has this address" in said


def test_failed_websocket_handshakes_leave_no_open_files(pages):
    token = re.search(r'"token":"([^"]+)"', fetch(f"{pages}/status")[1]).group(1)
    port = int(re.search(r":(\d+)/proxy", pages).group(1))
    (process,) = {c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"}
    before = psutil.Process(process).num_fds()
    for dummy in range(10):
        request = urllib.request.Request(f"{pages}/status/ws")
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Protocol": f"bokeh, {token}"}
        for name, value in headers.items():
            request.add_header(name, value)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=20)
    wait_until(lambda: psutil.Process(process).num_fds() < before + 5)


def test_hanging_worker_gives_a_gateway_timeout(tmp_path):
    with scheduler(tmp_path, runtime=True, settings=PAGES) as started:
        with worker(started, "w1", runtime=True) as process, started.client() as client:
            client.wait_for_workers(1, 30)
            page = f"{started.url}/proxy/{http_port(started, 'w1')}/127.0.0.1/health"
            assert fetch(page)[0] == 200
            process.send_signal(signal.SIGSTOP)
            status, said = fetch(page)
            assert status == 504 and "The worker did not answer in time" in said
            process.send_signal(signal.SIGCONT)


def test_proxy_rejects_post(pages):
    assert fetch(f"{pages}/health", "POST")[0] == 405
