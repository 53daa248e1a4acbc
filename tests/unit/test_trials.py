# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units and environments of trials."""

import json

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.history import note_use
from ansible_collections.daskops.cluster.plugins.module_utils.releases import read_releases, started_services
from ansible_collections.daskops.cluster.plugins.module_utils.trials import (
    at_release,
    dashboard_path,
    given_arguments,
    make_environment,
    make_unit,
    scheduler_arguments,
    secret_values,
    service_section,
    with_specifiers,
    worker_arguments,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.decide import untried

RELEASE = "/opt/dask/releases/0123456789ab"
UNIT = """[Unit]
Description=Dask worker %i
PartOf=dask-workers.target

[Service]
User=dask
EnvironmentFile=-/opt/dask/current/services/%n.env
ExecStart=/bin/sh /opt/dask/current/run.sh $DASKOPS_COMMAND $DASKOPS_ARGUMENTS
RuntimeDirectory=dask-worker-%i
Restart=always
BindReadOnlyPaths=/opt/dask /usr

[Install]
WantedBy=multi-user.target
"""
ENVIRONMENT = """# Threads
OMP_NUM_THREADS=1
MALLOC_TRIM_THRESHOLD_=65536
PASSWORD="a \\"quoted\\" one"
SHORT="abc"
DASKOPS_SHUTDOWN_TOKEN="0123456789abcdef"
DASK_ROOT_CONFIG=/opt/dask/current/worker/dask_configuration.yaml
DASK_CONFIG=/opt/dask/current/worker/dask_configuration.yaml
DASKOPS_LIFETIME=1 hour
DASKOPS_ARGUMENTS=tls://10.0.0.1:8786 --name w-1 --host 10.0.0.2 --worker-port 8800 --nanny --nanny-port 8700
"""


def assigned(text, name):
    """Return the values of a setting as systemd.syntax(7) says: an empty value removes the previous ones."""
    found = []
    for line in service_section(text):
        key, _, value = line.partition("=")
        if key == name:
            found = [*found, value] if value else []
    return found


def test_unit_of_a_trial_is_derived_from_the_services_unit():
    drop_in = "[Unit]\nAfter=data.mount\n[Service]\nExecStartPre=+/bin/true\nMemoryMax=%%1G\n"
    text = make_unit(
        [UNIT, drop_in],
        "dask-worker@pool-1.service",
        "/opt/dask",
        RELEASE,
        "daskops-trial-1-worker1",
        "/run/e",
        "/run/u",
        120,
    )
    assert assigned(text, "User") == ["dask"] and assigned(text, "BindReadOnlyPaths") == ["/opt/dask /usr"]
    assert assigned(text, "ExecStart") == [f"/bin/sh {RELEASE}/run.sh $DASKOPS_COMMAND $DASKOPS_ARGUMENTS"]
    assert assigned(text, "EnvironmentFile") == [f"-{RELEASE}/services/dask-worker@pool-1.service.env", "/run/e"]
    assert assigned(text, "RuntimeDirectory") == ["daskops-trial-1-worker1"]
    assert assigned(text, "Restart")[-1] == "no" and assigned(text, "WatchdogSec") == ["0"]
    assert assigned(text, "ExecStartPre") == [] and assigned(text, "ExecStop") == []
    assert assigned(text, "MemoryMax") == ["%%1G"]
    # systemd ends the trial even if the run was killed.
    assert assigned(text, "TimeoutStartSec") == assigned(text, "RuntimeMaxSec") == ["150"]
    assert "PartOf" not in text and "WantedBy" not in text and "data.mount" not in text


def test_trial_may_have_another_command():
    text = make_unit([UNIT], "dask-worker@1.service", "/opt/dask", RELEASE, "n", "/run/e", "/run/u", 120, "/bin/other")
    assert assigned(text, "ExecStart") == ["/bin/other"]


def test_only_paths_below_the_current_link_are_replaced():
    text = "/opt/dask/current /opt/dask/current/a /opt/dask/current.d /opt/dask/currently /opt/dask/tls"
    assert at_release(text, "/opt/dask/", "R") == "R R/a /opt/dask/current.d /opt/dask/currently /opt/dask/tls"


@pytest.mark.parametrize(
    ("unit", "text"),
    [("dask-scheduler.service", "dask-scheduler.service, , dask-scheduler, %N, %%i"),
     ("dask-worker@a-1.service", "dask-worker@a-1.service, a-1, dask-worker, %N, %%i")],
)  # fmt: skip
def test_specifiers_are_expanded_for_the_service(unit, text):
    assert with_specifiers("%n, %i, %p, %N, %%i", unit) == text


def test_environment_of_a_trial():
    lines = make_environment(ENVIRONMENT, "/opt/dask", RELEASE, "--a b").splitlines()
    assert lines == [
        f"DASK_ROOT_CONFIG={RELEASE}/worker/dask_configuration.yaml",
        f"DASK_CONFIG={RELEASE}/worker/dask_configuration.yaml",
        "DASKOPS_TRIAL=1",
        "DASKOPS_LIFETIME=",
        "DASKOPS_HOURS=",
        "DASKOPS_STANDBY=",
        "DASKOPS_SCALING=",
        "DASKOPS_SCALING_FILE=",
        "DASKOPS_ARGUMENTS=--a b",
    ]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("--host 10.0.0.1 --no-dashboard", "/"),
        ("--dashboard-prefix a/b --no-dashboard", "/a/b/"),
        ("--no-dashboard --dashboard-prefix", "/"),
        ("", "/"),
    ],
)
def test_path_of_the_dashboard_is_found_in_arguments(arguments, path):
    assert dashboard_path(arguments) == path


def test_worker_of_a_trial_joins_the_trials_scheduler_at_free_ports():
    given = given_arguments(ENVIRONMENT)
    assert given.startswith("tls://10.0.0.1:8786 ")
    words = worker_arguments(given, "/run/w", "/run/s").split()
    assert "tls://10.0.0.1:8786" not in words and "8786" not in "".join(words)

    def last(option):
        joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
        return joined[-1] if joined else words[len(words) - words[::-1].index(option)]

    assert last("--scheduler-file") == "/run/s/scheduler.json" and last("--local-directory") == "/run/w"
    assert last("--host") == "127.0.0.1" and last("--worker-port") == "0" and last("--nanny-port") == "0"
    assert last("--dashboard-address") == "127.0.0.1:0"
    # A worker behind a gateway.
    given = "tls://a:1 --listen-address tls://10.0.0.2:8800 --contact-address tls://gate:8800 --no-nanny"
    words = worker_arguments(given, "/run/w", "/run/s").split()
    assert words[0] == "--no-nanny" and "gate:8800" not in "".join(words)
    # Without a nanny the option is not added.
    assert "--nanny-port" not in worker_arguments("tls://10.0.0.1:8786 --no-nanny", "/run/w", "/run/s")
    # The running worker uses the PID file.
    assert worker_arguments("tls://a:1 --pid-file /x", "/run/w", "/run/s").endswith("--pid-file=")


def test_scheduler_of_a_trial_listens_at_free_ports():
    words = scheduler_arguments("--host 10.0.0.1 --port 8786 --scheduler-file /data/s", "/run/s").split()
    options = dict(zip(words[::2], words[1::2]))
    assert options == {
        "--host": "127.0.0.1",
        "--port": "0",
        "--dashboard-address": "127.0.0.1:0",
        "--scheduler-file": "/run/s/scheduler.json",
    }


def test_secret_values_of_an_environment_file():
    assert secret_values(ENVIRONMENT) == {'a "quoted" one', "0123456789abcdef"}


SCHEDULER, ONE = "dask-scheduler.service", "dask-worker@1.service"


def test_scheduler_that_was_tried_is_not_tried_again(tmp_path):
    release = tmp_path / "releases/a"
    release.mkdir(parents=True)
    services = {SCHEDULER: {"kind": "scheduler", "release": "s"}, ONE: {"kind": "worker", "release": "w"}}
    manifest = {"id": "a", "environment": "e", "services": services, "files": {}}
    (release / "manifest.json").write_text(json.dumps(manifest))
    wanted = {"scheduler": {SCHEDULER: "s"}, "worker": {ONE: "w"}}
    assert untried(started_services(read_releases(str(tmp_path))), wanted) == [SCHEDULER, ONE]
    for _run in range(2):
        note_use(str(tmp_path), "a", "scheduler", "tried")
    assert untried(started_services(read_releases(str(tmp_path))), wanted) == [ONE]
