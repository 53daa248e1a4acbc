# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a trial's dashboard."""

import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.modules.try_release import ask, dashboard_port


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


def answering(*pieces, pause=0.0):
    """Start a server that answers one connection with pieces of bytes, and return its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        with listener, listener.accept()[0] as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:  # the client has closed the connection
                    return
                time.sleep(pause)

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


def test_page_that_answers_slowly_is_reported_in_time():
    port = answering(b"HTTP/1.1 200 OK\r\n", *[b"X"] * 40, pause=0.2)
    begin = time.monotonic()
    assert ask(port, "/status", tls=False, timeout=1) == "no answer within 1 s"
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("line, problem", [(b"HTTP/1.1 500 \x1b[2Jgone", "HTTP 500 ?[2Jgone"), (b"\x1b[2J", "?[2J")])
def test_answer_of_a_page_is_reported_without_control_characters(line, problem):
    assert ask(answering(line + b"\r\n\r\n"), "/status", tls=False, timeout=5) == problem


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
