# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to schedulers and to other servers, and the problems that the module cluster_health reports."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import json
import signal
import socket
import socketserver
import ssl
import threading
import time

import pytest
import recorded
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import (
    MAX_BYTES,
    SchedulerError,
    SchedulerHTTP,
    normalize_url,
)
from conftest import STOCK_ROUTES, free_port, scheduler, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from recorded import assert_can_be_shown, failure, health

pytestmark = pytest.mark.usefixtures("hurried")


def test_nothing_listens():
    url = f"http://127.0.0.1:{free_port()}"
    problem = failure(url)
    assert problem.startswith(f"{url}/daskops/summary.json: nothing listens there (connection refused).")
    assert "systemctl status dask-scheduler" in problem and "8787" in problem


def test_unresolvable_name():
    problem = failure("http://no-such-host.invalid:8787")
    assert "the name no-such-host.invalid cannot be resolved" in problem and "/etc/hosts" in problem


def test_stopped_scheduler(tmp_path):
    with scheduler(tmp_path, runtime=True) as started:
        started.process.send_signal(signal.SIGSTOP)
        problem = failure(started.url, request_timeout=0.5)
        assert "connected, but no complete answer within 0.5 s" in problem and "hangs" in problem
        started.process.send_signal(signal.SIGCONT)
        assert health(started.url, timeout=10)["verdict"] == "healthy"


def test_port_of_the_scheduler_itself(ours):
    problem = failure(ours.scheduler.address.replace("tcp", "http"))
    assert "speaks Dask's own protocol, not HTTP" in problem and "8787" in problem


def test_port_of_a_worker(ours):
    port = health(ours.url)["workers"][0]["dashboard_port"]
    problem = failure(f"http://127.0.0.1:{port}")
    assert "no JSON routes" in problem and "If this is a worker's port" in problem


def test_scheduler_without_json_routes(tmp_path):
    routes = [route for route in STOCK_ROUTES if not route.endswith(".json")]
    with scheduler(tmp_path, settings={"scheduler.http.routes": routes}) as started:
        assert "list distributed.http.scheduler.json in distributed.scheduler.http.routes" in failure(started.url)


@contextlib.contextmanager
def serving(handler, wrap=None, server=http.server.ThreadingHTTPServer):
    """Run a server that is not Dask."""
    with server(("127.0.0.1", 0), handler) as running:
        if wrap:
            running.socket = wrap(running.socket)
        running.handle_error = lambda *args: None
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()


def speaking(greeting):
    """Return a handler that sends a greeting without a request and closes, as SSH, SMTP and FTP servers do."""

    class Greeter(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(greeting)
            self.request.recv(4096)

    return Greeter


def answering(status=200, body="", kind="application/json", pause=0):
    """Return a handler that sends the same response to every request; with a pause it sends single bytes without an end."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())
            with contextlib.suppress(OSError):
                while pause:
                    time.sleep(pause)
                    self.wfile.write(b" ")

        def log_message(self, *args):
            pass

    return Answer


def test_not_http():
    with serving(speaking(b"SSH-2.0-OpenSSH_9.2p1\r\n"), server=socketserver.TCPServer) as url:
        problem = failure(url)
    assert "the answer is not HTTP. It begins with 'SSH-2.0-OpenSSH_9.2p1" in problem and "Another service" in problem


def test_server_closes_without_a_response():
    with serving(speaking(b""), server=socketserver.TCPServer) as url:
        problem = failure(url)
    assert "closed without an answer" in problem and "https://" in problem


@pytest.mark.parametrize(
    "status, reason, remedy",
    [
        (404, "it is not a Dask scheduler", "--dashboard-prefix"),
        (401, "HTTP 401", "requires a login"),
        (500, "HTTP 500", "journalctl -u dask-scheduler"),
        (502, "HTTP 502", "in front of the scheduler"),
    ],
)
def test_http_errors(status, reason, remedy):
    with serving(answering(status)) as url:
        problem = failure(url)
    assert reason in problem and remedy in problem


def test_no_json():
    with serving(answering(body="<html>Welcome to nginx!", kind="text/html")) as url:
        problem = failure(url)
    assert "the answer is not JSON (text/html). It begins with '<html>Welcome to nginx!'" in problem


@pytest.mark.parametrize("document", [{"message": "hello"}, [], None, {"schema": 1, "versions": [], "workers": [3]}])
def test_json_of_another_shape(document):
    with serving(answering(body=json.dumps(document))) as url:
        assert "the JSON has an unexpected form" in failure(url)


def test_newer_summary():
    with serving(answering(body=json.dumps({"schema": 2}))) as url:
        assert "schema 2 instead of 1" in failure(url)


def test_answer_that_never_ends():
    with serving(answering(pause=0.1)) as url:
        assert "no complete answer within 0.5 s" in failure(url, request_timeout=0.5)


def test_no_connection_in_time():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.ExitStack() as stack:
            for _ in range(2):  # fill the queue of a listener that never accepts
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            problem = failure(f"http://127.0.0.1:{full.getsockname()[1]}", request_timeout=0.5)
    assert "no connection within 0.5 s" in problem and "firewall" in problem


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a self-signed certificate for 127.0.0.1 as (certificate, key)."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / "cert.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return [str(file) for file in files]


def test_https(tmp_path, certificate):
    settings = {"scheduler.dashboard.tls.cert": certificate[0], "scheduler.dashboard.tls.key": certificate[1]}
    with scheduler(tmp_path, runtime=True, settings=settings) as started:
        url = f"https://127.0.0.1:{started.port}"
        assert health(url, ca_path=certificate[0])["verdict"] == "healthy"
        assert health(url, validate_certs=False)["verdict"] == "healthy"
        started_at = time.monotonic()
        assert "certificate is not trusted" in failure(url, timeout=30) and "ca_path" in failure(url)
        assert time.monotonic() - started_at < 10  # no further attempt
        other_name = failure(f"https://localhost:{started.port}", ca_path=certificate[0])
        assert "Hostname mismatch" in other_name
        assert "If it speaks https, write https://" in failure(started.url)


def test_http_port_of_another_https_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(answering(), wrap=lambda sock: context.wrap_socket(sock, server_side=True)) as url:
        assert "https://" in failure(url, request_timeout=1)


def test_https_of_an_http_port(ours):
    # Tornado reads the TLS handshake as the start of an HTTP request and waits for the rest.
    problem = failure(ours.url.replace("http:", "https:"), request_timeout=0.5)
    assert "no https handshake within 0.5 s" in problem and "write http://" in problem


def test_https_of_another_service():
    with serving(speaking(b"SSH-2.0-OpenSSH_9.2p1\r\n"), server=socketserver.TCPServer) as url:
        problem = failure(url.replace("http:", "https:"))
    assert "does not speak https" in problem and "Write http:// instead" in problem


@pytest.mark.parametrize(
    "given, root",
    [
        ("http://10.0.0.1:8787", "http://10.0.0.1:8787"),
        ("http://10.0.0.1:8787/", "http://10.0.0.1:8787"),
        ("http://10.0.0.1:8787/status", "http://10.0.0.1:8787"),
        ("https://dask.example.org/cluster-a/status/?x=1", "https://dask.example.org/cluster-a"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_normalize_url(given, root):
    assert normalize_url(given) == root


@pytest.mark.parametrize("url", ["", "10.0.0.1:8787", "tcp://10.0.0.1:8786", "http://", "http://a:b", "http://a:99999"])
def test_invalid_urls_are_rejected(url):
    with pytest.raises(SchedulerError, match="not a URL of a scheduler.*http://10.0.0.1:8787"):
        normalize_url(url)


def problems(url, **options):
    """Return the problems of a response, and assert that the request ended in time."""
    started = time.monotonic()
    result = health(url, request_timeout=0.4, **options)
    assert time.monotonic() - started < 9
    assert_can_be_shown(result)
    assert result["verdict"] in ("unhealthy", "unknown") and result["idle"] is False
    return " ".join(result["problems"])


@contextlib.contextmanager
def saying(*pieces, pause=0.0, endless=False):
    """Run a server that reads a request and sends ``pieces`` with pauses between them; return its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            with contextlib.suppress(OSError):
                while True:
                    for piece in pieces:
                        self.request.sendall(piece)
                        time.sleep(pause)
                    if not endless:
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 1000,
        b"HTTP/1.1 \x1b[31m200 OK\r\n\r\n{}",
        b"HTTP/1.1 500 \x1b[2Jgone\r\n\r\n",
        b"HTTP/1.1 404 \x9b\r\n\r\n",
        b"HTTP/9.9 999 \xff\r\n\r\n",
        b"HTTP/1.1 -1 OK\r\n\r\n",
        OK + b"Content-Type: \x1b]0;title\x07\r\n\r\n<html>\x1b[31m",
        OK + b"Content-Length: nonsense\r\n\r\n{}",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        OK + b"Content-Length: 10\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 70000,
        OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00nothing",
        OK + b"\r\n\xff\xfe\x00{",
        OK + b'\r\n{"schema": 1, "scheduler": {"status": "\\u001b[31m"}, "workers": [], "versions": []}',
        OK + b'\r\n{"schema": "\\u001b[31m"}',
        OK + b"X: y\r\n" * 200 + b"\r\n{}",
        OK + b"X: " + b"y" * 100_000,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 302 Found\r\nLocation: \x1b[31m\r\n\r\n",
    ],
)
def test_invalid_http_responses_are_problems(answer):
    with saying(answer) as url:
        assert problems(url)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([OK, *[b"X: y\r\n"] * 90], "no complete answer within 0.4 s"),  # slow headers
        ([OK + b"\r\n", *[b" "] * 90], "no complete answer within 0.4 s"),
        ([b"H"], "no complete answer within 0.4 s"),
    ],
)
def test_slow_responses_are_cut_off(pieces, words):
    with saying(*pieces, pause=0.1, endless=True) as url:
        assert words in problems(url)


def test_long_response_is_cut_off():
    with saying(OK + b"\r\n", b" " * 2**20, endless=True) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(SchedulerHTTP, "_read", with_time(SchedulerHTTP._read))
        assert f"longer than {MAX_BYTES} bytes" in problems(url)


def with_time(read):
    """Raise the time limit, so that a slow machine reaches the size limit first."""

    def reading(self, response):
        self.timeout, timeout = 8, self.timeout
        try:
            return read(self, response)
        finally:
            self.timeout = timeout

    return reading


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirections_are_not_followed(status):
    """A server must not be able to direct the host's requests to other servers."""
    asked = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        target = f"http://127.0.0.1:{other.server_address[1]}/secret"
        with recorded.serving({"daskops/summary.json": (status, {"Location": target}, "")}) as url:
            started = time.monotonic()
            said = problems(url, timeout=30)
            assert time.monotonic() - started < 5  # no further attempt
        other.shutdown()
    assert not asked and f"HTTP {status}" in said and target in said


def test_threads_of_cut_off_requests_end():
    before = threading.active_count()
    with saying(OK, *[b"X: y\r\n"] * 3, pause=0.3, endless=False) as url:
        problems(url)
    wait_until(lambda: threading.active_count() <= before)
