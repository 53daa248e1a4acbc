# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cluster_health against real schedulers and against other servers."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import json
import re
import signal
import socket
import socketserver
import ssl
import threading
import time
import urllib.request

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_workers_page
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import SchedulerHTTP
from conftest import STOCK_ROUTES, free_port, scheduler, wait_until, worker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Client
from recorded import health

W1, W2, W3 = {"name": "w1"}, {"name": "w2"}, {"name": "w3"}


def failure(url, **options):
    """Return the only problem of a scheduler that gives no usable response."""
    result = health(url, **options)
    assert (result["verdict"], result["detail"]) == ("unhealthy", "none")
    (problem,) = result["problems"]
    return problem


@pytest.fixture(autouse=True)
def settled(request):
    """Wait until both workers of the shared clusters are registered."""
    for name in {"ours", "stock"} & set(request.fixturenames):
        cluster = request.getfixturevalue(name)
        wait_until(lambda cluster=cluster: sorted(cluster.addresses()) == ["w1", "w2"])


# A cluster that runs this collection's runtime


def test_healthy(ours):
    workers = [{"name": name, "release": f"shared.{name}"} for name in ("w1", "w2")]
    result = health(ours.url, workers=workers, count=2, scheduler_release="shared.s")
    assert (result["verdict"], result["problems"], result["detail"]) == ("healthy", [], "full")
    assert result["workers_expected"] == result["workers_present"] == 2
    assert result["releases"] == {"shared": ["w1", "w2"]}
    assert result["versions"] == {}
    assert result["scheduler"]["address"] == ours.scheduler.address
    assert result["scheduler"]["clients"] == 1
    assert 0 < result["memory"]["used"] < result["memory"]["limit"] == 2 * 2**30
    assert result["workers"][0]["name"] == "w1" and result["workers"][0]["pid"] == ours.workers["w1"].pid
    assert "is healthy, 2 workers are registered" in result["msg"]


def test_healthy_under_load(ours):
    with ours.load():
        for _ in range(5):
            result = health(ours.url, workers=[W1, W2])
            assert (result["verdict"], result["detail"]) == ("healthy", "full")
            assert result["tasks"]["processing"] > 0


def test_other_releases(ours):
    workers = [{"name": "w1", "release": "next.w1"}, W2]
    result = health(ours.url, workers=workers, scheduler_release="next.s")
    assert result["verdict"] == "unhealthy"
    assert result["release_differences"] == {"w1": {"expected": "next.w1", "actual": "shared.w1"}}
    assert [problem[:20] for problem in result["problems"]] == ["Not the expected rel", "The scheduler runs r"]
    assert health(ours.url, workers=[W2], complete=False)["verdict"] == "healthy"


def test_module_fails_only_if_unhealthy_and_fail_when_unhealthy(ours):
    result = health(ours.url, workers=[W3], fail_when_unhealthy=True)
    assert result["failed"] and result["verdict"] == "unhealthy"
    assert result["msg"].startswith(f"The Dask cluster at {ours.url} is unhealthy. Missing: w3.")
    assert "failed" not in health(ours.url, workers=[W3])
    assert "failed" not in health(ours.url, workers=[W1], fail_when_unhealthy=True)  # degraded


def test_waits_for_a_worker_and_reports_its_release(ours):
    with worker(ours.scheduler, "w3", runtime=True, DASKOPS_RELEASE="next.w3"):
        result = health(ours.url, workers=[W1, W2, W3], timeout=20, interval=0.1)
    assert 0.1 < result["elapsed"] < 20
    assert (result["verdict"], result["missing"]) == ("degraded", [])
    assert result["releases"] == {"shared": ["w1", "w2"], "next": ["w3"]}


def test_waits_until_the_deadline(ours):
    started = time.monotonic()
    result = health(ours.url, workers=[W1, W2, W3], timeout=1.2, interval=0.5)
    assert 1.2 <= result["elapsed"] <= time.monotonic() - started
    assert result["missing"] == ["w3"]
    assert f"unhealthy after {result['elapsed']:.1f} s of waiting. Missing: w3." in result["msg"]


ROGUE = """
async def dask_setup(worker):
    async def metric(worker):
        return {"\\x1b[2J": [1, float("nan"), {"a": {"b": [b"c"]}}, "d" * 1_000_000]}

    async def information(worker):
        return ["\\x1b]0;title\\x07", {("a", 1): None}]

    for name in ("daskops_certificate_expires", "daskops_configuration_drift", "spilled_bytes", "managed_bytes"):
        worker.metrics[name] = metric
    for name in ("daskops_release", "anything"):
        worker.startup_information[name] = information
"""


def test_invalid_worker_data_does_not_affect_other_workers(ours, tmp_path):
    """User code in a worker can put any value into its metrics and its startup information."""
    (tmp_path / "rogue.py").write_text(ROGUE)
    preloads = {"worker.preload": [str(tmp_path / "rogue.py")]}
    with worker(ours.scheduler, "\x1b[31mrogue", settings=preloads):
        result = wait_until(lambda: (said := health(ours.url))["workers_present"] == 3 and said)
        time.sleep(1)  # wait for some heartbeats
        result = health(ours.url, workers=[W1, W2])
        text = get_text(f"{ours.url}/daskops/summary.json")
    assert result["detail"] == "full" and result["unexpected"] == ["\\x1b[31mrogue"]
    assert result["missing"] == result["silent"] == []
    assert result["msg"].isprintable() and all(problem.isprintable() for problem in result["problems"])
    assert len(text) < 50_000
    assert health(ours.url, workers=[W1, W2], complete=False)["verdict"] == "healthy"


def get_text(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


# Clients of a pending scheduler


@pytest.fixture
def working(tmp_path):
    """Return a scheduler with a runtime directory, its client named alice, and the path of its control socket."""
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(scheduler(tmp_path, runtime=True, RUNTIME_DIRECTORY=str(tmp_path)))
        stack.enter_context(worker(started, "w1", runtime=True))
        client = stack.enter_context(Client(started.address, name="alice", set_as_default=False, timeout=20))
        client.wait_for_workers(1, 20)
        yield started, client, str(tmp_path / "control.sock")


def test_pending_scheduler_names_clients_with_work(working):
    started, client, control_socket = working
    pending = {"scheduler_pending": True, "control_socket": control_socket}
    (said,) = health(started.url, **pending)["problems"]
    assert "The scheduler is pending" in said and "It has none now: run site.yml again" in said

    data = client.scatter(bytes(3 * 2**20), hash=False)
    with started.client() as other:
        running = [client.submit(time.sleep, 60, pure=False) for _ in range(3)]
        waiting = other.submit(sum, [1, 2], resources={"NONE": 1})
        result = wait_until(lambda: sum((said := health(started.url, **pending))["tasks"].values()) == 5 and said)
        (said,) = result["problems"]
        assert re.search(r"It knows of 5 task\(s\) \(1 memory, 1 no-worker, \d", said), said
        address = r"tcp://127\.0\.0\.1:\d+"
        assert re.search(rf"wanted by alice at {address} \([^)]*1 result\(s\) of 3\.0 MiB\)", said), said
        assert re.search(rf"a client at {address} \(1 no-worker\)", said), said
        assert [one["wanted"] for one in result["clients"]] == [4, 1] and not result["idle"]
        # The pages must not show names and addresses of clients.
        page = get_text(f"{started.url}/daskops/summary.json")
        assert "alice" not in page and client.id not in page
        # Without a usable control socket, only the counts are reported.
        for path in (None, "/nowhere", "/dev/null"):
            (said,) = health(started.url, scheduler_pending=True, control_socket=path)["problems"]
            assert "5 task(s)" in said and "2 client(s) are connected" in said
        waiting.release()
        del waiting
    client.cancel(running)
    del data


def test_pending_scheduler_that_is_down(tmp_path):
    problem = failure(f"http://127.0.0.1:{free_port()}", scheduler_pending=True, control_socket="/nowhere")
    assert "nothing listens there" in problem


# Both kinds of cluster


@pytest.fixture(params=["ours", "stock"])
def either(request):
    return request.getfixturevalue(request.param)


def test_missing_and_unexpected(either):
    result = health(either.url, workers=[W2, W3])
    assert (result["verdict"], result["missing"], result["unexpected"]) == ("unhealthy", ["w3"], ["w1"])
    result = health(either.url, workers=[W2])
    assert (result["verdict"], result["unexpected"]) == ("degraded", ["w1"])
    assert health(either.url, workers=[W2], complete=False)["verdict"] == "healthy"
    assert health(either.url, count=3)["verdict"] == "unhealthy"


@pytest.mark.parametrize("status, key", [("paused", "paused"), ("closing_gracefully", "retiring")])
def test_paused_and_retiring(either, status, key):
    with either.status("w2", status):
        result = wait_until(lambda: (result := health(either.url, workers=[W1, W2]))["problems"] and result)
    assert (result["verdict"], result[key]) == ("degraded", ["w2"])
    assert "w2 on 127.0.0.1" in result["problems"][0]


def test_silent(either):
    with either.stopped("w2"):
        result = wait_until(lambda: (result := health(either.url, silent_after=3))["problems"] and result)
    assert (result["verdict"], result["silent"]) == ("unhealthy", ["w2"])
    assert re.match(r"Silent: w2 on 127.0.0.1 \(for \d+ s\)\.", result["problems"][0])
    assert health(either.url, silent_after=3, timeout=20, interval=0.2)["verdict"] == "healthy"


# A stock cluster


def test_stock_scheduler(stock):
    result = health(stock.url, workers=[W1, W2], timeout=5)
    assert (result["verdict"], result["detail"]) == ("healthy", "identity")
    assert result["scheduler"]["address"] == stock.scheduler.address
    assert result["scheduler"]["clients"] == 1
    assert result["memory"]["limit"] == 2 * 2**30
    told = {w["name"]: w for w in result["workers"]}["w1"]
    assert (told["host"], told["status"], told["nthreads"], told["release"]) == ("127.0.0.1", "running", 1, None)


def test_stock_scheduler_cannot_confirm_a_release(stock):
    result = health(stock.url, workers=[{"name": "w1", "release": "shared.w1"}], complete=False)
    assert (result["verdict"], result["release_differences"]["w1"]["actual"]) == ("unhealthy", None)


def test_worker_with_the_runtime_tells_a_stock_scheduler_its_release(stock):
    expected = [{"name": "w3", "release": "shared.w3"}]
    with worker(stock.scheduler, "w3", runtime=True, DASKOPS_RELEASE="shared.w3"):
        assert health(stock.url, workers=expected, complete=False, timeout=20)["verdict"] == "healthy"


def test_stock_scheduler_under_load(stock):
    """Under load, identity.json nearly always returns 500, so the names come from the workers page."""
    results = []
    with stock.load():
        wait_until(lambda: results.append(health(stock.url, workers=[W1, W2, W3])) or results[-1]["detail"] == "names")
    assert {result["detail"] for result in results} <= {"identity", "names"}
    for result in results:
        assert (result["verdict"], result["missing"]) == ("unhealthy", ["w3"])
        assert result["tasks"]["processing"] > 0


def test_stock_scheduler_counts_paused_workers_under_load(stock):
    with stock.load(), stock.status("w2", "paused"):
        result = wait_until(
            lambda: (result := health(stock.url))["detail"] == "names" and result["problems"] and result
        )
    assert result["verdict"] == "degraded"
    assert result["problems"] == ["1 worker is paused; this scheduler does not tell which under load."]


def test_workers_page_agrees_with_identity(stock):
    report = wait_until(lambda: (report := SchedulerHTTP(stock.url).report())["detail"] == "identity" and report)
    page = from_workers_page(SchedulerHTTP(stock.url).get("info/main/workers.html")[0])
    told = {worker["name"]: worker for worker in report["workers"]}
    assert sorted(worker["name"] for worker in page) == sorted(told)
    for item in page:
        for key in ("address", "host", "nthreads", "memory_limit"):
            assert item[key] == told[item["name"]][key]
        assert 0 < item["memory"] < 2**30
        assert 0 <= item["heartbeat_age"] < 10


def test_only_counts(tmp_path):
    """Without the workers page, only the number of workers is known until identity.json works again."""
    routes = [route for route in STOCK_ROUTES if not route.endswith((".info", ".prometheus"))]
    with scheduler(tmp_path, settings={"scheduler.http.routes": routes}) as started, worker(started, "w1"):
        assert health(started.url, workers=[W1], timeout=20)["detail"] == "identity"
        with started.client() as client:
            futures = client.map(time.sleep, [0.05] * 500, pure=False)
            wait_until(lambda: any(future.done() for future in futures))
            result = wait_until(
                lambda: (result := health(started.url, workers=[W1, W2]))["detail"] == "counts" and result
            )
            client.cancel(futures)
    assert (result["verdict"], result["workers_present"]) == ("unhealthy", 1)
    assert "1 worker is registered instead of 2" in result["problems"][0]


def test_prefix(tmp_path):
    with scheduler(tmp_path, "--dashboard-prefix", "cluster-a", runtime=True) as started:
        assert health(f"{started.url}/cluster-a")["detail"] == "full"
        assert health(f"{started.url}/cluster-a/status")["detail"] == "full"
        assert "not as a Dask scheduler does" in failure(started.url)
        assert "--dashboard-prefix" in failure(started.url)


# Errors


def test_nothing_listens():
    url = f"http://127.0.0.1:{free_port()}"
    problem = failure(url)
    assert problem.startswith(f"{url}/daskops/summary.json: nothing listens there (connection refused).")
    assert "systemctl status dask-scheduler" in problem and "8787" in problem


def test_nothing_listens_until_the_deadline():
    result = health(f"http://127.0.0.1:{free_port()}", workers=[W1], timeout=0.5, interval=0.2)
    assert result["elapsed"] >= 0.5 and result["missing"] == ["w1"]
    assert "s of waiting" in result["msg"] and "Until it answers these are missing: w1." in result["msg"]


def test_waits_for_a_scheduler_that_starts(tmp_path):
    port = free_port()
    with contextlib.ExitStack() as stack:
        starter = threading.Timer(
            0.5,
            lambda: stack.enter_context(scheduler(tmp_path, "--dashboard-address", f"127.0.0.1:{port}", runtime=True)),
        )
        starter.start()
        result = health(f"http://127.0.0.1:{port}", timeout=20, interval=0.1)
        starter.join()
    assert result["verdict"] == "healthy" and result["elapsed"] > 0.4


def test_unresolvable_name():
    problem = failure("http://no-such-host.invalid:8787")
    assert "the name no-such-host.invalid cannot be resolved" in problem and "/etc/hosts" in problem


def test_stopped_scheduler(tmp_path):
    with scheduler(tmp_path, runtime=True) as started:
        started.process.send_signal(signal.SIGSTOP)
        problem = failure(started.url, request_timeout=0.5)
        assert "connected, but no full answer within 0.5 s" in problem and "hangs" in problem
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
    assert "the answer is not HTTP, it begins 'SSH-2.0-OpenSSH_9.2p1" in problem and "Another service" in problem


def test_server_closes_without_a_response():
    with serving(speaking(b""), server=socketserver.TCPServer) as url:
        problem = failure(url)
    assert "closed without an answer" in problem and "https://" in problem


@pytest.mark.parametrize(
    "status, reason, remedy",
    [
        (404, "not as a Dask scheduler does", "--dashboard-prefix"),
        (401, "HTTP 401", "asks for a login"),
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
    assert "the answer is no JSON (text/html), it begins '<html>Welcome to nginx!'" in problem


@pytest.mark.parametrize("document", [{"message": "hello"}, [], None, {"schema": 1, "versions": [], "workers": [3]}])
def test_json_of_another_shape(document):
    with serving(answering(body=json.dumps(document))) as url:
        assert "the JSON has an unexpected shape" in failure(url)


def test_newer_summary():
    with serving(answering(body=json.dumps({"schema": 2}))) as url:
        assert "schema 2 instead of 1" in failure(url)


def test_answer_that_never_ends():
    with serving(answering(pause=0.1)) as url:
        assert "no full answer within 0.5 s" in failure(url, request_timeout=0.5)


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


def test_invalid_arguments_are_rejected():
    for url in ("10.0.0.1:8787", "http://10.0.0..1:8787"):
        assert "is not a URL of a scheduler" in health(url)["msg"]
    for option, value in (("request_timeout", 0), ("interval", -1), ("timeout", "nan"), ("silent_after", "inf")):
        result = health("http://127.0.0.1:8787", **{option: value})
        assert f"{option} is {value}: give a number" in result["msg"] and result["verdict"] == "unknown"
    result = health("https://127.0.0.1:8787", ca_path="/no/such/ca.pem", timeout=60)
    assert result["failed"] and "which is no file here" in result["msg"]


# https


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


def test_unusable_ca_file_is_rejected(tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    result = health("https://127.0.0.1:8787", ca_path=str(tmp_path / "ca.pem"), timeout=60)
    assert result["failed"] and "which cannot be used" in result["msg"] and result["verdict"] == "unknown"


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
