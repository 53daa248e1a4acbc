# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that run the releases of different changes."""

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed import mixed_releases as mixed

PYTHON = {"executable": "/usr/bin/python3", "version": "3.11.2", "machine": "x86_64", "prefix": "/usr"}
#: Seconds since the epoch of 2026-11-28 14:00:03 UTC, and a minute later.
FIRST, SECOND = 1795874403, 1795874463


def host(name, release, environment="e1", staged=FIRST, python=PYTHON, **variables):
    """A host whose worker runs a release; the part of its name behind the dot is the host's own."""
    current = {
        "id": f"id-{release}-{name}",
        "environment": environment,
        "staged": staged,
        "services": {"worker": {"dask-worker@1.service": f"{release}.{name}"}, "scheduler": {}},
    }
    looked = {"python": python, "current": current}
    return {"name": name, "seen": looked, "release": current, "variables": {"other": object(), **variables}}


def mixed_releases(hosts):
    """The sentence about hosts, each as `host` makes it."""
    by_name = {about["name"]: about for about in hosts}
    return mixed(*({name: about[part] for name, about in by_name.items()} for part in ("seen", "release", "variables")))


def test_hosts_of_one_change():
    assert mixed_releases([]) == []
    assert mixed_releases([host("a", "r1"), host("b", "r1", dask_worker_count=2)]) == []


def test_two_runs_at_once():
    """One host was put back by the first run after the second had changed it."""
    hosts = [host("a", "r1"), host("b", "r2", staged=SECOND), host("c", "r2", staged=SECOND)]
    hosts = [{**one, "variables": {**one["variables"], "dask_config": {"x": 1}}} for one in hosts]
    (sentence,) = mixed_releases(hosts)
    assert "r1 on a (change of 2026-11-28 14:00:03 UTC); r2 on b, c (change of 2026-11-28 14:01:03 UTC)" in sentence
    assert "Run site.yml" in sentence


def test_hosts_with_settings_of_their_own_may_differ():
    assert (
        mixed_releases([host("a", "r1", dask_worker_config={"x": 1}), host("b", "r2", dask_worker_config={"x": 2})])
        == []
    )
    other = dict(PYTHON, machine="aarch64")
    assert mixed_releases([host("a", "r1"), host("b", "r2", environment="e2", python=other)]) == []


def test_an_address_of_its_own_is_no_reason_to_differ():
    hosts = [host("a", "r1", dask_bind_address="10.0.0.1"), host("b", "r2", dask_bind_address="10.0.0.2")]
    assert len(mixed_releases(hosts)) == 1


def test_the_lock_is_the_same_for_all_hosts_whatever_else_they_have():
    hosts = [host("a", "r1", dask_worker_config={"x": 1}), host("b", "r2", environment="e2", staged=SECOND)]
    (sentence,) = mixed_releases(hosts)
    assert "in environment e1 on a" in sentence and "in environment e2 on b" in sentence


def test_a_run_that_changes_hosts_is_judged_by_what_they_are_to_run():
    hosts = [host("a", "r1"), host("b", "r1")]
    new = host("a", "r2")["release"]
    (sentence,) = mixed_releases([dict(hosts[0], release=new), hosts[1]])
    assert "; r2 on a. " in sentence
    assert mixed_releases([dict(one, release=new) for one in hosts]) == []


def test_hosts_that_were_not_looked_at_or_have_no_workers():
    lost = {"name": "b", "seen": {"unreachable": True}, "release": {}, "variables": {}}
    blank = {"name": "c", "seen": {"python": PYTHON, "current": {}}, "release": {}, "variables": {}}
    scheduler = host("d", "r2")
    scheduler["release"]["services"].pop("worker")
    assert mixed_releases([host("a", "r1"), lost, blank, scheduler]) == []
