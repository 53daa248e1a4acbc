# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about hosts whose services are stopped or missing, and about workers without a scheduler."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.stopped_services import (
    no_scheduler,
    scheduler_not_running,
    starts,
    stopped_services,
)

SCHEDULER, WORKERS = "dask-scheduler.service", ("dask-worker@1.service", "dask-worker@2.service")


def host(scheduler=False, workers=True, running=None):
    """Return the result of `host_info` for a host. By default all installed services run."""
    services = {
        **({"scheduler": {SCHEDULER: "a.1"}} if scheduler else {}),
        **({"worker": dict.fromkeys(WORKERS, "a.1")} if workers else {}),
    }
    units = [unit for kind in services.values() for unit in kind]
    return {
        "current": {"services": services} if services else {},
        "running": dict.fromkeys(units if running is None else running, "a.1"),
    }


S1 = host(scheduler=True, workers=False)
STOPPED_S1 = host(scheduler=True, workers=False, running=[])
BLANK = host(workers=False)
UNKNOWN = (
    "The state of the services on",
    " is not known, because Ansible could not connect. Check that the machine runs, and the connection variables.",
)
SILENT = {"unreachable": True, "msg": "Connection refused", "changed": False}


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        ({"s1": S1, "w1": host(), "w2": host()}, []),
        # A service that is starting or restarting is not stopped, so start.yml would not help.
        ({"s1": {**S1, "running": {SCHEDULER: None}}, "w1": host()}, []),
        ({"s1": STOPPED_S1, "w1": host(running=[])}, ["The cluster is stopped. Run start.yml."]),
        ({"s1": BLANK, "w1": BLANK}, ["The cluster is not installed. Run site.yml."]),
        ({"s1": S1, "w1": BLANK}, ["No services are installed on w1. Run site.yml."]),
        ({"s1": BLANK, "w1": host()}, ["No services are installed on s1. Run site.yml."]),
        ({"s1": S1, "w1": host(running=[]), "w2": host()}, ["All services are stopped on w1. Run start.yml."]),
        (
            {"s1": S1, "w1": host(running=WORKERS[:1]), "w2": host(running=[])},
            [
                "All services are stopped on w2. Run start.yml.",
                "w1: dask-worker@2.service is stopped. Run start.yml.",
            ],
        ),
        (
            {"s1": host(scheduler=True, running=[SCHEDULER])},
            ["s1: dask-worker@1.service, dask-worker@2.service are stopped. Run start.yml."],
        ),
        ({"s1": host(), "w1": host()}, ["s1 has no scheduler installed. Run site.yml."]),
        ({"s1": STOPPED_S1}, ["All services are stopped on s1. Run start.yml."]),
        (
            {"s1": S1, "w1": SILENT, "w2": SILENT},
            [f"{UNKNOWN[0]} w1, w2{UNKNOWN[1]}"],
        ),
        ({"s1": SILENT, "w1": SILENT}, [f"{UNKNOWN[0]} s1, w1{UNKNOWN[1]}"]),
        (
            {"s1": STOPPED_S1, "w1": BLANK, "w2": SILENT},
            [
                f"{UNKNOWN[0]} w2{UNKNOWN[1]}",
                "No services are installed on w1. Run site.yml.",
                "All services are stopped on s1. Run start.yml.",
            ],
        ),
    ],
)
def test_stopped_services_are_reported_with_the_remedy(hosts, says):
    assert list(stopped_services(hosts, "s1")) == says


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (S1, []),
        (host(scheduler=True), []),
        ({**S1, "running": {SCHEDULER: None}}, []),
        (
            BLANK,
            [
                "No scheduler for the workers on w1, w2 is installed on s1. Run site.yml without --limit first, "
                "or include s1 in the limit."
            ],
        ),
        (
            host(),  # a host that had only workers so far
            [
                "No scheduler for the workers on w1, w2 is installed on s1. Run site.yml without --limit first, "
                "or include s1 in the limit."
            ],
        ),
        (
            STOPPED_S1,
            [
                "The scheduler on s1 is stopped, so the workers on w1, w2 could not connect to it. Run start.yml --limit s1 "
                "first, or this playbook without --limit."
            ],
        ),
        (
            SILENT,
            [
                "s1, the scheduler's host, could not be inspected (Connection refused), so it is not known whether a "
                "scheduler for the workers on w1, w2 runs. Start this host, or correct its connection variables."
            ],
        ),
    ],
)
def test_missing_scheduler_is_reported_with_the_remedy(info, says):
    assert list(no_scheduler("s1", info, ["w1", "w2"])) == says


def test_tags_without_the_scheduler_are_named_in_the_remedy():
    assert list(no_scheduler("s1", BLANK, ["w1"], ["worker"])) == [
        "No scheduler for the workers on w1 is installed on s1. Run site.yml without --tags first."
    ]


@pytest.mark.parametrize(
    ("tags", "skipped", "scheduler", "worker"),
    [
        (["all"], [], True, True),
        (["tagged"], [], True, True),
        (["config"], [], True, True),
        (["scheduler"], [], True, False),
        (["worker", "health"], [], False, True),
        (["environment"], [], False, False),
        (["health", "versions"], [], False, False),
        (["all"], ["scheduler"], False, True),
        (["all"], ["worker"], True, False),
        (["all"], ["config"], False, False),
        (["all"], ["health"], True, True),
    ],
)
def test_tags_select_the_services_that_start(tags, skipped, scheduler, worker):
    assert starts("scheduler", tags, skipped) is scheduler
    assert starts("worker", tags, skipped) is worker


@pytest.mark.parametrize(
    ("hosts", "scheduler", "seen", "tags", "refused"),
    [
        ({"w1": host()}, "s1", S1, ["all"], False),
        ({"w1": host()}, "s1", BLANK, ["all"], True),
        ({"w1": host()}, "s1", STOPPED_S1, ["all"], True),
        ({"w1": host()}, "s1", {}, ["all"], True),
        ({"w1": host()}, "s1", BLANK, ["environment"], False),
        ({"s1": BLANK, "w1": BLANK}, "s1", {}, ["all"], False),
        ({"s1": BLANK, "w1": BLANK}, "s1", {}, ["worker"], True),
        ({"s1": S1, "w1": BLANK}, "s1", {}, ["worker"], False),
        ({"s1": BLANK}, "s1", {}, ["worker"], False),
        ({"w1": BLANK}, "", {}, ["all"], False),
    ],
)
def test_runs_that_start_workers_need_a_scheduler(hosts, scheduler, seen, tags, refused):
    groups = {"dask_scheduler": ["s1"], "dask_workers": ["w1", "w2"]}
    task_vars = {"ansible_run_tags": tags, "ansible_skip_tags": [], "groups": groups}
    assert len(list(scheduler_not_running(hosts, scheduler, seen, task_vars))) == refused
