# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of validation errors."""

import dataclasses

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem

PROBLEM = Problem("dask_tls_days", "is '0'", "Give a whole number, 1 to 3650.")


def test_problem_is_two_sentences():
    assert str(PROBLEM) == "dask_tls_days is '0'. Give a whole number, 1 to 3650."


def test_problems_are_sorted_and_equal_ones_are_merged():
    other = Problem("dask_home", "is not an absolute path", "Give one.")
    assert sorted({PROBLEM, other, dataclasses.replace(PROBLEM)}) == [other, PROBLEM]


def test_problem_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROBLEM.where = "dask_home"
