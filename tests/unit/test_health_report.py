# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a cluster's health."""

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.filter.health_report import health_report

REQUEST = {"pool": "gpu", "minimum": 0, "maximum": 0, "workers": 4, "waiting": 0}
REQUEST.update(address="tls://h:1", since="2026-01-31 12:00:00+00:00")


def waiting(name, state="standby", cause="", outside=""):
    return {"name": name, "state": state, "cause": cause, "outside": outside, "host": "h", "release": ""}


def test_report_has_problems_missing_packages_and_hosts_in_maintenance():
    health = {"verdict": "degraded", "workers_present": 3, "problems": ["Something."]}
    health["waiting"] = [waiting("b-1", cause="request"), waiting("b-2", cause="idle"), waiting("b-3", "starting")]
    health.update(scaling_requests=[REQUEST], outside_hours={})
    health.update(releases={"x": ["a-1"]}, labels={})
    addresses = {"scheduler": "tls://10.0.0.1:8786", "dashboard": "https://10.0.0.1:8787"}
    plan = {"addresses": addresses, "missing_packages": ["The environment has no bokeh."], "maintenance": ["w8"]}
    lines = health_report(health, plan)
    assert lines[:7] == [
        "The cluster is degraded: 3 worker(s), 2 on standby, 1 starting, at tls://10.0.0.1:8786, dashboard at "
        "https://10.0.0.1:8787/status.",
        "Release x on 1 worker(s).",
        "On standby, because a client has asked for fewer workers: b-1.",
        "On standby, because there is no work for them: b-2.",
        "Request of a client in effect. Pool gpu: 0 of 4 workers, requested from tls://h:1 at 2026-01-31 12:00:00+00:00.",
        "In maintenance: w8.",
        "Something.",
    ]
    assert "no bokeh" in lines[7] and len(lines) == 8
    several = dict(health, releases={"x": ["a-1", "b-1"], "y": ["c-1"]}, problems=[], waiting=[], scaling_requests=[])
    assert health_report(several, {"addresses": addresses, "missing_packages": [], "maintenance": []})[1:] == [
        "Release x on 2 worker(s): a-1, b-1.",
        "Release y on 1 worker(s): c-1.",
    ]


def test_report_of_a_healthy_cluster_names_no_worker():
    health = {
        "verdict": "healthy",
        "workers_present": 1,
        "waiting": [],
        "outside_hours": {},
        "scaling_requests": [],
        "releases": {"x": ["a-1"]},
        "labels": {},
        "problems": [],
    }
    addresses = {"scheduler": "tcp://s:8786", "dashboard": "http://s:8787"}
    lines = health_report(health, {"addresses": addresses, "missing_packages": [], "maintenance": []})
    assert lines == [
        "The cluster is healthy: 1 worker(s) at tcp://s:8786, dashboard at http://s:8787/status.",
        "Release x on 1 worker(s).",
    ]


def test_report_names_the_labels_of_releases():
    health = {
        "verdict": "healthy",
        "workers_present": 2,
        "waiting": [],
        "outside_hours": {},
        "scaling_requests": [],
        "problems": [],
    }
    health.update(releases={"x": ["a-1"], "y": ["b-1"]}, labels={"y": "v1.4"})
    addresses = {"scheduler": "tcp://s:8786", "dashboard": "http://s:8787"}
    assert health_report(health, {"addresses": addresses, "missing_packages": [], "maintenance": []})[1:] == [
        "Release x on 1 worker(s): a-1.",
        "Release y (v1.4) on 1 worker(s): b-1.",
    ]


def test_report_names_workers_outside_of_their_hours_and_the_time_of_their_return():
    health = {"verdict": "healthy", "workers_present": 2, "scaling_requests": [], "problems": []}
    late = waiting("c-1", "outside hours", outside="until Mon 19:00")
    health.update(waiting=[waiting("b-1"), late], outside_hours={"c-1": "until Mon 19:00"}, releases={}, labels={})
    addresses = {"scheduler": "tcp://s:8786", "dashboard": "http://s:8787"}
    plan = {"addresses": addresses, "missing_packages": [], "maintenance": []}
    assert health_report(health, plan) == [
        "The cluster is healthy: 2 worker(s), 1 on standby, 1 outside of their hours, at tcp://s:8786, dashboard at "
        "http://s:8787/status.",
        "On standby: b-1.",
        "Outside of their hours: c-1 until Mon 19:00.",
    ]
    first = health_report(dict(health, waiting=[late]), plan)[0]
    assert first.startswith("The cluster is healthy: 2 worker(s), 1 outside of their hours, at tcp://s:8786,")
