# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that collects a variable of several hosts."""

import pytest
from ansible_collections.daskops.cluster.plugins.filter.by_host import by_host

HOSTVARS = {"a": {"seen": 1, "other": 2}, "b": {"seen": None}, "c": {"other": 3}}


def test_values_are_by_host_and_hosts_without_the_variable_are_left_out():
    assert by_host(["a", "b", "c"], HOSTVARS, "seen") == {"a": 1, "b": None}
    assert by_host(["c"], HOSTVARS, "seen") == {}


def test_no_other_variable_is_evaluated():
    class Variables(dict):
        def __getitem__(self, name):
            assert name == "ours"
            return super().__getitem__(name)

    hostvars = {"a": Variables(ours=1, other="{{ undefined }}"), "b": Variables(other=2)}
    assert by_host(["a", "b"], hostvars, "ours") == {"a": 1}


def test_unknown_host_is_an_error():
    with pytest.raises(KeyError):
        by_host(["d"], HOSTVARS, "seen")
