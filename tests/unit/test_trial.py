# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message about a service that does not start in a trial."""

from ansible_collections.daskops.cluster.plugins.action.trial import LINES, explain, settings_of

PREFIX = {"distributed": {"scheduler": {"dashboard": {"bokeh-application": {"prefix": "/dask"}}}}}
JOURNAL = """distributed.scheduler - INFO - State start
Traceback (most recent call last):
  File "/opt/dask/environments/1/lib/python3.11/site-packages/distributed/dashboard/core.py", line 51, in BokehApplication
    return DaskBokehTornado(
TypeError: distributed.dashboard.core.DaskBokehTornado() got multiple values for keyword argument 'prefix'
daskops-trial-1-scheduler.service: Main process exited, code=exited, status=1/FAILURE"""


def test_settings_of_other_services_are_left_out():
    settings = {
        "dask_config": 1,
        "dask_scheduler_config": 2,
        "dask_worker_config": 3,
        "dask_nanny_preloads": 4,
        "dask_worker_pools.a.arguments": 5,
        "dask_worker_pools.b_c.arguments": 6,
    }
    assert set(settings_of("dask-scheduler.service", settings).values()) == {1, 2}
    assert set(settings_of("dask-worker@1.service", settings).values()) == {1, 3, 4}
    assert set(settings_of("dask-worker@b_c-2.service", settings).values()) == {1, 3, 4, 6}


def test_message_has_place_problem_and_remedy():
    failure = {"unit": "dask-scheduler.service", "problem": "does not start", "late": False, "journal": JOURNAL}
    said = explain("head", "0123456789ab", failure, {"dask_scheduler_config": PREFIX})
    assert said.startswith("head: dask-scheduler.service of the new release 0123456789ab does not start.")
    assert "nothing was stopped" in said and "dask_scheduler_config (distributed.scheduler.dashboard" in said
    assert "dask_trial" in said and said.endswith(JOURNAL)


def test_message_shows_the_end_of_the_journal():
    journal = "\n".join(f"line {number}" for number in range(100))
    failure = {
        "unit": "dask-worker@1.service",
        "problem": "does not start within 1 s",
        "late": True,
        "journal": journal,
    }
    shown = explain("w1", "0123456789ab", failure, {}).splitlines()[-LINES:]
    assert shown == [f"line {number}" for number in range(100 - LINES, 100)]
