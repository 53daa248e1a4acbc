# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask's configuration for the services of a host."""

from __future__ import annotations

import dask
import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import (
    DEFAULTS,
    Module,
    merge,
    modules,
    scheduler_configuration,
    tls_choices,
    worker_configuration,
)
from cluster_settings import pool, settings
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b-c", "d"])
CONFIGURATIONS = st.recursive(
    st.dictionaries(KEYS, st.integers() | st.lists(st.integers(), max_size=2), max_size=3),
    lambda inner: st.dictionaries(KEYS, inner | st.integers(), max_size=3),
)


def kinds_agree(old, new):
    """Return whether each common key holds a mapping on both sides or on neither. In other cases Dask drops the mapping."""
    both = old.keys() & new.keys()
    return all(
        isinstance(old[key], dict) == isinstance(new[key], dict)
        and (not isinstance(old[key], dict) or kinds_agree(old[key], new[key]))
        for key in both
    )


def test_configurations_are_merged_as_dask_does():
    ours = {"a-b": {"c": 1, "list": [1]}, "d": {"e": 2}}
    theirs = [{"a_b": {"c": 3, "list": [2]}}, {"d": None}, None, {"d": 7, "f": None}]
    assert merge([ours, *theirs]) == {"a-b": {"c": 3, "list": [2]}, "d": {"e": 2}, "f": None}
    assert ours == {"a-b": {"c": 1, "list": [1]}, "d": {"e": 2}}, "merge() changed its argument"


@given(CONFIGURATIONS, CONFIGURATIONS)
def test_any_two_configurations_are_merged_as_dask_does(old, new):
    if kinds_agree(old, new):
        assert merge([old, new]) == dask.config.merge(old, new)
    assert merge([old, {}]) == merge([{}, old]) == old


def test_modules_are_files_or_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ["my.monitor", "~/greeting.py", {"name": "my.command", "arguments": ["--level", 3]}, "https://a.b/c.py"]
    assert modules(given) == [
        Module("my.monitor", "", []),
        Module("greeting", str(tmp_path.resolve() / "greeting.py"), []),
        Module("my.command", "", ["--level", "3"]),
        Module("https://a.b/c.py", "", []),
    ]


def test_scheduler_logs_the_path_of_its_dashboard():
    def link(**changes):
        return scheduler_configuration(settings(**changes))["distributed"].get("dashboard", {}).get("link")

    assert link() is None
    assert link(dashboard_prefix="/a/b/") == "{scheme}://{host}:{port}/a/b/status"
    own = {"distributed": {"dashboard": {"link": "https://dask.example.org/a/b/status"}}}
    assert link(dashboard_prefix="/a/b/", config=own) == "https://dask.example.org/a/b/status"


def test_each_kind_has_its_own_settings():
    both = settings(
        config={"distributed": {"admin": {"log-length": 5}}},
        scheduler_config={"distributed": {"admin": {"log-length": 6}}},
        worker_config={"distributed": {"worker": {"memory": {"spill": False}}}},
    )
    scheduler, worker = (make(both)["distributed"] for make in (scheduler_configuration, worker_configuration))
    assert (scheduler["admin"]["log-length"], worker["admin"]["log-length"]) == (6, 5)
    assert worker["memory" if "memory" in worker else "worker"]["memory"] == {
        "target": 0.6,
        "spill": False,
        "pause": 0.8,
    }
    assert scheduler["worker"] == DEFAULTS["distributed"]["worker"]
    assert "nanny" not in scheduler and scheduler["scheduler"]["preload"] == ["daskops_runtime.scheduler"]


def test_required_settings_override_the_users():
    pasted = {
        "distributed": {"comm": {"require_encryption": None, "default-scheme": "tcp"}, "worker": {"preload": ["x"]}}
    }
    worker = worker_configuration(settings(tls=True, config=pasted))["distributed"]
    assert worker["comm"]["require_encryption"] is True and worker["comm"]["default-scheme"] == "tls"
    assert worker["comm"]["tls"]["client"] == {key: "/opt/dask/tls/worker.pem" for key in ("cert", "key")}
    assert worker["worker"]["preload"] == ["daskops_runtime.worker"]
    assert "tls" not in worker_configuration(settings())["distributed"]["comm"]


def test_users_choose_the_version_of_tls():
    chosen = settings(tls=True, scheduler_config={"distributed": {"comm": {"tls": {"min-version": 1.3}}}})
    assert scheduler_configuration(chosen)["distributed"]["comm"]["tls"]["min-version"] == 1.3


def test_choices_of_tls_have_their_variables():
    def config(**tls):
        return {"distributed": {"comm": {"tls": tls}}}

    values = {
        "dask_config": config(ciphers="AES", **{"max-version": 1.2, "ca-file": "/ca.pem"}),
        "dask_scheduler_config": config(ciphers=None, **{"min-version": 1.3}),
        "dask_worker_config": {"distributed": {"comm": None}},
    }
    assert tls_choices(values, "scheduler") == (
        {"max-version": 1.2, "min-version": 1.3},
        ["dask_config", "dask_scheduler_config"],
    )
    assert tls_choices(values, "worker") == ({"ciphers": "AES", "max-version": 1.2}, ["dask_config"])
    assert tls_choices({**values, "dask_config": {"distributed": {}}}, "worker") == ({}, [])


def test_users_modules_follow_the_collections():
    wanted = settings(
        worker_preloads=["a", {"name": "b", "arguments": ["-x"]}],
        nanny_preloads=["n"],
        worker_routes=["r"],
        scheduler_routes=["s"],
        shutdown_token=True,
        pools={"": pool(nanny=True)},
    )
    worker = worker_configuration(wanted)["distributed"]
    assert worker["worker"]["preload"] == ["daskops_runtime.worker", "a", "b"]
    assert worker["worker"]["preload-argv"] == [[], [], ["-x"]]
    assert worker["nanny"]["preload"] == ["daskops_runtime.nanny", "n"]
    assert worker["worker"]["http"]["routes"][:2] == ["daskops_runtime.shutdown", "r"]
    scheduler = scheduler_configuration(wanted)["distributed"]["scheduler"]
    ours = [f"daskops_runtime.{name}" for name in ("summary", "worker_proxy", "shutdown")]
    assert scheduler["http"]["routes"] == [*ours, "s", *DEFAULTS["distributed"]["scheduler"]["http"]["routes"]]


def test_nanny_preloads_are_left_out_without_nannies():
    worker = worker_configuration(settings(nanny_preloads=["n"]))["distributed"]
    assert worker["nanny"]["preload"] == ["daskops_runtime.nanny"]


@pytest.mark.parametrize("routes", ["one.route", ["one.route"], [["one.route"], None]])
def test_routes_are_a_string_or_a_list(routes):
    config = {"distributed": {"scheduler": {"http": {"routes": routes}}}}
    off = settings(summary_route=False, worker_pages_route=False, scheduler_config=config)
    assert scheduler_configuration(off)["distributed"]["scheduler"]["http"]["routes"] == ["one.route"]
