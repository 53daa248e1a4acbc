# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes are parsed as Dask parses them."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import format_size, parse_share, parse_size
from dask.utils import parse_bytes
from hypothesis import given
from hypothesis import strategies as st

UNITS = [prefix + end for prefix in ("", *"kMGTP", *(f"{p}i" for p in "KMGTP")) for end in ("", "B")]


@given(
    number=st.one_of(st.integers(2, 10**9), st.decimals(2, 10**6, places=3)),
    space=st.sampled_from(["", " "]),
    unit=st.sampled_from(UNITS),
    case=st.sampled_from([str, str.lower, str.upper]),
)
def test_sizes_are_parsed_as_dask_does(number, space, unit, case):
    text = f"{number}{space}{case(unit)}"
    assert parse_size(text) == parse_bytes(text)


@given(st.integers(2, 2**60))
def test_number_is_in_bytes(size):
    assert parse_size(size) == size or size > 2**53  # like Dask, parse_size() uses floats
    assert parse_size(size) == parse_bytes(str(size))


@given(st.integers(1, 100))
def test_shares_are_percentages_or_fractions(percent):
    assert parse_share(f"{percent}%") == parse_share(f" {percent}.0 % ") == pytest.approx(percent / 100)
    if percent < 100:
        assert parse_share(percent / 100) == parse_share(f".{percent:02}") == pytest.approx(percent / 100)


@pytest.mark.parametrize("text", ["4GiB", "auto", 1, "1", "1.0", 0, "1e-1", "0.5GiB", "", "-0.5", "-5%"])
def test_other_values_are_no_shares(text):
    assert parse_share(text) == 0


@pytest.mark.parametrize("text", ["0%", "100.1%", "1000 %"])
def test_impossible_percentages_are_rejected(text):
    with pytest.raises(ValueError, match=f"'{text}' is not a share. Write it like 75%, at most 100%"):
        parse_share(text)


@given(st.integers(2, 2**50))
def test_formatted_size_parses_back_except_for_rounding(size):
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize("size, text", [(2, "2 B"), (1024, "1.0 KiB"), (3 * 2**29, "1.5 GiB"), (2**51, "2048.0 TiB")])
def test_formatted_sizes_have_binary_units(size, text):
    assert format_size(size) == text


# Dask reads a memory limit of 1 or less as a fraction of the host's memory. That is no size, so it is rejected.
@pytest.mark.parametrize("text", ["", "auto", "four GiB", "4 Gigs", "-4GiB", "0", "1", "0.5", "1.0", "4GiB 5", None])
def test_invalid_sizes_are_rejected_with_an_example(text):
    with pytest.raises(ValueError, match=r"is not a size. Write it like 4GiB or 500MB") as error:
        parse_size(text)
    assert f"'{text}'" in str(error.value)


@pytest.mark.parametrize("text", [0, "0", "0GiB", " 0.0 B "])
def test_zero_is_a_size_where_it_disables_something(text):
    assert parse_size(text, zero=True) == 0
    with pytest.raises(ValueError, match=r"is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "1", "0.5", "-1GiB", False])
def test_other_small_numbers_are_rejected_where_zero_is_a_size(text):
    with pytest.raises(ValueError, match=r"is not a size. Write it like 4GiB or 500MB, or 0"):
        parse_size(text, zero=True)
