# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that a rollback selects."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.rollback import rollback_report, rollback_targets


def release(name, staged, environment="e1", worker="w"):
    """Return a release as `read_release` does. The release of its worker is ``worker``."""
    services = {"worker": {"dask-worker@1.service": worker}}
    told = {"id": name, "environment": environment, "application": "", "label": "", "staged": staged, "previous": ""}
    return {**told, "services": services, "units": {"worker": {}}}


def host(current, previous=None, unfinished=0, running=None):
    return {"current": current, "previous": previous or {}, "unfinished": unfinished, "running": running or {}}


def ids(targets):
    return {name: target["id"] for name, target in targets.items()}


OLD, NEW, NEWER = release("old", 1), release("new", 2), release("newer", 3)


def test_all_hosts_of_the_latest_change_are_rolled_back():
    targets, problems = rollback_targets({name: host(NEW, OLD) for name in ("scheduler", "worker1", "worker2")})
    assert not problems
    assert set(ids(targets).values()) == {"old"}


def test_host_of_an_earlier_change_is_kept():
    targets, problems = rollback_targets({"scheduler": host(NEW, OLD), "worker1": host(NEWER, NEW)})
    assert not problems
    assert ids(targets) == {"scheduler": "new", "worker1": "new"}


def test_environments_of_the_same_packages_may_have_different_names():
    other = {**OLD, "environment": "elsewhere"}
    names = {name: (OLD["environment"], OLD) for name in ("worker1", "worker3")}
    names["worker2"] = ("elsewhere", other)
    packages = {"dask": "2026.8.0"}
    hosts = {
        name: {**host(NEW, previous), "environments": {environment: {"packages": packages}}}
        for name, (environment, previous) in names.items()
    }
    assert rollback_targets(hosts)[1] == []
    hosts["worker2"]["environments"]["elsewhere"]["packages"] = {"dask": "2026.7.0"}
    (problem,) = rollback_targets(hosts)[1]
    assert "a different environment or application: worker2 (elsewhere); the others" in problem


def test_interrupted_rollback_is_continued():
    targets, problems = rollback_targets({"worker1": host(OLD), "worker2": host(NEW, OLD)})
    assert not problems
    assert ids(targets) == {"worker1": "old", "worker2": "old"}


def test_rollback_interrupted_on_its_last_host_is_completed():
    older = release("older", 0)
    done = host(OLD, older, 2, {"dask-worker@1.service": "w"})
    # The second half of the workers on worker2 still drains.
    halfway = host(OLD, older, 2, {"dask-worker@1.service": "w", "dask-worker@2.service": "x"})
    halfway["current"] = {**OLD, "services": {"worker": {"dask-worker@1.service": "w", "dask-worker@2.service": "w"}}}
    assert ids(rollback_targets({"worker1": done, "worker2": halfway})[0]) == {"worker1": "old", "worker2": "old"}
    # After it is complete, the next rollback reverts the change before. A service without a process, and one that the
    # release does not have, do not make it incomplete.
    halfway["running"] = {"dask-worker@1.service": "w", "dask-worker@2.service": None, "dask-worker@9.service": "x"}
    assert ids(rollback_targets({"worker1": done, "worker2": halfway})[0]) == {"worker1": "older", "worker2": "older"}


def test_rollback_is_described():
    # The names are those that status.yml shows. The ids of the hosts' own directories differ from them.
    new, old = release("7b", 2, worker="new.1"), release("3f", 1, worker="old.1")
    own = release("9c", 1, worker="new.2")
    hosts = {"worker2": host(new, old), "worker1": host({**new, "environment": "e2"}, old), "worker3": host(old)}
    hosts["worker4"] = host(own, new)
    assert list(rollback_report(hosts, {**dict.fromkeys(hosts, old), "worker4": new})) == [
        "This run reverts the latest change:",
        "worker1: release new to old, environment e2 to e1",
        "worker2: release new to old",
        "worker4: release new, previous settings of the host",
        "Revert your variables, too. Otherwise the next run of site.yml repeats the change.",
    ]
    labelled = [{**one, "label": label} for one, label in ((new, "v1.4"), (old, "v1.3"))]
    assert list(rollback_report({"w1": host(*labelled)}, {"w1": labelled[1]}))[1] == (
        "w1: release new (v1.4) to old (v1.3)"
    )
    assert "interrupted rollback" in next(
        rollback_report(hosts, {name: about["current"] for name, about in hosts.items()})
    )


def test_rollback_to_different_environments_is_rejected():
    new = release("new", 2, "e2")
    targets, (problem,) = rollback_targets({"worker1": host(new, OLD), "worker2": host(new, OLD), "worker3": host(new)})
    assert targets == {}
    assert (
        "a different environment or application: worker3 (e2); the others would have e1" in problem
        and "--limit" in problem
    )


def test_rollback_to_different_applications_is_rejected():
    new = {**NEW, "application": "a2"}
    targets, (problem,) = rollback_targets({"worker1": host(new, OLD), "worker2": host(new, OLD), "worker3": host(new)})
    assert targets == {}
    assert "application: worker3 (e1, application a2); the others would have e1." in problem
    found = rollback_targets({name: host(new, {**OLD, "application": "a1"}) for name in ("worker1", "worker2")})
    assert ids(found[0]) == {"worker1": "old", "worker2": "old"}
    (line,) = [line for line in rollback_report({"worker1": host(new, OLD)}, {"worker1": OLD}) if "worker1" in line]
    assert line.endswith(", application a2 to none")


def test_rollback_without_a_previous_release_is_rejected():
    targets, (problem,) = rollback_targets({"worker1": host(OLD)})
    assert targets == {}
    assert "No host has a previous release" in problem


def test_rollback_of_a_host_without_a_release_is_rejected():
    targets, (problem,) = rollback_targets({"worker1": host(NEW, OLD), "worker2": host({})})
    assert targets == {}
    assert problem.startswith("worker2: no release is installed")


def test_rollback_to_other_kinds_of_services_is_rejected():
    before = {**OLD, "services": {"scheduler": {"dask-scheduler.service": "s"}}}
    targets, (problem,) = rollback_targets({"both": host(NEW, before)})
    assert targets == {}
    assert problem.startswith("both: the previous release has no scheduler or no worker")


def test_interrupted_rollback_with_stopped_services_is_continued():
    older = release("older", 0)
    hosts = {"worker1": host(OLD, older, 2, {"dask-worker@1.service": "w"}), "worker2": host(OLD, older, 2)}
    assert ids(rollback_targets(hosts)[0]) == {"worker1": "old", "worker2": "old"}
