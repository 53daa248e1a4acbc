# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverting a failed change: the release of each host, and the messages."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.reverting import (
    about_scheduler,
    gate_problem,
    last_words,
    problem_of,
    scheduler_state,
    served_before,
    went_back,
    workers_to_return,
)

SCHEDULER = "dask-scheduler.service"


def release(name, served=("scheduler", "worker"), kinds=("scheduler", "worker")):
    units = {"scheduler": SCHEDULER, "worker": "dask-worker@1.service"}
    return {"id": name, "served": list(served), "services": {kind: {units[kind]: f"{name}.{kind}"} for kind in kinds}}


OLD, NEW = release("old"), release("new", served=())


@pytest.mark.parametrize(
    "result, said",
    [
        ({"changed": True}, ""),
        ({"skipped": True, "changed": False}, ""),
        ({"failed": True, "msg": "it does not come up"}, "node1: it does not come up"),
        ({"unreachable": True, "msg": "No route"}, "node1 cannot be reached any more. No route"),
        (
            {"failed": True, "msg": "MODULE FAILURE\nSee stdout", "module_stderr": "Traceback\nOSError: full\n"},
            "node1: MODULE FAILURE OSError: full",
        ),
        ({"failed": True}, "node1: it failed without a message"),
        (None, "node1: nothing is known of it."),
        ({}, "node1: nothing is known of it."),
    ],
)
def test_problem_names_the_host(result, said):
    assert problem_of("node1", result) == said


@pytest.mark.parametrize(
    "kind, answer, says_no",
    [
        ("worker", {"verdict": "healthy"}, False),
        ("worker", {"verdict": "degraded"}, False),
        ("worker", {"verdict": "unhealthy", "msg": "Missing"}, True),
        ("worker", {"verdict": "unknown", "detail": "counts", "msg": "untold"}, True),
        ("scheduler", {"verdict": "unknown", "detail": "counts", "msg": "untold"}, False),
        ("scheduler", {"verdict": "unknown", "detail": "none", "msg": "silent"}, True),
        ("scheduler", {"verdict": "unhealthy", "detail": "full", "msg": "Missing"}, True),
        # No result: invalid arguments, no Python, an unreachable host, a skipped task, an empty result.
        ("worker", {"failed": True, "msg": "CA", "verdict": "unknown"}, True),
        ("worker", {"failed": True, "msg": "The module interpreter was not found.", "rc": 127}, True),
        ("worker", {"unreachable": True, "msg": "timed out"}, True),
        ("scheduler", {"failed": True, "verdict": "healthy"}, True),
        ("worker", {"skipped": True}, True),
        ("worker", {}, True),
    ],
)
def test_health_check_passes_only_with_a_result(kind, answer, says_no):
    assert bool(gate_problem(kind, answer)) == says_no


def answer(address="tls://10.0.0.1:8786", distributed="2025.1", **more):
    workers = [{"name": name, "release": "old.w"} for name in ("node1-1", "node1-2", "node2-1")]
    return {
        "scheduler": {"address": address, "versions": {"distributed": distributed}},
        "workers": [*workers, {"name": "laptop", "release": None}],
        **more,
    }


SEEN = {"running": {SCHEDULER: "old.s", "dask-worker@1.service": "same", "dask-worker@2.service": "old"}}
WANTED = {"services": {"worker": {"dask-worker@1.service": "same", "dask-worker@2.service": "new"}}}


@pytest.mark.parametrize(
    "before, after, expected",
    [
        (answer(), answer(), ["node1-1", "node2-1"]),
        (answer(silent=["node2-1"]), answer(), ["node1-1"]),
        (answer(retiring=["node1-1"]), answer(), ["node2-1"]),
        # Workers with the old address or version cannot register before they change, too.
        (answer(), answer(address="tls://10.0.0.1:9786"), []),
        (answer(), answer(distributed="2025.2"), []),
        # The health check before the change was skipped or failed.
        ({"skipped": True}, answer(), []),
        ({"failed": True, "msg": "CA"}, answer(), []),
        ({"scheduler": {}, "workers": [], "detail": "none"}, answer(), []),
    ],
)
def test_workers_that_must_register_again(before, after, expected):
    assert workers_to_return(before, after, "node1", SEEN, WANTED) == expected


@pytest.mark.parametrize(
    "seen, wanted, kind, found",
    [
        ({"current": OLD, "previous": {}, "running": {SCHEDULER: "old.scheduler"}}, NEW, "scheduler", "old"),
        ({"current": OLD, "previous": {}, "running": {}}, NEW, "worker", "old"),
        # A first run, a repeated first run, and a restart.
        ({"current": {}, "previous": {}, "running": {}}, NEW, "scheduler", None),
        ({"current": NEW, "previous": {}, "running": {SCHEDULER: None}}, NEW, "scheduler", None),
        ({"current": OLD, "previous": {}, "running": {SCHEDULER: "old.scheduler"}}, OLD, "scheduler", None),
        # A failed change was not reverted, and is repeated.
        ({"current": NEW, "previous": OLD, "running": {SCHEDULER: None}}, NEW, "scheduler", "old"),
        # The workers of the scheduler's host changed twice while it had work.
        (
            {
                "current": release("third", served=["worker"]),
                "previous": release("second", served=["worker"]),
                "serving": OLD,
                "running": {SCHEDULER: "old.scheduler"},
            },
            release("third"),
            "scheduler",
            "old",
        ),
        # The host had no service of this kind before.
        (
            {"current": release("w", served=["worker"], kinds=["worker"]), "previous": {}, "running": {}},
            NEW,
            "scheduler",
            None,
        ),
    ],
)
def test_served_before_selects_the_release_to_revert_to(seen, wanted, kind, found):
    assert served_before(seen, wanted, kind).get("id") == found


def test_message_lists_the_reverted_hosts_of_a_batch():
    ok, lost = {"changed": True, "way": "old"}, {"unreachable": True, "msg": "gone", "way": "old"}
    said = " ".join(went_back({"a": ok, "b": lost, "c": {"way": ""}}, True))
    assert "Of this batch a runs what it ran before again." in said
    assert "These were not put back" in said and "b cannot be reached any more. gone" in said
    assert "Of this batch c was left as it is, because nothing else has served there before." in said
    assert went_back({"a": ok, "b": ok}, True) == ["This batch (a, b) runs what it ran before again."]
    assert went_back({"a": {"way": "old"}}, False) == [
        "This batch (a) was left as it is, because dask_rollback_on_failure is false."
    ]


def test_host_that_was_lost_before_its_release_was_found_was_not_reverted():
    (said,) = went_back({"a": {"unreachable": True, "msg": "gone"}}, True)
    assert said.startswith("These were not put back") and "a cannot be reached any more. gone" in said


@pytest.mark.parametrize(
    "runs, turn, wanted, back, said",
    [
        ("old.s", {"restarted": [SCHEDULER]}, "new.s", False, "was changed to the new release"),
        ("old.s", {"restarted": [SCHEDULER]}, "new.s", True, "went back already"),
        # The scheduler was restarted or started with the same release, had work, or failed.
        ("new.s", {"restarted": [SCHEDULER]}, "new.s", False, ""),
        (None, {"restarted": [SCHEDULER]}, "new.s", False, ""),
        ("old.s", {"skipped": True}, "new.s", False, ""),
        ("old.s", {"restarted": []}, "new.s", False, ""),
        ("old.s", {"restarted": [SCHEDULER], "failed": True}, "new.s", False, ""),
    ],
)
def test_message_about_the_scheduler_if_workers_fail(runs, turn, wanted, back, said):
    found = about_scheduler({"running": {SCHEDULER: runs}}, turn, wanted, back)
    assert said in found and bool(said) == bool(found)


OK, SKIPPED = {"changed": True}, {"skipped": True}
FAILED = {"failed": True, "msg": "no space"}


@pytest.mark.parametrize(
    "way, put_back, again, served, enabled, stopped, workers, said",
    [
        (OLD, OK, {"detail": "full"}, True, True, SKIPPED, SKIPPED, ["runs release old again", "All 1 worker(s) that"]),
        (
            OLD,
            OK,
            {"detail": "full", "missing": ["a-1"]},
            True,
            True,
            SKIPPED,
            SKIPPED,
            ["Not registered again yet: a-1."],
        ),
        (OLD, OK, FAILED, True, True, SKIPPED, SKIPPED, ["It could not be asked for its workers: no space"]),
        (OLD, OK, {"detail": "full"}, True, True, SKIPPED, FAILED, ["The workers of its host: no space"]),
        (OLD, FAILED, SKIPPED, True, True, SKIPPED, SKIPPED, ["was not put back to release old", "no space"]),
        (OLD, SKIPPED, SKIPPED, True, False, SKIPPED, SKIPPED, ["because dask_rollback_on_failure is false"]),
        ({}, SKIPPED, SKIPPED, True, True, SKIPPED, SKIPPED, ["it has no other release to go back to"]),
        ({}, SKIPPED, SKIPPED, False, True, OK, SKIPPED, ["none to go back to. It was stopped"]),
        (
            {},
            SKIPPED,
            SKIPPED,
            False,
            True,
            FAILED,
            SKIPPED,
            ["It could not be stopped: The scheduler's host: no space"],
        ),
    ],
)
def test_message_about_the_state_of_the_scheduler(way, put_back, again, served, enabled, stopped, workers, said):
    told = " ".join(scheduler_state(way, put_back, again, [{"name": "a-1"}], served, enabled, stopped, workers))
    assert all(text in told for text in said), told


def test_last_journal_lines_are_shown_by_host():
    assert last_words({"a": "one", "b": ""}) == ["a, last lines of the journal:\none"]
