# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Dask that the collection sets, and the variables to use instead."""

import pytest
from daskops_runtime.owned_settings import find_owned, find_owner, find_problems

DEFAULTS = {"distributed": {"worker": {"preload": [], "memory": {"spill": 0.7}}}, "scheduler-address": None}


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("scheduler-address", ("scheduler-address", "dask_scheduler_host or dask_scheduler_address")),
        ("scheduler_address", ("scheduler-address", "dask_scheduler_host or dask_scheduler_address")),
        ("distributed.comm.tls.worker.cert", ("distributed.comm.tls.worker", "dask_tls_certificates")),
        ("distributed.worker.preload", ("distributed.worker.preload", "dask_worker_preloads")),
        ("distributed.worker.preloads", None),
        ("distributed.worker.memory.spill", None),
        ("distributed", None),
    ],
)
def test_key_has_the_variable_that_sets_it_or_none(path, owner):
    assert find_owner(path) == owner


def test_defaults_are_distinguished_from_other_values():
    tree = {"scheduler-address": None, "distributed": {"worker": {"preload": ["a"], "memory": {"spill": 0.9}}}}
    found = set((path, is_default) for path, value, is_default in find_owned(tree, DEFAULTS))
    assert found == {("scheduler-address", True), ("distributed.worker.preload", False)}


def test_value_other_than_the_default_is_a_problem_with_the_remedy():
    tree = {"distributed": {"worker": {"preload": ["a"], "memory": {"spill": 0.9}}}}
    (problem,) = find_problems("dask_config", tree, DEFAULTS)
    assert problem.startswith("dask_config: distributed.worker.preload is set by daskops.cluster itself.")
    assert "use dask_worker_preloads instead" in problem


def test_default_is_a_problem_only_if_it_replaces_the_value_of_the_file():
    tree = {"distributed": {"worker": {"preload": []}}}
    assert list(find_problems("dask_environment_variables", tree, DEFAULTS, tree)) == []
    effective = {"distributed": {"worker": {"preload": ["daskops_runtime.worker"]}}}
    assert len(list(find_problems("dask_environment_variables", tree, DEFAULTS, effective))) == 1
