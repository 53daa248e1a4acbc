# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelt group names, and runs that select no host of the cluster."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import problems

OURS = {"all": ["s1", "w1", "w2", "x1"], "dask_scheduler": ["s1"], "dask_workers": ["w1", "w2"]}
NONE = (
    "The inventory has no host in the groups dask_scheduler and dask_workers. Put one Linux host into the first group, and "
    "at least one host into the second."
)


def wrong(connects=False, playing=("s1", "w1", "w2"), **groups):
    return list(map(str, problems({**OURS, **groups}, connects, playing)))


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"web": ["x1"], "scheduler": ["x1"], "workers": ["x1"]},  # groups of other projects
        {"dask_workers_b": ["x1"], "dask_workers2": ["x1"], "dask_gpu_workers": ["x1"], "old_dask_workers": ["x1"]},
        {"dask-workers": ["w1"], "dask_worker": ["w1", "w2"]},  # misspelt, but their hosts are in the right groups too
        {"dask_worker": []},
        {"dask_nodes": ["s1", "w1"], "dask_compute": ["w1"], "prometheus": ["x1"]},
    ],
)
def test_valid_groups_give_no_problem(groups):
    assert wrong(**groups) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("dask-workers", "dask_workers"),
        ("dask_worker", "dask_workers"),
        ("Dask_Workers", "dask_workers"),
        ("dask_wokers", "dask_workers"),
        ("dask_schedulers", "dask_scheduler"),
        ("dask-scheduler", "dask_scheduler"),
        ("dask_sheduler", "dask_scheduler"),
        ("dask_client", "dask_clients"),
        ("dask_nodes", "dask_workers"),
        ("dask_monitor", "dask_monitoring"),
        ("dask_prometheus", "dask_monitoring"),
    ],
)
def test_misspelt_group_is_reported_with_a_suggestion(name, meant):
    stray = "x1" if OURS.get(meant) else "w1, x1"
    assert wrong(**{name: ["w1", "x1"]}) == [
        f"The group {name} ({stray}) is not a group of daskops.cluster. Did you mean {meant}? Rename the "
        "group. If its hosts do not belong to the cluster, give it a name that is less similar."
    ]


@pytest.mark.parametrize(
    ("groups", "meant"),
    [
        ({"dask_scheduler": ["s1"], "dask_worker": ["s1"]}, "dask_workers"),
        ({"dask_scheduler": ["s1"], "dask_workers": [], "dask_compute": ["s1"]}, "dask_workers"),
        ({"dask_scheduler": ["s1"], "dask_workers": ["w1"], "dask_monitor": ["s1"]}, "dask_monitoring"),
        ({"dask_scheduler": ["s1"], "dask_workers": ["w1"], "dask_prometheus": ["s1"]}, "dask_monitoring"),
    ],
)
def test_misspelt_group_is_reported_if_its_hosts_are_in_another_group_but_the_right_group_is_empty(groups, meant):
    (problem,) = map(str, problems(groups, False, ["s1", "w1"]))
    assert problem.startswith(
        f"The group {list(groups)[-1]} (s1) is not a group of daskops.cluster. Did you mean {meant}?"
    )


def test_inventory_without_our_groups_is_reported():
    assert list(map(str, problems({}, False, ["localhost"]))) == [NONE]
    assert list(map(str, problems({"web": ["x1"], "ungrouped": []}, False, ["x1"]))) == [NONE]
    groups = {"all": ["a", "b"], "dask-workers": ["a"], "schedulers": ["b"], "nodes": ["a"], "worker": []}
    assert list(map(str, problems(groups, False, ["a", "b"]))) == [
        f"{NONE} The group dask-workers was probably meant to be dask_workers. The group schedulers was probably meant to "
        "be dask_scheduler. The group nodes was probably meant to be dask_workers."
    ]


def test_limit_without_hosts_is_reported():
    groups = {"dask_clients": ["c1"]}
    assert wrong(playing=["c1"], **groups) == [
        "--limit leaves no host of the groups dask_scheduler and dask_workers, so there is nothing to do. Correct it."
    ]
    assert wrong(connects=True, playing=["c1", "s1"], **groups) == []
    assert wrong(connects=True, **groups) == [
        "--limit leaves no host of the group dask_clients, so there is nothing to do. Correct it."
    ]
    assert wrong(connects=True, playing=["c1", "w1"], **groups) == [
        "--limit excludes s1, from which the run reads the connection. Add s1 to --limit."
    ]
    assert wrong(connects=True, playing=["s1", "localhost"]) == []
    assert wrong(connects=True, playing=["s1", "w1"]) == [
        "--limit excludes localhost. While the group dask_clients is empty, client.yml works only on localhost, so there "
        "is nothing to do. Add localhost to --limit, or omit --limit."
    ]
    assert wrong(playing=["w2"]) == []
