# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverting a failed change: the release of each host, and the messages."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.failed_changes import (
    batch_report,
    gate_problem,
    journal_report,
    problem_of,
    revert_target,
    scheduler_note,
    scheduler_report,
    workers_to_return,
)

SCHEDULER = "dask-scheduler.service"


def release(name, served=("scheduler", "worker"), kinds=("scheduler", "worker")):
    units = {"scheduler": SCHEDULER, "worker": "dask-worker@1.service"}
    services = {kind: {units[kind]: f"{name}.{kind}"} for kind in kinds}
    return {"id": name, "label": "", "served": list(served), "services": services}


OLD, NEW = release("old"), release("new", served=())


@pytest.mark.parametrize(
    "result, said",
    [
        ({"changed": True}, ""),
        ({"skipped": True, "changed": False}, ""),
        ({"failed": True, "msg": "it does not start"}, "node1: it does not start"),
        ({"unreachable": True, "msg": "No route"}, "node1 cannot be reached any more. No route"),
        (
            {"failed": True, "msg": "MODULE FAILURE\nSee stdout", "module_stderr": "Traceback\nOSError: full\n"},
            "node1: MODULE FAILURE OSError: full",
        ),
        ({"failed": True}, "node1: it failed without a message"),
        (None, "node1: the task returned no result."),
        ({}, "node1: the task returned no result."),
    ],
)
def test_problem_names_the_host(result, said):
    assert problem_of("node1", result) == said


@pytest.mark.parametrize(
    "kind, answer, fails",
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
def test_health_check_passes_only_with_a_result(kind, answer, fails):
    assert bool(gate_problem(kind, answer)) == fails


def answer(address="tls://10.0.0.1:8786", distributed="2025.1", **more):
    workers = [{"name": name, "release": "old.w"} for name in ("node1-1", "node1-2", "node2-1")]
    return {
        "scheduler": {"address": address, "versions": {"distributed": distributed}},
        "workers": [*workers, {"name": "laptop", "release": None}],
        **more,
    }


INFO = {"running": {SCHEDULER: "old.s", "dask-worker@1.service": "same", "dask-worker@2.service": "old"}}
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
    assert workers_to_return(before, after, "node1", INFO, WANTED) == expected


@pytest.mark.parametrize(
    "info, wanted, kind, found",
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
def test_revert_target_is_a_release_that_served(info, wanted, kind, found):
    assert revert_target(info, wanted, kind).get("id") == found


def test_message_lists_the_reverted_hosts_of_a_batch():
    ok, lost = {"changed": True, "release": "old"}, {"unreachable": True, "msg": "gone", "release": "old"}
    said = " ".join(batch_report({"a": ok, "b": lost, "c": {"release": ""}}, True))
    assert "Of this batch, a was reverted to the previous release." in said
    assert "These hosts could not be reverted" in said and "b cannot be reached any more. gone" in said
    assert "Of this batch, c was not reverted, because no other release has served there." in said
    assert batch_report({"a": ok, "b": ok}, True) == ["This batch (a, b) was reverted to the previous release."]
    assert batch_report({"a": {"release": "old"}}, False) == [
        "This batch (a) was not reverted, because dask_rollback_on_failure is false."
    ]


def test_host_that_was_lost_before_its_release_was_found_was_not_reverted():
    (said,) = batch_report({"a": {"unreachable": True, "msg": "gone"}}, True)
    assert said.startswith("These hosts could not be reverted") and "a cannot be reached any more. gone" in said


@pytest.mark.parametrize(
    "runs, change, wanted, rollback, said",
    [
        ("old.s", {"restarted": [SCHEDULER]}, "new.s", False, "already runs the new release"),
        ("old.s", {"restarted": [SCHEDULER]}, "new.s", True, "was already rolled back"),
        # The scheduler was restarted or started with the same release, had work, or failed.
        ("new.s", {"restarted": [SCHEDULER]}, "new.s", False, ""),
        (None, {"restarted": [SCHEDULER]}, "new.s", False, ""),
        ("old.s", {"skipped": True}, "new.s", False, ""),
        ("old.s", {"restarted": []}, "new.s", False, ""),
        ("old.s", {"restarted": [SCHEDULER], "failed": True}, "new.s", False, ""),
    ],
)
def test_message_about_the_scheduler_if_workers_fail(runs, change, wanted, rollback, said):
    found = scheduler_note({"running": {SCHEDULER: runs}}, change, wanted, rollback)
    assert said in found and bool(said) == bool(found)


OK, SKIPPED = {"changed": True}, {"skipped": True}
FAILED = {"failed": True, "msg": "no space"}


@pytest.mark.parametrize(
    "target, reverted, health, served, enabled, stopped, workers, said",
    [
        (
            OLD,
            OK,
            {"detail": "full"},
            True,
            True,
            SKIPPED,
            SKIPPED,
            ["was reverted to release old", "All of its 1 worker(s)"],
        ),
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
        (OLD, OK, FAILED, True, True, SKIPPED, SKIPPED, ["Its workers could not be checked: no space"]),
        (OLD, OK, {"detail": "full"}, True, True, SKIPPED, FAILED, ["The workers of its host: no space"]),
        (
            {**OLD, "label": "v1.3"},
            OK,
            {"detail": "full"},
            True,
            True,
            SKIPPED,
            SKIPPED,
            ["was reverted to release old (v1.3)."],
        ),
        (OLD, FAILED, SKIPPED, True, True, SKIPPED, SKIPPED, ["could not be reverted to release old", "no space"]),
        (OLD, SKIPPED, SKIPPED, True, False, SKIPPED, SKIPPED, ["because dask_rollback_on_failure is false"]),
        ({}, SKIPPED, SKIPPED, True, True, SKIPPED, SKIPPED, ["no other release has served on its host"]),
        ({}, SKIPPED, SKIPPED, False, True, OK, SKIPPED, ["there is no previous one. The scheduler was stopped"]),
        (
            {},
            SKIPPED,
            SKIPPED,
            False,
            True,
            FAILED,
            SKIPPED,
            ["The scheduler could not be stopped: The scheduler's host: no space"],
        ),
    ],
)
def test_message_about_the_state_of_the_scheduler(target, reverted, health, served, enabled, stopped, workers, said):
    found = " ".join(scheduler_report(target, reverted, health, [{"name": "a-1"}], served, enabled, stopped, workers))
    assert all(text in found for text in said), found


def test_last_journal_lines_are_shown_by_host():
    assert journal_report({"a": "one", "b": ""}) == ["a, last lines of the journal:\none"]
