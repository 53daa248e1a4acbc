# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run that changes services."""

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.run_report import (
    age_of_process,
    changing,
    duration,
    run_report,
)

PLAN = {
    "purpose": "change",
    "plays": {"serial": [1, "50%"], "build": ["a"], "rolling": ["a", "b"], "maintenance": ["c"]},
    "hosts": {"a": {}, "b": {}},
}


def change(*restarted, removed=()):
    return {"changed": True, "restarted": list(restarted), "removed": list(removed)}


def test_report_names_what_changed():
    results = {
        "a": {
            "__dask_environment": {"changed": True},
            "__dask_scheduler_change": change("dask-scheduler.service"),
            "__dask_worker_change": change("dask-worker@1.service", "dask-worker@2.service"),
        },
        "b": {
            "__dask_environment": {"changed": False},
            "__dask_worker_change": change("dask-worker@1.service", removed=["dask-worker@2.service"]),
        },
    }
    assert run_report(PLAN, results, 125.4) == [
        "Built the environment on: a.",
        "Started or restarted: dask-scheduler, dask-worker@1, dask-worker@2 of a, dask-worker@1 of b.",
        "Stopped: dask-worker@2 of b.",
        "The run took 2 min 5 s.",
    ]


def test_report_of_check_mode_says_what_would_change():
    results = {"a": {"__dask_worker_change": change("dask-worker@1.service")}}
    assert run_report(PLAN, results, 3, check_mode=True)[0] == "Would have started or restarted: dask-worker@1 of a."
    assert run_report(PLAN, {}, 3, check_mode=True)[0] == "No service would have been restarted."


def test_report_names_what_started():
    results = {host: {"__dask_start": {"hosts": {"a": ["worker", "scheduler"], "b": ["worker"]}}} for host in "ab"}
    assert run_report({**PLAN, "purpose": "start"}, results, 4) == [
        "Started: scheduler and worker of a, worker of b.",
        "The run took 4 s.",
    ]


@pytest.mark.parametrize(
    "results", [{}, {"a": {"__dask_worker_change": change()}}, {"a": {"__dask_start": {"hosts": {}}}}]
)
def test_unchanged_run_says_so(results):
    assert run_report(PLAN, results, 3) == ["No service was restarted.", "The run took 3 s."]


def test_report_of_a_run_that_stops_names_what_stopped():
    plan = {**PLAN, "purpose": "stop", "plays": {"serial": 1}}
    results = {host: {"__dask_worker_change": change(removed=["dask-worker@1.service"])} for host in changing(plan)}
    results["a"]["__dask_scheduler_change"] = change(removed=["dask-scheduler.service"])
    assert run_report(plan, results, 3) == [
        "Stopped: dask-scheduler, dask-worker@1 of a, dask-worker@1 of b.",
        "start.yml starts them again, and so does a reboot.",
        "The run took 3 s.",
    ]
    assert run_report(plan, results, 3, check_mode=True)[0].startswith("Would have stopped: ")
    assert run_report(plan, {}, 3) == ["No service was stopped.", "The run took 3 s."]


def test_pending_scheduler_has_no_list_of_units():
    results = {"a": {"__dask_scheduler_change": {"changed": False, "pending": True, "older": True}}}
    assert run_report(PLAN, results, 3)[0] == "No service was restarted."


@pytest.mark.parametrize("purpose", ["inspect", "show", "connect", "rotate", "remove"])
def test_run_that_changes_no_services_has_no_report(purpose):
    assert run_report({**PLAN, "purpose": purpose}, {}, 3) == []


def test_only_hosts_of_plays_are_read():
    assert changing(PLAN) == ["a", "b"]


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3725, "62 min 5 s")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_age_of_a_process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        time.sleep(0.3)
        assert 0.25 < age_of_process(process.pid) < age_of_process(os.getpid())
        process.stdin.close()
