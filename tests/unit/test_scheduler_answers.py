# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded responses of several versions of the scheduler, invalid responses, and responses of other servers."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import re
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import scheduler_answers
from ansible_collections.daskops.cluster.plugins.module_utils.health import Expected, judge
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import SchedulerError, SchedulerHTTP
from hypothesis import given
from hypothesis import strategies as st
from recorded import RECORDINGS, STATES, ask, assert_can_be_shown, check, read, serving

pytestmark = pytest.mark.usefixtures("hurried")

VERSIONS = sorted(file.stem.partition("-")[2] for file in RECORDINGS.glob("distributed-*.json"))
#: Shared by all tests, which must not change it.
RECORDED = {version: read(version) for version in VERSIONS}
IDENTITY, PAGE, METRICS = "json/identity.json", "info/main/workers.html", "metrics"


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


def test_requests_of_clients_are_read_with_care():
    read = scheduler_answers.requests_of
    one = {"pool": "gpu", "minimum": 0, "maximum": 0, "workers": 4, "waiting": 7, "address": "tls://h:1", "since": "t"}
    wrong = [dict(one, pool=7), dict(one, since=""), dict(one, waiting="7"), dict(one, maximum=-1), {}, "gpu", None]
    assert read([*wrong, dict(one, pool="a\nb", more=1)]) == [dict(one, pool="a\\nb")]
    assert read(None) == read({"pool": "gpu"}) == []


def test_workers_on_standby_are_read_with_care():
    """An older runtime does not report them, and their values may have any type."""
    read_standby = scheduler_answers.standby_of
    assert read_standby(None) == read_standby("w1") == read_standby([None, "w1", {}, {"name": ["w1"]}]) == []
    odd = {"name": "w1\n\x1b[2J", "host": 7, "release": "x" * 1000, "outside": "until\nMon"}
    (found,) = read_standby([odd])
    assert found["outside"] == "until\\nMon" and read_standby([{"name": "w1"}])[0]["outside"] is None
    assert read_standby([{"name": "w1", "outside": ["until"]}])[0]["outside"] is None
    odd = [{"name": "w1", "starting": value, "cause": 7} for value in (True, 1, "yes", None)]
    assert [(one["starting"], one["cause"]) for one in read_standby(odd)] == [(True, None), *[(False, None)] * 3]
    assert found["name"] == "w1\\n\\x1b[2J" and found["host"] is None and len(found["release"]) < 310


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "scheduler", "workers", "versions", "tasks", "name", "clients"]), values
        )
    ),
)


@given(json_values)
def test_other_json_is_rejected(document):
    client = SchedulerHTTP("http://127.0.0.1:1")
    for reader, headers in (
        (scheduler_answers.from_summary, ()),
        (scheduler_answers.from_counts, ()),
        (scheduler_answers.from_identity, ({},)),
    ):
        with pytest.raises(SchedulerError, match="unexpected form"):
            client._shaped("route", reader, document, *headers)


@given(st.text())
def test_other_text_is_ignored(text):
    assert scheduler_answers.from_workers_page(text) is None
    assert scheduler_answers.from_metrics(text) is None
