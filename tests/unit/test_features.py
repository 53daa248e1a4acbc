# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing packages of features that are in use."""

from __future__ import annotations

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import BOKEH, lacking, lacking_in, lacking_on
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock
from conftest import ROOT
from distributed.versions import BOKEH_REQUIREMENT

LOCK = "dask_environment_lock"
ALL = {"distributed": "2026.8.0", "bokeh": "3.9.2", "prometheus-client": "0.26.0", "lz4": "4.4.4"}


def without(*names, **others):
    return {name: version for name, version in {**ALL, **others}.items() if name not in names}


def test_default_lock_is_complete():
    packages = parse_lock((ROOT / "roles/environment/files/default.txt").read_text()).packages
    assert not list(lacking({locked.requirement.name: "9" for locked in packages}, LOCK))


@pytest.mark.parametrize(
    ("packages", "package", "loss"),
    [
        (without("prometheus-client"), "prometheus-client", "/metrics of the scheduler and the workers is empty"),
        (without("bokeh"), "bokeh", "the dashboard has no pages"),
        (without("lz4"), "lz4", "uncompressed"),
        (without(bokeh="2.4.3"), "bokeh 2.4.3", "older than 3.1: the dashboard has no pages"),
    ],
)
def test_missing_package_is_reported_with_its_effect(packages, package, loss):
    (sentence,) = lacking(packages, LOCK)
    assert package in sentence and loss in sentence and "dask_environment_lock" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "packages",
    [
        ALL,
        without("lz4", python_snappy="0.7"),
        without("prometheus-client", **{"Prometheus_Client": "0.26.0"}),
        without(bokeh=""),
        without(bokeh="of a wheel"),
    ],
)
def test_present_packages_are_not_reported(packages):
    assert not list(lacking(packages, LOCK))


def test_gpus_need_nvidia_ml_py():
    (sentence,) = lacking(ALL, LOCK, gpus=True)
    assert "nvidia-ml-py" in sentence
    assert not list(lacking({**ALL, "pynvml": "12"}, LOCK, gpus=True))


def test_minimum_version_of_bokeh_is_dasks():
    assert f"bokeh>={BOKEH}" in str(BOKEH_REQUIREMENT)


def running(packages):
    return {"versions": [{"packages": packages}]}


def test_equal_problems_of_hosts_are_reported_once():
    seen = {
        "a": running(without("bokeh")),
        "b": running(without("bokeh")),
        "c": running(ALL),
        "d": {"unreachable": True},
    }
    assert len(lacking_on(seen, {}, {}, LOCK)) == 1
    # The environment that the run installs counts, not the current one.
    planned = {"a": {"packages": ALL}, "b": {"packages": without("lz4")}}
    (sentence,) = lacking_on({name: seen[name] for name in "ab"}, {}, planned, LOCK)
    assert "lz4" in sentence
    assert len(lacking_on({"c": running(ALL)}, {"c": {"workers": [{"gpu": "0"}]}}, {}, LOCK)) == 1


def test_new_environments_are_checked_per_lock_and_gpu():
    environments = {"a": {"packages": ALL}, "b": {"packages": ALL}, "c": {"packages": without("lz4")}}
    assert len(lacking_in(environments, {"a": [{"gpu": ""}]}, LOCK)) == 1
    assert len(lacking_in(environments, {"a": [{"gpu": ""}], "b": [{"gpu": "0"}]}, LOCK)) == 2
