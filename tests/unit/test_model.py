# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings from which a host's release is made."""

import dataclasses

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from cluster_settings import DEFAULTS, pool, settings


def test_other_values_are_left_out():
    assert Settings.of({**DEFAULTS, "nothing": 1, "python": "python3"}) == settings()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_required(name):
    with pytest.raises(KeyError, match=name):
        Settings.of({key: value for key, value in DEFAULTS.items() if key != name})


def test_secrets_are_not_printed():
    secret = {"environment_variables": {"WORD": "hidden"}}
    shown = repr(settings(shutdown_token="hidden", pools={"": pool(**secret)}, **secret))
    assert "hidden" not in shown and "/opt/dask" in shown


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().home = "/srv/dask"


@pytest.mark.parametrize(
    ("pools", "expected"),
    [({}, False), ({"": pool()}, False), ({"a": pool(), "b": pool(nanny=True)}, True)],
)
def test_one_pool_with_nannies_is_enough(pools, expected):
    assert settings(pools=pools).has_nannies is expected
