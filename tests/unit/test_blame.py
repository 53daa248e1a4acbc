# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the variable that made a service fail to start."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.blame import blame, condensed, sentence

BOKEH = """distributed.scheduler - INFO - State start
Traceback (most recent call last):
  File "/opt/dask/environments/1/lib/python3.11/site-packages/distributed/dashboard/core.py", line 51, in BokehApplication
    return DaskBokehTornado(
TypeError: distributed.dashboard.core.DaskBokehTornado() got multiple values for keyword argument 'prefix'
daskops-trial-1-scheduler.service: Main process exited, code=exited, status=1/FAILURE"""
WHERE = "distributed.scheduler.dashboard.bokeh-application.prefix"
VARIABLE = "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP"
MONITOR = "dask_scheduler_preloads (monitor)"
HANDLERS = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": "/nope/a.log"}}}
FILENAME = "dask_config (logging.handlers.file.filename)"
LOGGING = """  File "/usr/lib/python3.11/logging/config.py", line 573, in configure
    raise ValueError('Unable to configure handler '
ValueError: Unable to configure handler 'file'"""
CONTACT = "ERROR - Failed to launch worker. Must specify --listen-address when --contact-address is given"
PRELOAD = """distributed.preloading - INFO - Import preload module: daskops_runtime.scheduler
distributed.preloading - INFO - Import preload module: monitor
distributed.preloading - INFO - Run preload setup: daskops_runtime.scheduler
distributed.preloading - INFO - Run preload setup: monitor
this preload is broken"""
TRACEBACK = """distributed.preloading - INFO - Run preload setup: other
  File "/opt/dask/releases/0123456789ab/python/monitor.py", line 4, in dask_setup
OSError: [Errno 98] Address already in use"""


def nested(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


PREFIX = nested(WHERE, "/dask")
LOOP = nested("distributed.admin.event-loop", "uvloop")


@pytest.mark.parametrize(
    ("said", "settings", "variable"),
    [
        (
            "gdal: not found\ndask_environment_setup: line 2 (module load gdal) ended with status 1\nuvloop",
            {"dask_environment_setup": ["true", "module load gdal"], "dask_config": LOOP},
            "dask_environment_setup (line 2)",
        ),
        ("No module named 'gdal'", {"dask_environment_archive": "e.tar"}, "dask_environment_archive (it lacks gdal)"),
        ("No module named 'gdal'", {"dask_environment_archive": ""}, "dask_environment_lock (it lacks gdal)"),
        (BOKEH, {"dask_config": LOOP, "dask_scheduler_config": PREFIX}, f"dask_scheduler_config ({WHERE})"),
        (BOKEH, {"dask_config": PREFIX}, f"dask_config ({WHERE})"),
        (
            "RuntimeError: ... 'uvloop' but the uvloop module is not installed",
            {"dask_config": {**LOOP}},
            "dask_config (distributed.admin.event-loop)",
        ),
        (
            "uvloop module is not installed",
            {"dask_config": LOOP, "dask_environment_variables": {VARIABLE: "uvloop"}},
            f"dask_environment_variables.{VARIABLE}",
        ),
        (
            "uvloop",
            {"dask_config": LOOP, "dask_scheduler_config": LOOP},
            "dask_scheduler_config (distributed.admin.event-loop)",
        ),
        (LOGGING, {"dask_config": {"logging": HANDLERS}}, "dask_config (logging)"),
        (f"No such file: '/nope/a.log'\n{LOGGING}", {"dask_config": {"logging": HANDLERS}}, FILENAME),
        (
            LOGGING, {"dask_config": nested("distributed.logging-file-config",
            "/x")},
            "dask_config (distributed.logging-file-config)",
        ),
        (CONTACT, {"dask_worker_arguments": ["--contact-address", "tls://1"]}, "dask_worker_arguments (--contact-address)"),
        (
            CONTACT, {"dask_worker_pools.a.arguments": ["--contact-address=tls://1"]},
            "dask_worker_pools.a.arguments (--contact-address)",
        ),
        ("Error: Invalid value for '--x'", {"dask_worker_arguments": ["--pid-file", "x"]}, "dask_worker_arguments"),
        (PRELOAD, {"dask_scheduler_preloads": ["other", "files/monitor.py"]}, MONITOR),
        (PRELOAD, {"dask_scheduler_preloads": [{"name": "monitor", "arguments": ["1"]}]}, MONITOR),
        (TRACEBACK, {"dask_worker_preloads": ["other"], "dask_worker_routes": ["monitor"]}, "dask_worker_routes (monitor)"),
        ("status=226/NAMESPACE", {"dask_worker_paths": ["/data"], "dask_worker_devices": []}, "dask_worker_paths"),
        (
            "ValueError: LICENSE_FILE is empty",
            {"dask_environment_variables": {"LICENSE_FILE": ""}},
            "dask_environment_variables.LICENSE_FILE",
        ),
        (
            "ValueError: could not convert string to float: 'muchness'",
            {"dask_config": nested("a.b_c",
            "muchness")},
            "dask_config (a.b-c)",
        ),
        ("ModuleNotFoundError: No module named 'bokeh'", {}, "dask_environment_lock (it lacks bokeh)"),
        ("Killed", {"dask_config": LOOP}, ""),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_blame_names_the_variable(said, settings, variable):
    assert blame(said, settings) == variable


def test_sentence_lists_the_set_variables_if_the_cause_is_unknown():
    assert sentence(
        "Killed", {"dask_config": LOOP, "dask_worker_paths": [], "dask_worker_config": {"a": 1}}, late=False
    ) == ("The probable cause is one of these variables: dask_config, dask_worker_config. Change it.")
    assert sentence("Killed", {}, late=False) == "No variable that could be the cause is set. See the journal."


def test_timeout_on_a_busy_host_suggests_a_longer_timeout():
    said = sentence("uvloop", {"dask_config": LOOP}, late=True)
    assert said == "The host may be too busy. Increase dask_start_timeout."
    # A preload that blocks also runs into the timeout, so the sentence names it as well.
    said = sentence(PRELOAD, {"dask_scheduler_preloads": ["monitor"]}, late=True)
    assert "busy" in said and MONITOR in said


def test_tracebacks_are_condensed():
    said = """a line
Traceback (most recent call last):
  File "a.py", line 1, in a
    b()
  File "b.py", line 2, in b
    open("/nope")
    ^^^^^^^^^^^^^
FileNotFoundError: /nope

The above exception was the direct cause of the following exception:

  File "c.py", line 3, in c
ValueError: x"""
    assert condensed(said).splitlines() == [
        "a line",
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in b',
        '    open("/nope")',
        "FileNotFoundError: /nope",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        '  File "c.py", line 3, in c',
        "ValueError: x",
    ]


def test_port_in_use_is_explained():
    said = sentence(TRACEBACK, {"dask_worker_preloads": ["monitor"]}, late=False)
    assert "dask_worker_preloads (monitor)" in said and "DASKOPS_TRIAL" in said
