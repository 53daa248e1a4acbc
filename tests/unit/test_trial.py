# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials of a release: the check of the trial's dashboard, and the message about a service that does not start."""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.action.trial import LINES, explain, settings_of
from ansible_collections.daskops.cluster.plugins.modules.trial import ask, dashboard_port

# The dashboard


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/status": 200, "/health": 500}.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(params=[False, True], ids=["http", "https"])
def pages(request, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), Pages)
    if request.param:
        # A self-signed certificate for another name must be accepted.
        pem = tmp_path / "server.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", "/CN=elsewhere", "-keyout", str(pem), "-out", str(tmp_path / "cert")]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert", pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, request.param
    server.shutdown()
    server.server_close()
    thread.join()


def test_http_errors_of_pages_are_reported(pages):
    port, tls = pages
    assert ask(port, "/status", tls, 5) is None
    assert ask(port, "/health", tls, 5) == "HTTP 500 Internal Server Error"
    assert ask(port, "/other", tls, 5) == "HTTP 404 Not Found"


def test_closed_dashboard_port_is_reported():
    server = HTTPServer(("127.0.0.1", 0), Pages)
    port = server.server_port
    server.server_close()
    assert "refused" in ask(port, "/status", tls=False, timeout=5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[" * 100_000, '{"services": {}}', '{"services": {"dashboard": "8787"}}',
     '{"services": {"dashboard": 0}}', '{"services": {"dashboard": 65536}}', '{"services": 1}', "\udc80"],
)  # fmt: skip
def test_scheduler_file_without_a_port(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert dashboard_port(str(path)) is None


def test_port_is_read_from_the_scheduler_file(tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text('{"services": {"dashboard": 8787}}')
    assert dashboard_port(str(path)) == 8787
    (tmp_path / "link").symlink_to(path)
    assert dashboard_port(str(tmp_path / "link")) is None
    assert dashboard_port(str(Path(tmp_path, "none"))) is None


# The message

PREFIX = {"distributed": {"scheduler": {"dashboard": {"bokeh-application": {"prefix": "/dask"}}}}}
JOURNAL = """distributed.scheduler - INFO - State start
Traceback (most recent call last):
  File "/opt/dask/environments/1/lib/python3.11/site-packages/distributed/dashboard/core.py", line 51, in BokehApplication
    return DaskBokehTornado(
TypeError: distributed.dashboard.core.DaskBokehTornado() got multiple values for keyword argument 'prefix'
daskops-trial-1-scheduler.service: Main process exited, code=exited, status=1/FAILURE"""


def test_settings_of_other_services_are_left_out():
    settings = {
        "dask_config": 1,
        "dask_scheduler_config": 2,
        "dask_worker_config": 3,
        "dask_nanny_preloads": 4,
        "dask_worker_pools.a.arguments": 5,
        "dask_worker_pools.b_c.arguments": 6,
    }
    assert set(settings_of("dask-scheduler.service", settings).values()) == {1, 2}
    assert set(settings_of("dask-worker@1.service", settings).values()) == {1, 3, 4}
    assert set(settings_of("dask-worker@b_c-2.service", settings).values()) == {1, 3, 4, 6}


def test_message_has_place_problem_and_remedy():
    failure = {"unit": "dask-scheduler.service", "problem": "does not start", "late": False, "journal": JOURNAL}
    said = explain("head", "0123456789ab", failure, {"dask_scheduler_config": PREFIX})
    assert said.startswith("head: dask-scheduler.service of the new release 0123456789ab does not start.")
    assert "nothing was stopped" in said and "dask_scheduler_config (distributed.scheduler.dashboard" in said
    assert "dask_trial" in said and said.endswith(JOURNAL)


def test_message_shows_the_end_of_the_journal():
    journal = "\n".join(f"line {number}" for number in range(100))
    failure = {
        "unit": "dask-worker@1.service",
        "problem": "does not start within 1 s",
        "late": True,
        "journal": journal,
    }
    shown = explain("w1", "0123456789ab", failure, {}).splitlines()[-LINES:]
    assert shown == [f"line {number}" for number in range(100 - LINES, 100)]
