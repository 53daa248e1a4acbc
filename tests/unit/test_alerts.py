# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules. The scenario `monitoring` tests them with Prometheus' own tools."""

import re

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.alerts import ALERTS, expression_of, rules
from playbook_runs import ROOT
from scrapes import names_in


def test_metrics_of_rules_are_in_a_real_scrape(scraped):
    named = set().union(*(names_in(alert.expression) for alert in ALERTS))
    assert "dask_scheduler_workers" in named and "process_start_time_seconds" in named
    assert named - scraped == set()


def test_unknown_metric_is_found(scraped):
    assert names_in('sum(dask_worker_treads{job="dask_x"}) > 0') - scraped == {"dask_worker_treads"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alert_is_consistent(alert):
    assert re.fullmatch(r"Dask[A-Za-z]+", alert.name) and alert.severity in ("critical", "warning")
    assert alert.remedy.endswith(".") and not alert.summary.endswith(".")
    # Labels that the expression does not keep are empty.
    kept = re.match(r"(?:sum|max|min|count) by \((.*?)\)", alert.expression)
    used = set(re.findall(r"\$labels\.(\w+)", alert.summary))
    assert not kept or used <= set(kept[1].split(", "))


def test_conditions_last_and_events_do_not():
    by_name = {rule["alert"]: rule for rule in rules(60, 5, 14)["groups"][0]["rules"]}
    assert by_name["DaskWorkerDown"]["for"] == "60s" and "for" not in by_name["DaskSchedulerRestarted"]
    assert "< 14 * 86400" in by_name["DaskCertificateExpires"]["expr"]
    assert rules(60, 5, 14)["groups"][0]["interval"] == "5s"


def test_every_alert_has_a_rule_test():
    """`promtool test rules` runs the file in the scenario `monitoring`."""
    text = (ROOT / "molecule/monitoring/tests/rules_test.yml").read_text()
    assert set(re.findall(r"alertname: (\w+)", text)) == {alert.name for alert in ALERTS}


def test_reference_has_every_alert():
    text = (ROOT / "docs/reference/metrics.md").read_text()
    assert all(f"`{alert.name}`" in text and expression_of(alert, 30).replace("|", "\\|") in text for alert in ALERTS)
