# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement of reports about a cluster."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.health import (
    DEGRADED,
    HEALTHY,
    NAMED,
    UNHEALTHY,
    UNKNOWN,
    VERDICTS,
    Expected,
    count_waiting,
    describe_outside,
    describe_standby,
    judge,
    unreachable,
)
from hypothesis import given
from hypothesis import strategies as st

PACKAGES = {"python": "3.11.7.final.0", "dask": "2026.8.0", "numpy": "2.3.1"}


def worker(name, **changes):
    return {
        "name": name,
        "host": f"host-of-{name}",
        "status": "running",
        "heartbeat_age": 0.5,
        "memory": 10,
        "memory_limit": 100,
        "release": f"shared.{name}",
        "versions": PACKAGES,
        **changes,
    }


def report(*workers, **changes):
    return {
        "detail": "full",
        "scheduler": {"status": "running", "release": "shared.s", "versions": PACKAGES},
        "count": len(workers),
        "workers": list(workers),
        "tasks": {},
        "known_tasks": 0,
        "states": None,
        **changes,
    }


def expect(*names, **others):
    return Expected(dict.fromkeys(names), **others)


def only_problem(result):
    (problem,) = result["problems"]
    return problem


def test_whole_cluster():
    result = judge(report(worker("b"), worker("a")), expect("a", "b", count=2, scheduler_release="shared.s"))
    assert result["verdict"] == HEALTHY
    assert result["problems"] == []
    assert result["workers_expected"] == result["workers_present"] == 2
    assert result["memory"] == {"used": 20, "limit": 200}
    assert result["releases"] == {"shared": ["a", "b"]}
    assert [w["name"] for w in result["workers"]] == ["a", "b"]
    assert not any("versions" in w for w in result["workers"])


def test_no_workers_and_none_expected():
    assert judge(report(), Expected())["verdict"] == HEALTHY


def test_workers_on_standby_are_present_and_must_have_the_expected_release():
    waiting = [{"name": "c", "host": "h", "release": "shared.c"}, {"name": "other", "host": "h", "release": None}]
    one = report(worker("a"), standby=waiting)
    expected = Expected({"a": "shared.a", "c": "shared.c"}, complete=False, count=3)
    result = judge(one, expected)
    assert (result["verdict"], result["standby"], result["workers_present"]) == (HEALTHY, ["c", "other"], 1)
    old = judge(one, Expected({"a": "shared.a", "c": "next.c"}, complete=False))
    assert old["verdict"] == UNHEALTHY
    assert only_problem(old) == "Not the expected release: c on h (shared.c instead of next.c). Restart their units."
    few = judge(one, Expected(count=4))
    assert only_problem(few).startswith("1 worker is registered, and 2 on standby, instead of at least 4.")
    assert judge(one, expect("a", "b"))["missing"] == ["b"]


def test_workers_outside_of_their_hours_are_present():
    waiting = [
        {"name": "c", "host": "h", "release": "shared.c", "outside": "until Mon 19:00"},
        {"name": "d", "host": "h", "release": "shared.d", "outside": None},
    ]
    one = report(worker("a"), standby=waiting)
    result = judge(one, Expected({"a": "shared.a", "c": "shared.c", "d": "shared.d"}, count=3))
    assert (result["verdict"], result["missing"], result["problems"]) == (HEALTHY, [], [])
    assert (result["standby"], result["outside_hours"]) == (["d"], {"c": "until Mon 19:00"})
    old = judge(one, Expected({"a": "shared.a", "c": "next.c"}, complete=False))
    assert only_problem(old) == "Not the expected release: c on h (shared.c instead of next.c). Restart their units."
    assert only_problem(judge(one, Expected(count=4))).startswith(
        "1 worker is registered, and 1 on standby, 1 outside of their hours, instead of at least 4."
    )


def test_starting_workers_are_present_named_and_at_most_degraded():
    """Before, a worker that had left standby counted as missing until it was registered."""
    waiting = [
        {"name": "b", "host": "h", "release": "shared.b", "outside": None, "cause": None, "starting": True},
        {"name": "c", "host": "h", "release": "shared.c", "outside": None, "cause": "idle", "starting": False},
    ]
    one = report(worker("a"), standby=waiting)
    result = judge(one, Expected({"a": "shared.a", "b": "shared.b", "c": "shared.c"}, count=3))
    assert (result["verdict"], result["missing"]) == (DEGRADED, [])
    assert (result["starting"], result["standby"]) == (["b"], ["c"])
    assert only_problem(result) == (
        "Starting: b on h. They were on standby or outside of their hours, and are not registered yet."
    )
    # A gate ignores the hosts of other batches, and does not pass with another release.
    assert judge(one, Expected({"a": "shared.a"}, complete=False))["verdict"] == HEALTHY
    assert judge(one, Expected({"b": "next.b"}, complete=False))["verdict"] == UNHEALTHY
    assert judge(one, Expected({"b": None}, complete=False, registered_only=True))["verdict"] == DEGRADED
    few = judge(one, Expected(count=4))["problems"][0]
    assert few.startswith("1 worker is registered, and 1 on standby, 1 starting, instead of at least 4.")


def test_waiting_workers_have_a_state_and_a_cause():
    waiting = [
        {"name": "a", "host": "h", "release": "shared.a", "cause": "request"},
        {"name": "b", "host": None, "release": None, "cause": "<b>"},
        {"name": "c", "host": "h", "release": "shared.c", "outside": "until Mon 19:00", "cause": "idle"},
        {"name": "d", "cause": "idle", "starting": True},
        *({"name": name, "cause": cause} for name, cause in [("e", "idle"), ("f", "maximum"), ("g", "request")]),
    ]
    found = judge(report(standby=waiting), Expected())["waiting"]
    assert found[0] == {
        "name": "a",
        "state": "standby",
        "cause": "request",
        "outside": "",
        "host": "h",
        "release": "shared.a",
    }
    assert [(one["state"], one["cause"], one["outside"]) for one in found[1:4]] == [
        ("standby", "", ""),
        ("outside hours", "", "until Mon 19:00"),
        ("starting", "", ""),
    ]
    assert list(describe_standby(found)) == [
        "On standby, because a client has asked for fewer workers: a, g.",
        "On standby, because their pool has reached its maximum in the inventory: f.",
        "On standby, because there is no work for them: e.",
        "On standby: b.",
    ]
    assert count_waiting(one["state"] for one in found) == "5 on standby, 1 outside of their hours, 1 starting"
    assert count_waiting([]) == ""


def test_worker_whose_hours_cannot_be_used_is_named():
    about = {"name": "b", "host": "h", "release": "shared.b", "outside": "for an unknown time, because a is lost"}
    result = judge(report(worker("a"), standby=[{**about, "returns": False}]), expect("a", "b"))
    assert (result["verdict"], result["missing"]) == (DEGRADED, [])
    assert only_problem(result) == (
        "b does not start, because its dask_worker_hours cannot be used. It is off for an unknown time, because a is lost. "
        "Correct that on its host, or run site.yml."
    )


def test_workers_outside_of_their_hours_are_grouped_by_the_time_of_their_return():
    outside = {"a": "until Mon 19:00", "b": "until Sat 00:00", "c": "until Mon 19:00"}
    assert describe_outside(outside) == "a, c until Mon 19:00; b until Sat 00:00"


def test_tasks_that_wait_because_of_a_request_of_a_client():
    request = {
        "pool": "gpu",
        "minimum": 0,
        "maximum": 1,
        "workers": 4,
        "waiting": 0,
        "address": "tls://h:1",
        "since": "t",
    }
    kept = judge(report(scaling_requests=[request]), Expected())
    assert (kept["verdict"], kept["scaling_requests"]) == (HEALTHY, [request])
    result = judge(report(scaling_requests=[dict(request, waiting=7)]), Expected())
    assert result["verdict"] == DEGRADED
    assert only_problem(result) == (
        "7 task(s) wait for workers that a client has stopped. Pool gpu: 0 to 1 of 4 workers, requested from tls://h:1 "
        "at t. Ask its user to scale, or call scale() of daskops.Cluster without a number."
    )


def test_missing():
    result = judge(report(worker("a")), expect("a", "b", "c"))
    assert result["verdict"] == UNHEALTHY
    assert result["missing"] == ["b", "c"]
    assert only_problem(result).startswith("Missing: b, c. Check")


def test_unexpected_only_degrades():
    result = judge(report(worker("a"), worker("b")), expect("a"))
    assert (result["verdict"], result["unexpected"]) == (DEGRADED, ["b"])
    assert "b on host-of-b" in only_problem(result)
    assert "remove.yml --limit HOST" in only_problem(result)


def test_count():
    assert judge(report(worker("a")), Expected(count=1))["verdict"] == HEALTHY
    result = judge(report(worker("a")), Expected(count=2))
    assert (result["verdict"], result["workers_expected"]) == (UNHEALTHY, 2)
    assert "1 worker is registered instead of at least 2" in only_problem(result)


@pytest.mark.parametrize(
    "status, key, words",
    [
        ("paused", "paused", "Paused"),
        ("closing_gracefully", "retiring", "Retiring"),
        ("closing", "retiring", "Retiring"),
    ],
)
def test_paused_and_retiring(status, key, words):
    result = judge(report(worker("a"), worker("b", status=status)), expect("a", "b"))
    assert (result["verdict"], result[key]) == (DEGRADED, ["b"])
    assert only_problem(result).startswith(words) and "b on host-of-b" in only_problem(result)


def test_silent():
    result = judge(report(worker("a", heartbeat_age=31), worker("b", heartbeat_age=30)), Expected(silent_after=30))
    assert (result["verdict"], result["silent"]) == (UNHEALTHY, ["a"])
    assert only_problem(result).startswith("Silent: a on host-of-a (for 31 s).")


def test_closing_scheduler():
    result = judge(report(scheduler={"status": "closing"}), Expected())
    assert (result["verdict"], only_problem(result)[:25]) == (UNHEALTHY, "The scheduler is closing.")


def test_versions_against_the_scheduler():
    other = dict(PACKAGES, dask="2026.7.1")
    result = judge(report(worker("a"), worker("b", versions=other)), Expected())
    assert result["verdict"] == UNHEALTHY
    assert result["versions"] == {"dask": {"2026.8.0": ["scheduler", "a"], "2026.7.1": ["b"]}}
    assert "dask differ: 2026.7.1 on b; 2026.8.0 on scheduler, a." in only_problem(result)


def test_package_that_only_some_workers_have():
    result = judge(report(worker("a"), worker("b", versions=dict(PACKAGES, numpy=None))), Expected())
    assert result["versions"] == {"numpy": {"2.3.1": ["scheduler", "a"], "missing": ["b"]}}


def test_package_that_the_scheduler_lacks_is_compared_among_workers():
    scheduler = {"status": "running", "versions": dict(PACKAGES, numpy=None)}
    assert judge(report(worker("a"), worker("b"), scheduler=scheduler), Expected())["verdict"] == HEALTHY
    other = worker("b", versions=dict(PACKAGES, numpy="1.26.4"))
    result = judge(report(worker("a"), other, scheduler=scheduler), Expected())
    assert result["versions"] == {"numpy": {"2.3.1": ["a"], "1.26.4": ["b"]}}


@pytest.mark.parametrize("python, verdict", [("3.11.9.final.0", DEGRADED), ("3.12.1.final.0", UNHEALTHY)])
def test_python_patch_releases_only_degrade(python, verdict):
    result = judge(report(worker("a", versions=dict(PACKAGES, python=python))), Expected())
    assert result["verdict"] == verdict
    assert list(result["versions"]) == ["python"]


def test_release_other_than_expected():
    expected = Expected({"a": "new.1", "b": None})
    result = judge(report(worker("a", release="old.1"), worker("b")), expected)
    assert result["verdict"] == UNHEALTHY
    assert result["release_differences"] == {"a": {"expected": "new.1", "actual": "old.1"}}
    assert "a on host-of-a (old.1 instead of new.1)" in only_problem(result)


def test_unknown_release():
    result = judge(report(worker("a", release=None)), Expected({"a": "new.1"}, scheduler_release="new.s"))
    assert result["verdict"] == UNHEALTHY
    assert any("a on host-of-a (unknown instead of new.1)" in problem for problem in result["problems"])
    assert any("runs release shared.s instead of new.s" in problem for problem in result["problems"])


def test_mixed_releases():
    result = judge(report(worker("a"), worker("b", release="old.b")), Expected())
    assert result["verdict"] == DEGRADED
    assert result["releases"] == {"shared": ["a"], "old": ["b"]}
    assert "old on b; shared on a" in only_problem(result)
    assert result["labels"] == {}


def test_problems_with_releases_name_their_labels():
    result = judge(report(worker("a"), worker("b", release="old.b", label="v1.3")), Expected())
    assert "old (v1.3) on b; shared on a" in only_problem(result)
    assert result["labels"] == {"old": "v1.3"}
    result = judge(report(worker("a", release="old.1", label="v1.3")), Expected({"a": "new.1"}))
    assert "a on host-of-a (old.1 (v1.3) instead of new.1)" in only_problem(result)


DAY = 86400


def test_valid_certificates():
    dates = {"certificate_expires": 40 * DAY}
    result = judge(report(worker("a", **dates), worker("b")), expect("a", "b", now=0))
    assert (result["verdict"], result["certificate_days"]) == (HEALTHY, 40)
    assert judge(report(worker("a")), expect("a"))["certificate_days"] is None


@pytest.mark.parametrize(("days", "told"), [(29, "in 29 days"), (-1, "in -1 days or have expired")])
def test_certificates_that_expire_soon(days, told):
    scheduler = {"status": "running", "versions": PACKAGES, "certificate_expires": days * DAY}
    late = worker("b", certificate_expires=400 * DAY)
    result = judge(report(worker("a"), late, scheduler=scheduler), expect("a", "b", now=0, certificate_warn_days=30))
    assert result["verdict"] == DEGRADED and result["certificate_days"] == days
    assert told in only_problem(result) and ": scheduler." in only_problem(result)
    assert "Run site.yml. If they are your own" in only_problem(result)


def test_workers_outside_an_incomplete_list_are_not_judged():
    old = worker("b", release="old.b", versions=dict(PACKAGES, dask="2025.1.0"), status="paused", heartbeat_age=99)
    result = judge(report(worker("a"), old), Expected({"a": "shared.a"}, complete=False))
    assert (result["verdict"], result["unexpected"]) == (HEALTHY, [])
    assert judge(report(old), Expected({"a": None}, complete=False))["missing"] == ["a"]


def test_unknown_names():
    unknown = {"workers": None, "detail": "counts", "scheduler": {}}
    assert judge(report(count=2, **unknown), expect("a", "b"))["verdict"] == UNKNOWN
    assert judge(report(count=2, **unknown), Expected())["verdict"] == UNKNOWN
    result = judge(report(count=1, **unknown), expect("a", "b"))
    assert (result["verdict"], result["missing"]) == (UNHEALTHY, [])
    assert any("1 worker is registered instead of 2" in problem for problem in result["problems"])


def test_states_known_only_as_counts():
    """If not all workers are judged, the paused one may be another one."""
    pages = [worker("a", status=None), worker("b", status=None)]
    for states, verdict in (({"paused": 1, "retiring": 0}, DEGRADED), ({"paused": 0}, HEALTHY), (None, UNKNOWN)):
        assert judge(report(*pages, states=states), expect("a", "b"))["verdict"] == verdict
    result = judge(report(*pages, states={"paused or retiring": 1}), expect("a", complete=False))
    assert (result["verdict"], only_problem(result)[:30]) == (UNKNOWN, "1 worker is paused or retiring")


@pytest.mark.parametrize(
    "changes",
    [{"heartbeat_age": None}, {"status": None}, {"status": "init"}, {"status": "resting"}, {"versions": None}],
)
def test_unknown_values_of_a_worker_give_the_verdict_unknown(changes):
    result = judge(report(worker("a"), worker("b", **changes)), expect("a", "b"))
    assert result["verdict"] == UNKNOWN and "b on host-of-b" in only_problem(result)


def test_unknown_release_under_load():
    page = worker("a")
    del page["release"]
    result = judge(report(page, detail="names"), Expected({"a": "new.1"}))
    assert (result["verdict"], result["release_differences"]) == (UNKNOWN, {})


@pytest.mark.parametrize(("known", "idle"), [(0, True), (3, False), (None, False)])
def test_scheduler_is_idle_only_if_its_tasks_are_known(known, idle):
    assert judge(report(known_tasks=known, tasks={"memory": 0}), Expected())["idle"] is idle
    assert unreachable("nothing listens there", Expected())["idle"] is False


def test_unreachable():
    result = unreachable("http://x: nothing listens there.", expect("a", "b"))
    assert (result["verdict"], result["missing"], result["detail"]) == (UNHEALTHY, ["a", "b"], "none")
    assert only_problem(result).startswith("http://x: nothing listens there.")
    assert only_problem(result).endswith("missing: a, b.")


def test_long_lists_are_shortened_in_messages_only():
    names = [f"w{i:03}" for i in range(NAMED + 280)]
    result = judge(report(), expect(*names))
    assert result["missing"] == names
    assert " and 280 more." in only_problem(result)


names = st.sampled_from(["n1", "n2", "n3", "n4", "n5"])
workers = st.builds(
    worker,
    names,
    status=st.sampled_from(["running", "paused", "closing_gracefully", "closing", "init"]),
    heartbeat_age=st.floats(0, 100),
    release=st.sampled_from([None, "one.x", "one.y", "two.x"]),
    versions=st.none()
    | st.dictionaries(st.sampled_from(["python", "dask", "numpy"]), st.sampled_from([None, "1", "2"])),
    memory_limit=st.none() | st.integers(1, 100),
)
reports = st.builds(
    lambda workers, **others: report(*workers, **others),
    st.lists(workers, unique_by=lambda worker: worker["name"]),
    states=st.none() | st.fixed_dictionaries({"paused": st.integers(0, 2)}),
)
expectations = st.builds(
    Expected,
    st.dictionaries(names, st.sampled_from([None, "one.x", "two.x"])),
    complete=st.booleans(),
    count=st.none() | st.integers(0, 6),
    scheduler_release=st.sampled_from([None, "shared.s", "other.s"]),
    silent_after=st.floats(0, 100),
)


@given(reports, expectations)
def test_verdict_and_problems_agree(report, expected):
    result = judge(report, expected)
    assert result["problems"] == sorted(result["problems"])
    assert (result["verdict"] == HEALTHY) == (not result["problems"])
    bad = result["missing"] or result["silent"] or result["release_differences"]
    assert result["verdict"] == UNHEALTHY or not bad
    assert result["verdict"] != HEALTHY or not (result["unexpected"] or result["paused"] or result["retiring"])
    for name in result["missing"] + result["unexpected"] + result["silent"] + result["paused"]:
        assert any(name in problem for problem in result["problems"])
    present = {worker["name"] for worker in report["workers"]}
    assert present | set(result["missing"]) >= set(expected.workers)
    assert not present & set(result["missing"])


@given(reports, expectations)
def test_order_of_workers_does_not_matter(report, expected):
    assert judge(dict(report, workers=report["workers"][::-1]), expected) == judge(report, expected)


@given(reports, expectations, names)
def test_additional_expected_worker_that_is_missing_is_unhealthy(report, expected, name):
    """Adding an expected worker can only turn an unexpected worker into an expected one."""
    present = {worker["name"] for worker in report["workers"]}
    if name in present or not expected.workers:
        return
    more = Expected({**expected.workers, name: None}, expected.complete, expected.count)
    assert VERDICTS.index(judge(report, more)["verdict"]) == VERDICTS.index(UNHEALTHY)


# ---------------------------------------------------------------------------------------------------------------------
# A pending scheduler


def pending(**changes):
    """Return the problem of a scheduler that runs an older release."""
    return only_problem(judge(report(worker("a"), **changes), Expected(scheduler_pending=True)))


def client(**changes):
    told = {"name": "alice", "address": "tls://10.0.0.9:41000", "wanted": 3, "looked_at": 3, "tasks": {}, "bytes": 0}
    return {**told, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"known_tasks": 0}, "It has no work now. Run site.yml again"),
        ({"known_tasks": None}, "The amount of its work is not known."),
        (
            {"known_tasks": 3, "tasks": {"memory": 1, "processing": 2, "erred": 0}},
            "3 task(s) (1 memory, 2 processing).",
        ),
        (
            {"known_tasks": 3, "clients": [client(tasks={"memory": 2, "processing": 1}, bytes=3 * 2**30)]},
            "belong to alice at tls://10.0.0.9:41000 (1 processing, 2 result(s) of 3.0 GiB).",
        ),
        (
            {"known_tasks": 3, "clients": [client(name="", address=None, tasks={"erred": 3})], "more_clients": 2},
            "belong to a client (3 erred) and 2 more client(s).",
        ),
        (
            {"known_tasks": 90, "clients": [client(wanted=90, looked_at=10, tasks={"memory": 10}, bytes=10)]},
            "(of 90 tasks at least 10 result(s) of 10 bytes)",
        ),
        (
            {"scheduler": {"status": "running", "versions": dict(PACKAGES, dask="2026.7.1", numpy=None)}},
            "its versions differ from those of the workers: dask 2026.7.1 instead of 2026.8.0.",
        ),
    ],
)
def test_pending_scheduler_reports_its_work(changes, words):
    assert words in pending(**changes)


def test_pending_scheduler_of_the_same_versions():
    assert "versions" not in pending()


def test_known_problems_degrade_the_verdict():
    result = judge(report(worker("a")), Expected(known_problems=["Hosts differ."]))
    assert (result["verdict"], result["problems"]) == (DEGRADED, ["Hosts differ."])
    result = judge(report(), expect("a", known_problems=["Hosts differ."]))
    assert result["verdict"] == UNHEALTHY and "Hosts differ." in result["problems"]


def test_registered_only_ignores_the_state_of_workers():
    older = worker("b", versions={**PACKAGES, "dask": "2025.1.0"}, status="paused", heartbeat_age=99.0)
    seen = report(worker("a"), older)
    assert judge(seen, expect("a", "b"))["verdict"] == UNHEALTHY
    only = {"registered_only": True, "complete": False}
    assert judge(seen, expect("a", "b", **only))["verdict"] == HEALTHY
    assert judge(seen, expect(**only))["verdict"] == HEALTHY
    assert "Missing: c." in only_problem(judge(seen, expect("a", "c", **only)))
    assert judge(seen, expect("a", scheduler_release="other.s", **only))["verdict"] == UNHEALTHY
    closing = {**seen, "scheduler": {**seen["scheduler"], "status": "closing"}}
    assert judge(closing, expect("a", **only))["verdict"] == UNHEALTHY
    assert unreachable("No answer.", expect(**only))["verdict"] == UNHEALTHY
