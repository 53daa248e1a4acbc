# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report about a failed batch, as a task. `test_failed_changes` tests the sentences."""

import json

import pytest
from local_hosts import run

SCHEDULER = "dask-scheduler.service"
BATCH = ["w1 is not healthy."]
#: The scheduler's host ran the release ``old`` before the run.
CHANGED = {"changed": True, "restarted": [SCHEDULER]}
REVERTED = {
    "w1": {"changed": True, "release": "old", "journal": "the last words"},
    "w2": {"changed": False, "release": "", "journal": ""},
    "w3": {"unreachable": True, "release": "old", "msg": "Connection refused"},
}
CASES = {
    "mixed": {"reverted": REVERTED},
    "reverted": {"reverted": {"w1": REVERTED["w1"]}},
    "disabled": {"reverted": {"w1": REVERTED["w1"]}, "rollback_on_failure": False},
    "scheduler": {"reverted": {"w1": REVERTED["w1"]}, "scheduler_change": CHANGED},
    "rollback": {"reverted": {"w1": REVERTED["w1"]}, "scheduler_change": CHANGED, "plan": {"back": True}},
    "scheduler as before": {
        "reverted": {"w1": REVERTED["w1"]},
        "scheduler_change": {"changed": False, "restarted": []},
    },
    "scheduler not in the run": {"reverted": {"w1": REVERTED["w1"]}, "plan": {"hosts": {}, "asked_host": "away"}},
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return the lines of the message by case."""
    plan = {
        "asked_host": "s1",
        "back": False,
        "hosts": {"s1": {"release": {"services": {"scheduler": {SCHEDULER: "new.s"}}}}},
    }
    tasks = [
        {
            "daskops.cluster.report_change": {
                "failures": BATCH,
                "rollback_on_failure": True,
                **case,
                "plan": {**plan, **case.get("plan", {})},
            },
            "ignore_errors": True,
            "register": f"kept_{number}",
        }
        for number, case in enumerate(CASES.values())
    ]
    # The task needs no connection to these hosts.
    hosts = {
        "s1": {"ansible_host": "127.0.0.1", "ansible_port": 1, "__dask_host": {"running": {SCHEDULER: "old.s"}}},
        "away": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    results = run(tmp_path_factory.mktemp("work"), hosts, tasks)["s1"]
    assert all(result["failed"] and not result.get("changed") for result in results.values()), json.dumps(results)
    return {name: results[str(number)]["msg"].splitlines() for number, name in enumerate(CASES)}


def test_report_begins_with_the_failures(said):
    assert all(lines[0] == BATCH[0] for lines in said.values())


def test_report_says_what_every_host_of_the_batch_runs(said):
    assert said["mixed"][1:3] == ["w1, last lines of the journal:", "the last words"]
    assert said["mixed"][3:] == [
        "Of this batch, w1 was reverted to the previous release.",
        "These hosts could not be reverted, and their state is unknown. Check systemctl status 'dask-worker@*' there: w3 "
        "cannot be reached any more. Connection refused",
        "Of this batch, w2 was not reverted, because no other release has served there.",
        "Hosts of later batches were not changed.",
    ]


def test_reverted_batch_has_one_sentence(said):
    assert said["reverted"][3:] == [
        "This batch (w1) was reverted to the previous release.",
        "Hosts of later batches were not changed.",
    ]


def test_report_says_that_rollback_is_disabled(said):
    assert said["disabled"][3] == "This batch (w1) was not reverted, because dask_rollback_on_failure is false."


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("scheduler", "The scheduler already runs the new release. To revert the scheduler, too, run rollback.yml."),
        ("rollback", "The scheduler was already rolled back. Run rollback.yml again to finish, or site.yml to undo"),
    ],
)
def test_report_ends_with_the_scheduler_if_it_changed(said, case, sentence):
    assert said[case][-1].startswith(sentence)


@pytest.mark.parametrize("case", ["mixed", "scheduler as before", "scheduler not in the run"])
def test_report_does_not_name_an_unchanged_scheduler(said, case):
    assert said[case][-1] == "Hosts of later batches were not changed."
