# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consistency of the settings table."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import (
    POOL_PREFIX,
    SECTIONS,
    SETTINGS,
)

TYPES = {"bool": bool, "dict": dict, "int": int, "list": list, "path": str, "str": str}


def test_names_are_unique():
    assert sum(map(len, SECTIONS.values())) == len(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_setting_is_consistent(setting):
    assert setting.name.startswith("dask_")
    assert setting.meaning.endswith(".") and all(detail.endswith(".") for detail in setting.details)
    assert setting.type == "raw" or type(setting.default) is TYPES[setting.type]
    assert setting.default in (setting.choices or [setting.default])
    assert bool(setting.elements) == (setting.type == "list")
    assert setting.scope in ("cluster", "host", "pool")
    assert setting.scope != "pool" or setting.name.startswith(POOL_PREFIX)
    # These defaults follow from the inventory and the controller.
    assert setting.default == "" or not setting.shown_default
    if setting.type == "int":
        assert setting.minimum <= setting.default
        assert setting.maximum is None or setting.default <= setting.maximum
    else:
        assert setting.minimum is None and setting.maximum is None
