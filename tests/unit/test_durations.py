# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations are parsed as Dask parses them."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.durations import parse_duration
from dask.utils import parse_timedelta, timedelta_sizes
from hypothesis import given
from hypothesis import strategies as st


@given(
    number=st.one_of(st.integers(0, 10**6), st.decimals(0, 10**4, places=3), st.just("")),
    space=st.sampled_from(["", " "]),
    unit=st.sampled_from(sorted(timedelta_sizes)),
)
def test_durations_are_parsed_as_dask_does(number, space, unit):
    text = f"{number}{space}{unit}"
    assert parse_duration(text) == pytest.approx(parse_timedelta(text))


@given(st.integers(0, 10**9))
def test_number_is_in_seconds(seconds):
    assert parse_duration(seconds) == parse_duration(str(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "soon", "12 huors", "-1 h", "1 h 30 m", ".", "1..5 s", "1_000 s", None])
def test_invalid_durations_are_rejected(text):
    with pytest.raises(ValueError, match="is not a duration. Write it like 12 hours or 30 minutes"):
        parse_duration(text)
