# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of pools, completed with the host's."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.pools import worker_pools

POOLS = {"numeric": {"threads": 2}, "io": {}}
DEFAULTS = {
    "threads": 1,
    "hyperthreads": False,
    "nanny": False,
    "profile": "numeric",
    "command": "dask worker",
    "resources": {},
}


def test_override_then_pool_then_host_sets_the_value():
    found = worker_pools(POOLS, {"io": {"threads": 3}}, DEFAULTS)
    assert {name: about["threads"] for name, about in found.items()} == {"numeric": 2, "io": 3}
    assert worker_pools({"a": {}}, {}, {**DEFAULTS, "nanny": "yes"})["a"] == {**DEFAULTS, "nanny": True}
    assert worker_pools({"a": {"hyperthreads": "on"}}, {}, DEFAULTS)["a"] == {**DEFAULTS, "hyperthreads": True}
    assert worker_pools({}, {}, DEFAULTS) == {"": DEFAULTS}
    assert worker_pools({"a": {"command": "dask cuda worker"}}, {}, DEFAULTS)["a"]["nanny"] is True


@pytest.mark.parametrize(
    ("pools", "overrides", "said"),
    [
        ([{"name": "a"}], {}, "dask_worker_pools is not a dictionary"),
        ({"a": 4}, {}, r"dask_worker_pools\.a is not a dictionary"),
        ({"a": {"nprocs": 2}}, {}, r"dask_worker_pools\.a\.nprocs is not a setting of a pool. Did you mean count\?"),
        ({"a": {"memory_limit": 2}}, {}, r"a\.memory_limit is not a setting of a pool. Did you mean memory\?"),
        ({"a": {"treads": 2}}, {}, r"dask_worker_pools\.a\.treads is not a setting of a pool. Did you mean threads\?"),
        ({"a": {"dask_worker_count": 2}}, {}, r"a\.dask_worker_count is not a setting of a pool. Did you mean count\?"),
        (
            {"a": {"dask_worker_nprocs": 2}},
            {},
            r"a\.dask_worker_nprocs is not a setting of a pool. Did you mean count\?",
        ),
        ({"a": {"dask_threads": 2}}, {}, r"a\.dask_threads is not a setting of a pool. Did you mean threads\?"),
        ({"a": {"preloads": []}}, {}, r"pool\. Set the variable dask_worker_preloads, which applies to all pools\."),
        ({"a": {"config": {}}}, {}, r"pool\. Set the variable dask_worker_config, which applies to all pools\."),
        ({"a": {"conda_env": "x"}}, {}, r"pool\. Set the variable dask_environment_lock, which applies to all pools\."),
        ({"a": {"dask_serial": 1}}, {}, r"pool\. Set the variable dask_serial, which applies to all pools\."),
        ({"a": {"image": "x"}}, {}, r"a\.image is not a setting of a pool\. There are profile, count, "),
        ({"a": {7: "x"}}, {}, r"a\.7 is not a setting of a pool\. There are profile, count, "),
        ({"a": {"resources": ["GPU"]}}, {}, r"a\.resources is '\['GPU'\]'\. Give a dictionary"),
        ({"a": {"arguments": "--x"}}, {}, r"a\.arguments is '--x'\. Give a list of strings"),
        ({"a": {"arguments": [["--x"]]}}, {}, r"a\.arguments is '\[\['--x'\]\]'\. Give a list of strings"),
        ({"a": {"threads": None}}, {}, r"a\.threads is empty\. Give it a value"),
        ({"a": {"profile": ["numeric"]}}, {}, r"a\.profile is '\['numeric'\]'\. Give one of"),
        ({"A": {}}, {}, "'A', which is not a valid name of a pool"),
        ({"a-1": {}}, {}, "'a-1', which is not a valid name of a pool"),
        ({"a": {"nanny": "perhaps"}}, {}, r"a\.nanny is 'perhaps'. Give true or false"),
        ({"a": {"profile": "numerical"}}, {}, r"a\.profile is 'numerical'\. Give one of numeric, python"),
        (
            {"a": {"command": "dask-worker"}},
            {},
            r"a\.command is 'dask-worker'\. Give one of dask worker, dask cuda worker",
        ),
        ({"a": {}}, {"b": {}}, "dask_worker_pool_overrides has b, which is not a pool of this host. There are a."),
        ({}, {"b": {}}, "dask_worker_pool_overrides has b, which is not a pool of this host. There are none."),
        ({"a": {}}, {"a": {"x": 1}}, r"dask_worker_pool_overrides\.a\.x is not a setting of a pool"),
    ],
)
def test_invalid_pools_are_rejected(pools, overrides, said):
    with pytest.raises(ValueError, match=said):
        worker_pools(pools, overrides, DEFAULTS)


def test_empty_settings_of_a_host_are_rejected():
    with pytest.raises(ValueError, match="dask_worker_resources is empty"):
        worker_pools({}, {}, {**DEFAULTS, "resources": None})
