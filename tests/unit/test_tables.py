# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables as text."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table


def test_columns_are_as_wide_as_their_longest_cell():
    assert table(("host", "port"), [("a", "8786"), ("longer", "1")]) == ["host    port", "a       8786", "longer  1"]


def test_table_without_rows_is_its_header():
    assert table(("host", "port"), []) == ["host  port"]


def test_row_without_a_cell_is_an_error():
    with pytest.raises(IndexError):
        table(("host", "port"), [("a",)])
