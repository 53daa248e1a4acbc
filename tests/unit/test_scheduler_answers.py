# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded responses of several versions of the scheduler, invalid responses, and responses of other servers."""

from __future__ import annotations

import contextlib
import copy
import http.server
import json
import math
import re
import socketserver
import threading
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import scheduler_answers, service_socket
from ansible_collections.daskops.cluster.plugins.module_utils.health import Expected, judge
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import MAX_BYTES, SchedulerHTTP
from conftest import wait_until
from hypothesis import given
from hypothesis import strategies as st
from recorded import RECORDINGS, STATES, ask, check, health, read, serving

VERSIONS = sorted(file.stem.partition("-")[2] for file in RECORDINGS.glob("distributed-*.json"))
#: Shared by all tests, which must not change it.
RECORDED = {version: read(version) for version in VERSIONS}
IDENTITY, PAGE, METRICS = "json/identity.json", "info/main/workers.html", "metrics"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Do not pause between requests: a recording does not change."""
    monkeypatch.setattr(SchedulerHTTP, "pause", 0)


def strings(value):
    """Return all strings in a value."""
    if isinstance(value, dict):
        return [text for item in value.items() for text in strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def assert_can_be_shown(result):
    """Assert that a result is valid JSON and contains only short printable text."""
    json.dumps(result, allow_nan=False)
    for text in strings(result):
        assert text.isprintable() and len(text) < 20000, ascii(text[:200])


# ---------------------------------------------------------------------------------------------------------------------
# Recordings


def test_recordings_cover_all_versions_and_states():
    assert VERSIONS == ["2022.12.1", "2023.7.1", "2024.1.1", "2025.1.0", "current"]
    assert all(RECORDED[version].keys() == STATES.keys() for version in VERSIONS)
    failing = [version for version in VERSIONS if RECORDED[version]["busy"][IDENTITY][0] == 500]
    assert failing == VERSIONS[1:]  # in these versions the names come from the workers page


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", VERSIONS)
def test_verdict(version, state):
    with serving(RECORDED[version][state]) as url:
        result = ask(url)
    check(result, state)
    # With all routes and prometheus-client, each version gives a definite verdict.
    assert result["verdict"] == STATES[state][0], result["problems"]


@pytest.mark.parametrize("missing", [[IDENTITY], [IDENTITY, METRICS], [IDENTITY, PAGE], [IDENTITY, PAGE, METRICS]])
@pytest.mark.parametrize("version", VERSIONS)
def test_missing_responses_give_the_right_verdict_or_unknown(version, missing):
    unknown = 0
    for state, (verdict, dummy, idle) in STATES.items():
        answers = {**RECORDED[version][state], **dict.fromkeys(missing, (500, {}, ""))}
        if METRICS in missing:
            answers[METRICS] = (200, {}, "# Prometheus metrics are not available, see https://docs.dask.org/\n")
        with serving(answers) as url:
            result = ask(url)
        assert result["verdict"] in (verdict, "unknown"), (state, result["problems"])
        assert result["idle"] is idle and (result["verdict"] == "healthy") == (not result["problems"])
        unknown += result["verdict"] == "unknown"
    assert unknown or missing == [IDENTITY]


def test_worker_states_of_all_versions():
    known = {
        version: scheduler_answers.from_metrics(RECORDED[version]["busy-paused"][METRICS][2]) for version in VERSIONS
    }
    assert known["2022.12.1"] is None
    assert known["2023.7.1"] == known["2024.1.1"] == {"paused or retiring": 1}
    assert known["2025.1.0"] == known["current"] == {"paused": 1, "retiring": 0}


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("364.83 ms", 0.36483),
        ("12.00 us", 12e-6),
        ("6.02 s", 6.02),
        ("10m 12s", 612),
        ("2hr 5m", 7500),
        ("3d 4hr", 273600),
    ]
    + [("soon", None), ("", None), ("5 parsecs", None), ("1 s or 2 s", None)],
)
def test_times_in_the_workers_page(shown, seconds):
    page = RECORDED["2023.7.1"]["idle"][PAGE][2]
    changed = re.sub(r"<td> [^<]*</td>\s*</tr>", f"<td> {shown} </td></tr>", page, count=1)
    (worker, *_) = scheduler_answers.from_workers_page(changed)
    assert worker["heartbeat_age"] == (seconds if seconds is None else pytest.approx(seconds, abs=1e-3))


def test_unknown_workers_page_is_not_parsed():
    page = RECORDED["current"]["idle"][PAGE][2]
    assert scheduler_answers.from_workers_page(page)
    for other in (page.replace("Last seen", "Seen"), page.replace("../worker/", "/worker/"), page[: len(page) // 2]):
        assert scheduler_answers.from_workers_page(other) is None


# ---------------------------------------------------------------------------------------------------------------------
# Invalid values

ODD = [
    None,
    True,
    -1,
    0,
    2**70,
    10**400,
    1e308,
    math.nan,
    math.inf,
    "",
    "9" * 5000,
    "\x1b[2J\x1b]0;title\x07\r\nok",
    "\u202e\u2028\x9b31m",
    "\ud800",
    [],
    [[[]]] * 1000,
    {},
    {"\x1b": {"a": [None]}},
]


def paths(document, above=()):
    """Generate the paths of all parts of a document."""
    yield above
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, item in items:
        yield from paths(item, (*above, key))


def put(document, path, value):
    """Return a document with the part at a path replaced."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    part = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return changed


def judged(reader, document, *others, **more):
    """Return the judgement on a document, or None if it cannot be read."""
    try:
        report = reader(scheduler_answers.parse_json(json.dumps(document)), *others)
    except scheduler_answers.Unreadable as e:
        assert_can_be_shown(str(e))
        return None
    result = judge({**more, **report}, Expected({"w1": None, "w2": None}, silent_after=3))
    assert_can_be_shown(result)
    assert (result["verdict"] == "healthy") == (not result["problems"])
    return result


def identity_of(version, state):
    status, headers, body = RECORDED[version][state][IDENTITY]
    return json.loads(body), headers


WITHOUT_COUNTS = {"tasks": {}, "known_tasks": 0, "states": None}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_identity_with_one_invalid_value(version):
    document, headers = identity_of(version, "idle")
    assert judged(scheduler_answers.from_identity, document, headers, **WITHOUT_COUNTS)["verdict"] == "healthy"
    # Both workers have the same keys, so one of them is enough.
    for path in [path for path in paths(document) if path[:2] != ("workers", list(document["workers"])[1])]:
        for value in ODD:
            result = judged(scheduler_answers.from_identity, put(document, path, value), headers, **WITHOUT_COUNTS)
            if result and path[-1:] in (("last_seen",), ("status",)) and not isinstance(value, (int, float)):
                assert result["verdict"] == "unknown", (path, value)


@given(st.data())
def test_identity_with_several_invalid_values(data):
    version, state = (
        data.draw(st.sampled_from(VERSIONS)),
        data.draw(st.sampled_from(["idle", "idle-stopped", "lacking"])),
    )
    document, headers = identity_of(version, state)
    everywhere = list(paths(document))
    for _ in range(data.draw(st.integers(1, 5))):
        with contextlib.suppress(LookupError, TypeError):  # the path was replaced already
            document = put(document, data.draw(st.sampled_from(everywhere)), data.draw(st.sampled_from(ODD)))
    judged(scheduler_answers.from_identity, document, headers, **WITHOUT_COUNTS)


def test_counts_with_one_invalid_value():
    document = json.loads(RECORDED["current"]["lacking"]["json/counts.json"][2])
    for key in document:
        for value in ODD:
            result = judged(scheduler_answers.from_counts, {**document, key: value})
            if result and key == "tasks" and value != 0:
                assert not result["idle"], value


@given(st.sampled_from(VERSIONS), st.integers(0, 3000), st.text(max_size=5), st.integers(0, 5))
def test_changed_workers_page_gives_printable_results(version, position, inserted, removed):
    page = RECORDED[version]["busy"][PAGE][2]
    workers = scheduler_answers.from_workers_page(page[:position] + inserted + page[position + removed :])
    assert_can_be_shown(workers)


@pytest.mark.parametrize(
    "piece", ['<a href="../worker/', "<td ", "<td", '<td data-sort="', "&#", " " * 9, "<tr", "<th ", "1hr "]
)
def test_long_workers_page_is_parsed_in_time(piece):
    page = RECORDED["current"]["busy"][PAGE][2].replace(" w1 ", piece * (2**20 // len(piece)))
    started = time.monotonic()
    scheduler_answers.from_workers_page(page)
    scheduler_answers.from_metrics("\n".join(["dask_scheduler_workers{" + piece * 1000] * 100))
    assert time.monotonic() - started < 3


CLIENTS = {
    "clients": [
        {
            "client": "Client-alice-12345678-1234-1234-1234-123456789abc",
            "address": "tcp://10.0.0.9:41000",
            "wanted": 3,
            "looked_at": 3,
            "tasks": {"memory": 3},
            "bytes": 30,
        }
    ],
    "more": 0,
}
SETTINGS = {"settings": {"a.b": [{"c": [1, "x"]}, "file"]}, "drift": ["a.b"]}


@pytest.mark.parametrize(
    ("reader", "document"), [(scheduler_answers.from_clients, CLIENTS), (scheduler_answers.from_settings, SETTINGS)]
)
def test_response_of_the_control_socket_with_one_invalid_value(reader, document):
    assert reader(document)
    for path in paths(document):
        for value in ODD:
            with contextlib.suppress(scheduler_answers.Unreadable):
                assert_can_be_shown(reader(scheduler_answers.parse_json(json.dumps(put(document, path, value)))))


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("Client-12345678-1234-1234-1234-123456789abc", ""),
        ("Client-alice-12345678-1234-1234-1234-123456789abc", "alice"),
        ("Client-worker-12345678-1234-1234-1234-123456789abc", "worker"),
        ("fire-and-forget", "fire-and-forget"),
        ("\x1b[31m", "\\x1b[31m"),
        (7, "unknown"),
    ],
)
def test_names_of_clients(called, name):
    (client,), more = scheduler_answers.from_clients(put(CLIENTS, ("clients", 0, "client"), called))
    assert (client["name"], more) == (name, 0)


@contextlib.contextmanager
def answering_at_a_socket(directory, piece, pause):
    """Serve a Unix socket that sends a piece repeatedly, and return its path."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                while True:
                    self.request.sendall(piece)
                    time.sleep(pause)

    path = str(directory / "control.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield path
        server.shutdown()


@pytest.mark.parametrize(
    ("piece", "pause", "words"), [(b" ", 0.05, "no full answer within 0.5 s"), (b" " * 2**20, 0, "longer than")]
)
def test_endless_response_of_the_control_socket_is_cut_off(tmp_path, piece, pause, words):
    started = time.monotonic()
    with answering_at_a_socket(tmp_path, piece, pause) as path, pytest.raises(OSError, match=words):
        service_socket.ask(path, "clients", 0.5 if pause else 20)
    assert time.monotonic() - started < 10


def test_invalid_or_deep_json_is_rejected_in_time():
    started = time.monotonic()
    for text in ("[" * 200_000, '{"a":' * 200_000, "", "\x00", "{", "nan"):
        with pytest.raises(scheduler_answers.Unreadable):
            scheduler_answers.parse_json(text)
    assert scheduler_answers.parse_json("9" * 2**20) is None
    assert scheduler_answers.parse_json('[NaN, -Infinity, 1e999, "\\u001b"]') == [None, None, None, "\x1b"]
    assert time.monotonic() - started < 5


def test_escaped_name_does_not_match_another_worker():
    document, headers = identity_of("current", "idle")
    for address, name in zip(document["workers"], ("w1", "w2\x00")):
        document["workers"][address]["name"] = name
    result = judged(scheduler_answers.from_identity, document, headers, **WITHOUT_COUNTS)
    assert (result["missing"], result["unexpected"]) == (["w2"], ["w2\\x00"])


# ---------------------------------------------------------------------------------------------------------------------
# Responses of other servers


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
        ([OK, *[b"X: y\r\n"] * 90], "no full answer within 0.4 s"),  # slow headers
        ([OK + b"\r\n", *[b" "] * 90], "no full answer within 0.4 s"),
        ([b"H"], "no full answer within 0.4 s"),
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
        with serving({"daskops/summary.json": (status, {"Location": target}, "")}) as url:
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
