# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the results of doctor_info."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.doctor_answers import CHECKS, unbelievable
from test_doctor import facts


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
        ("mtus", {"10.0.0.1": [1500]}),
        ("mtus", {"10.0.0.1": [1500, -1]}),
        ("selinux", {"mode": "off", "tools": True}),
        ("restarting", ["ssh.service"]),
        ("limits", {"nr_open": True, "pid_max": 1, "threads_max": 1}),
    ],
)
def test_single_wrong_value(name, value):
    assert unbelievable({**facts("w1"), name: value}) == [name]
