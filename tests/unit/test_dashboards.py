# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards: their models, and the metrics in them."""

import json

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.dashboards import DASHBOARDS, dashboards
from scrapes import names_in


def test_metrics_of_panels_are_in_a_real_scrape(scraped):
    named = {
        name
        for panels in DASHBOARDS.values()
        for panel in panels
        for expression in panel.expressions.values()
        for name in names_in(expression)
    }
    assert "dask_worker_memory_bytes" in named
    assert named - scraped == set()


@pytest.mark.parametrize("name, model", dashboards().items(), ids=dashboards())
def test_model_is_consistent(name, model):
    assert model["uid"] == name and json.loads(json.dumps(model)) == model
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in model["panels"]]
    assert len(set(places)) == len(places) and {x for x, _ in places} == {0, 12}
    assert len({panel["id"] for panel in model["panels"]}) == len(places)
    selectors = [one["name"] for one in model["templating"]["list"]]
    assert selectors[:2] == ["datasource", "cluster"] and ("host" in selectors) == (name == "dask-host")
    # Every expression is of the chosen cluster and data source.
    for panel in model["panels"]:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["expr"].count("{") == target["expr"].count('cluster="$cluster"')
