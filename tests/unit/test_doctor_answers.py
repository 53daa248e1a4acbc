# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the results of doctor_info."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.doctor_answers import (
    CHECKS,
    EMPTY,
    unbelievable,
    without_unbelievable,
)
from test_doctor import facts, healthy
from test_doctor import found as diagnosed


def test_usual_result_is_valid():
    assert unbelievable(facts("w1")) == []


@pytest.mark.parametrize("name", CHECKS)
def test_missing_and_wrong_values_are_named(name):
    whole = facts("w1")
    for wrong in (7.5, "\x1b[31m", [[]], {"a": object()}):
        assert unbelievable({**whole, name: wrong}) == [name]
    del whole[name]
    assert unbelievable(whole) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connections", ["open\x07"]),
        ("resolved", {"a": ["not an address"]}),
        ("resolved", {"a": [""]}),
        ("mtus", {"10.0.0.1": [1500]}),
        ("mtus", {"10.0.0.1": [1500, -2]}),
        ("mtus", {"10.0.0.1": [-1, 1500]}),
        ("selinux", {"mode": "off", "tools": True}),
        ("restarting", ["ssh.service"]),
        ("limits", {"nr_open": True, "pid_max": 1, "threads_max": 1}),
    ],
)
def test_single_wrong_value(name, value):
    assert unbelievable({**facts("w1"), name: value}) == [name]


@pytest.mark.parametrize("name", CHECKS)
def test_invalid_value_is_empty_and_hides_no_other(name):
    whole = facts("w1")
    whole["leftovers"] = {**whole["leftovers"], "units": ["/a"]}
    for wrong in ({**whole, name: 7.5}, {key: value for key, value in whole.items() if key != name}):
        found = without_unbelievable({**wrong, "invalid": ["forged"]}, 0)
        assert found["invalid"] == [name] and unbelievable(found) == []
        assert {key: found[key] for key in CHECKS if key != name} == {key: whole[key] for key in CHECKS if key != name}
        examined = healthy()
        examined.facts["w1"] = found
        assert set(diagnosed(examined)) - {"mtu-unknown", "other-unit"} == {"invalid-values"}


def test_invalid_trace_hides_no_other():
    whole = facts("w1")
    whole["leftovers"] = {**whole["leftovers"], "configuration": ["/a\x01.yaml", "/b.yaml"], "units": 7}
    found = without_unbelievable(whole, 0)
    assert found["invalid"] == ["leftovers"] and found["leftovers"] == {
        **facts("w1")["leftovers"],
        "configuration": ["/b.yaml"],
    }


def test_wrong_number_of_connections_is_invalid():
    assert without_unbelievable(facts("w1"), 1)["invalid"] == ["connections"]
    assert without_unbelievable(facts("w1"), 0)["invalid"] == []
    assert set(EMPTY) == set(CHECKS) - {"leftovers"}
