# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection of hosts that run the releases of different changes."""

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.plugin_utils.mixed_releases import mixed_releases as mixed

PYTHON = {"executable": "/usr/bin/python3", "version": "3.11.2", "machine": "x86_64", "prefix": "/usr"}
#: 2026-11-28 14:00:03 UTC and one minute later, in seconds since the epoch.
FIRST, SECOND = 1795874403, 1795874463


def host(name, release, environment="e1", staged=FIRST, python=PYTHON, label="", **variables):
    """Return a host whose worker runs a release. The part of the release after the dot differs between hosts."""
    current = {
        "id": f"id-{release}-{name}",
        "environment": environment,
        "label": label,
        "staged": staged,
        "services": {"worker": {"dask-worker@1.service": f"{release}.{name}"}, "scheduler": {}},
    }
    looked = {"python": python, "current": current}
    return {"name": name, "seen": looked, "release": current, "variables": {"other": object(), **variables}}


def mixed_releases(hosts):
    """Return the warnings for hosts that `host` made."""
    by_name = {about["name"]: about for about in hosts}
    return mixed(*({name: about[part] for name, about in by_name.items()} for part in ("seen", "release", "variables")))


def test_hosts_of_one_change_give_no_warning():
    assert mixed_releases([]) == []
    assert mixed_releases([host("a", "r1"), host("b", "r1", dask_worker_count=2)]) == []


def test_releases_of_two_changes_give_a_warning():
    """Two concurrent runs: the first one reverted a host that the second one had changed."""
    hosts = [host("a", "r1"), host("b", "r2", staged=SECOND), host("c", "r2", staged=SECOND)]
    hosts = [{**one, "variables": {**one["variables"], "dask_config": {"x": 1}}} for one in hosts]
    (sentence,) = mixed_releases(hosts)
    assert "r1 on a (change of 2026-11-28 14:00:03 UTC); r2 on b, c (change of 2026-11-28 14:01:03 UTC)" in sentence
    assert "Run site.yml" in sentence


def test_labels_are_named():
    (sentence,) = mixed_releases([host("a", "r1", label="v1.3"), host("b", "r2", label="v1.4")])
    assert "r1 (v1.3) on a (change of" in sentence and "r2 (v1.4) on b (change of" in sentence


def test_hosts_with_different_settings_may_differ():
    assert (
        mixed_releases([host("a", "r1", dask_worker_config={"x": 1}), host("b", "r2", dask_worker_config={"x": 2})])
        == []
    )
    other = dict(PYTHON, machine="aarch64")
    assert mixed_releases([host("a", "r1"), host("b", "r2", environment="e2", python=other)]) == []


def test_hosts_with_different_managed_pythons_may_differ():
    managed = {"python": {}, "environment": "e1"}
    assert (
        mixed_releases([host("a", "r1", dask_python="3.12", **managed), host("b", "r2", dask_python="3.13", **managed)])
        == []
    )
    assert (
        len(
            mixed_releases(
                [host("a", "r1", dask_python="3.13", **managed), host("b", "r2", dask_python="3.13", **managed)]
            )
        )
        == 1
    )


def test_hosts_with_managed_pythons_of_different_architectures_may_differ():
    hosts = [host("a", "r1", python={}, dask_python="3.13"), host("b", "r2", "e2", python={}, dask_python="3.13")]
    assert len(mixed_releases(hosts)) == 1
    hosts[0]["seen"]["architecture"], hosts[1]["seen"]["architecture"] = "x86_64", "aarch64"
    assert mixed_releases(hosts) == []


def test_hosts_with_different_addresses_must_not_differ():
    hosts = [host("a", "r1", dask_bind_address="10.0.0.1"), host("b", "r2", dask_bind_address="10.0.0.2")]
    assert len(mixed_releases(hosts)) == 1


def test_hosts_with_different_settings_must_share_the_environment():
    hosts = [host("a", "r1", dask_worker_config={"x": 1}), host("b", "r2", environment="e2", staged=SECOND)]
    (sentence,) = mixed_releases(hosts)
    assert "in environment e1 on a" in sentence and "in environment e2 on b" in sentence


def test_planned_releases_are_compared():
    hosts = [host("a", "r1"), host("b", "r1")]
    new = host("a", "r2")["release"]
    (sentence,) = mixed_releases([dict(hosts[0], release=new), hosts[1]])
    assert "; r2 on a. " in sentence
    assert mixed_releases([dict(one, release=new) for one in hosts]) == []


def test_unreachable_hosts_and_hosts_without_workers_are_ignored():
    lost = {"name": "b", "seen": {"unreachable": True}, "release": {}, "variables": {}}
    blank = {"name": "c", "seen": {"python": PYTHON, "current": {}}, "release": {}, "variables": {}}
    scheduler = host("d", "r2")
    scheduler["release"]["services"].pop("worker")
    assert mixed_releases([host("a", "r1"), lost, blank, scheduler]) == []
