# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of a host, their command lines and files, and the settings of users."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Environment
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    SCHEDULER,
    checks,
    dashboard_addresses,
    dashboard_of,
    files,
    pool_settings,
    scheduler_arguments,
    services,
    set_by_user,
    user_environment_variables,
    worker_arguments,
)
from cluster_settings import pool, settings

WORKER = {
    "name": "w1-1",
    "unit": "dask-worker@1.service",
    "pool": "",
    "threads": 4,
    "memory_limit": 1024,
    "memory_max": 1126,
    "cpus": "",
    "numa_node": None,
    "gpu": "",
    "address": "10.0.0.2",
    "contact_host": "",
    "port": 8800,
    "dashboard_port": 8900,
    "nanny_port": 9000,
}
ENVIRONMENT = Environment("0f3c5e9a7b1d", ("/usr",))
PLAN = {"address": "10.0.0.2", "workers": [WORKER]}


def test_services_of_a_host():
    assert services(["worker"], PLAN) == {"dask-worker@1.service": "worker"}
    assert services(["scheduler", "worker"], PLAN) == {SCHEDULER: "scheduler", "dask-worker@1.service": "worker"}
    assert services(["scheduler"], {"workers": []}) == {SCHEDULER: "scheduler"}


@pytest.mark.parametrize(
    ("proxy", "address", "listens"),
    [
        (True, "10.0.0.1", ["127.0.0.1:8787"]),
        (False, "10.0.0.1", ["127.0.0.1:8787", "10.0.0.1:8787"]),
        (False, "127.0.0.1", ["127.0.0.1:8787"]),
        (False, "0.0.0.0", ["0.0.0.0:8787"]),
        (True, "fd00::1", ["127.0.0.1:8787"]),
        (False, "fd00::1", ["127.0.0.1:8787", "[fd00::1]:8787"]),
        (False, "::", ["127.0.0.1:8787", "[::]:8787"]),
    ],
)
def test_dashboard_addresses(proxy, address, listens):
    assert dashboard_addresses(settings(dashboard_proxy=proxy), address) == listens


def test_command_line_of_the_scheduler():
    given = scheduler_arguments(settings(scheduler_file="/x/s.json", scheduler_port="8786"), "10.0.0.1")
    assert " ".join(given) == (
        "--host 10.0.0.1 --port 8786 --dashboard-address 127.0.0.1:8787,10.0.0.1:8787 --scheduler-file /x/s.json "
        "--no-dashboard"
    )
    given = scheduler_arguments(settings(scheduler_arguments=["--jupyter", 1]), "10.0.0.1")
    assert given[-3:] == ["--jupyter", "1", "--no-dashboard"]
    given = scheduler_arguments(settings(dashboard_prefix="/a/b/"), "10.0.0.1")
    assert given[-3:] == ["--dashboard-prefix", "a/b", "--no-dashboard"]


@pytest.mark.parametrize(
    ("prefix", "lines", "dashboard"),
    [("/", [], "8787/"), ("/a/b", ["DASKOPS_DASHBOARD_PREFIX=a/b"], "8787/a/b/")],
)
def test_scheduler_knows_the_path_of_its_dashboard(prefix, lines, dashboard):
    made = files(settings(dashboard_prefix=prefix), ["scheduler"], PLAN, ENVIRONMENT)
    found = {file.path: file.content for file in made}
    variables = found[f"services/{SCHEDULER}.env"].splitlines()
    assert [line for line in variables if line.startswith("DASKOPS_DASHBOARD")] == lines
    assert dashboard_of(settings(dashboard_prefix=prefix)) == dashboard


@pytest.mark.parametrize(("memory", "lines"), [("", []), ("2GiB", ["MemoryMax=2147483648"])])
def test_unit_of_the_scheduler_has_its_limit_of_memory(memory, lines):
    found = {
        file.path: file.content for file in files(settings(scheduler_memory=memory), ["scheduler"], PLAN, ENVIRONMENT)
    }
    unit = found[f"systemd/{SCHEDULER}"]
    assert [line for line in unit.splitlines() if line.startswith("Memory") and "Max" in line] == lines


COMMON = (
    "tcp://10.0.0.1:8786 --name w1-1 --nthreads 4 --memory-limit 1024 --host 10.0.0.2 --worker-port 8800 "
    "--dashboard-address 10.0.0.2:8900 --local-directory /var/lib/dask/scratch --death-timeout 60"
)


def test_command_lines_have_ipv6_addresses_in_brackets():
    given = " ".join(scheduler_arguments(settings(), "fd00::1"))
    assert given.startswith("--host [fd00::1] --port 8786 --dashboard-address 127.0.0.1:8787,[fd00::1]:8787 ")
    given = " ".join(worker_arguments(settings(), {**WORKER, "address": "fd00::2"}))
    assert "--host [fd00::2] --worker-port 8800 --dashboard-address [fd00::2]:8900 " in given


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, "--no-dashboard --no-nanny"),
        ({"resources": {"b": 2, "A": 1.5}}, "--resources A=1.5,b=2 --no-dashboard --no-nanny"),
        ({"arguments": ["--x", 3]}, "--x 3 --no-dashboard --no-nanny"),
        (
            {"nanny": True},
            "--no-dashboard --nanny --nanny-port 9000 --preload-nanny daskops_runtime.nanny --preload-nanny n",
        ),
        ({"command": "dask cuda worker"}, "--preload daskops_runtime.worker --preload p"),
    ],
)
def test_command_line_of_a_worker(changes, own):
    given = worker_arguments(settings(pools={"": pool(**changes)}, nanny_preloads=["n"], worker_preloads=["p"]), WORKER)
    assert " ".join(given) == f"{COMMON} {own}"


@pytest.mark.parametrize(
    ("address", "contact", "protocol", "listening"),
    [
        ("10.0.0.2", "gate.example.org", "tcp", "tcp://10.0.0.2:8800 --contact-address tcp://gate.example.org:8800"),
        ("fd00::2", "2001:db8::2", "tls", "tls://[fd00::2]:8800 --contact-address tls://[2001:db8::2]:8800"),
    ],
)
def test_worker_behind_a_gateway_has_two_addresses(address, contact, protocol, listening):
    worker = {**WORKER, "address": address, "contact_host": contact}
    words = worker_arguments(settings(scheduler_address=f"{protocol}://10.0.0.1:8786"), worker)
    assert f"--listen-address {listening} --dashboard-address" in " ".join(words)
    assert not {"--host", "--worker-port"} & set(words)


# Files


def test_each_service_has_its_own_files():
    found = {file.path: file for file in files(settings(), ["scheduler", "worker"], PLAN, ENVIRONMENT)}
    assert found["run.sh"].kinds == ("scheduler", "worker")
    assert found["services/dask-scheduler.service.env"].service == SCHEDULER
    assert found["services/dask-worker@1.service.env"].kinds == ("worker",)
    # No service reads the target, so an added or removed worker restarts no other.
    assert found["systemd/dask-workers.target"].kinds == () and found["systemd/dask-workers.target"].kind == "worker"
    of_workers = files(settings(), ["worker"], PLAN, ENVIRONMENT)
    assert not any(file.path.startswith(("scheduler/", "services/dask-scheduler")) for file in of_workers)


def test_lines_of_shell_are_read_by_all_services():
    wanted = settings(environment_setup=["module load gdal/3.8", "ulimit -s unlimited"])
    found = {file.path: file for file in files(wanted, ["scheduler", "worker"], PLAN, ENVIRONMENT)}
    assert found["setup.lines"].content == "module load gdal/3.8\nulimit -s unlimited\n"
    assert found["setup.lines"].kinds == found["setup.sh"].kinds == ("scheduler", "worker")
    assert set_by_user(wanted, ["scheduler"])["dask_environment_setup"] == wanted.environment_setup
    assert not any(file.path.startswith("setup.") for file in files(settings(), ["scheduler"], PLAN, ENVIRONMENT))


def test_module_of_several_lists_is_shipped_once(tmp_path):
    module = tmp_path / "both.py"
    module.write_text("routes = []\n")
    wanted = settings(worker_preloads=[str(module)], worker_routes=[str(module)])
    (file,) = (file for file in files(wanted, ["worker"], PLAN, ENVIRONMENT) if file.path == "python/both.py")
    assert file.content == "routes = []\n" and file.kinds == ("worker",)


def test_two_modules_of_one_name_are_rejected(tmp_path):
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "same.py").write_text(f"# {directory}\n")
    paths = [str(tmp_path / directory / "same.py") for directory in ("a", "b")]
    with pytest.raises(ValueError, match="Two files of the release have the path python/same.py. Rename one of them."):
        files(settings(worker_preloads=paths), ["worker"], PLAN, ENVIRONMENT)


def test_module_that_does_not_exist_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="missing.py does not exist on the controller"):
        files(settings(worker_preloads=[str(tmp_path / "missing.py")]), ["worker"], PLAN, ENVIRONMENT)


def test_environment_outside_is_visible_and_not_run_by_root():
    environment = Environment("0f3c5e9a7b1d", ("/nfs/env", "/usr"), "/usr/bin/python3.9")
    found = {file.path: file.content for file in files(settings(), ["scheduler", "worker"], PLAN, environment)}
    for unit in (SCHEDULER, "dask-worker@.service"):
        assert "BindReadOnlyPaths=/opt/dask /nfs/env /usr\n" in found[f"systemd/{unit}"]
    boot = "ExecStartPre=+/usr/bin/python3.9 -I -S /opt/dask/current/boot/directories.py"
    assert boot in found["systemd/dask-worker@1.service.d/daskops.conf"]
    packed = {file.path: file.content for file in files(settings(), ["scheduler"], PLAN, Environment("0f3c5e9a7b1d"))}
    assert "BindReadOnlyPaths=/opt/dask\n" in packed[f"systemd/{SCHEDULER}"]


def test_paths_below_writable_ones_are_left_out():
    def binds(**changes):
        found = {file.path: file for file in files(settings(**changes), ["scheduler", "worker"], PLAN, ENVIRONMENT)}
        names = (f"systemd/{SCHEDULER}", "systemd/dask-worker@.service", "systemd/dask-worker@1.service.d/daskops.conf")
        lines = [found[name].content.splitlines() for name in names]
        opened = [
            [line.split("=-" if "=-" in line else "=")[1] for line in text if line.startswith("BindPaths=")]
            for text in lines
        ]
        return [[path for path in paths if path != "/var/lib/dask"] for paths in opened]

    assert binds() == [[], [], []]
    assert binds(
        scheduler_file="/srv/s.json", worker_paths=["/data", "/var/lib/dask/x"], worker_devices=["/dev/x"]
    ) == [
        ["/srv"],
        ["/data", "/dev/x"],
        [],
    ]
    elsewhere = {"": pool(scratch_directory="/data/scratch")}
    assert binds(pools=elsewhere)[2] == ["/data/scratch"]
    assert binds(pools=elsewhere, worker_paths=["/data"])[2] == []


# Settings of users

POOLS = {"a": pool(environment_variables={"X": 1}, arguments=["--x"]), "b": pool(lifetime="1 hour")}


def test_settings_have_the_names_of_variables():
    wanted = settings(environment_variables={"Y": 2}, pools=POOLS)
    assert user_environment_variables(wanted, ["scheduler"]) == {"dask_environment_variables": {"Y": 2}}
    assert user_environment_variables(wanted, ["worker"]) == {
        "dask_environment_variables": {"Y": 2},
        "dask_worker_pools.a.environment_variables": {"X": 1},
        "dask_worker_pools.b.environment_variables": {},
    }
    assert set_by_user(wanted, ["worker"])["dask_worker_pools.a.arguments"] == ["--x"]
    assert set_by_user(settings(), ["worker"])["dask_worker_arguments"] == []
    assert set_by_user(settings(scheduler_arguments=["--x"]), ["scheduler"])["dask_scheduler_arguments"] == ["--x"]
    assert "dask_worker_arguments" not in set_by_user(settings(), ["scheduler"])
    assert list(pool_settings(wanted)) == ["dask_worker_pools.a.", "dask_worker_pools.b."]


def test_only_settings_of_users_are_checked():
    everything = ["scheduler", "worker"]
    assert checks(settings(), everything) == []
    assert [about["kind"] for about in checks(settings(config={"x": 1}), everything)] == everything
    assert [about["kind"] for about in checks(settings(scheduler_routes=["r"]), everything)] == ["scheduler"]
    assert [about["kind"] for about in checks(settings(nanny_preloads=["n"]), everything)] == ["worker"]
    (scheduler,) = checks(settings(scheduler_arguments=["--x", 1]), everything)
    assert (scheduler["kind"], scheduler["arguments"]) == ("scheduler", ["--x", "1"])
    (worker,) = checks(settings(pools=POOLS, worker_paths=["/data"]), everything)
    assert worker["pools"]["dask_worker_pools.b."] == {
        "arguments": [],
        "command": "dask worker",
        "lifetime": "1 hour",
        "lifetime_stagger": "",
    }
    assert worker["writable"][-3:] == ["/data", "/var/lib/dask/scratch", "/var/lib/dask/scratch"]
    (worker,) = checks(settings(pools={"": pool(command="dask cuda worker")}), everything)
    assert worker["kind"] == "worker"


def test_hours_have_a_timer_and_restart_no_worker():
    def made(hours, **changes):
        pools = {"": pool(hours=hours), "always": pool()}
        workers = [WORKER, {**WORKER, "unit": "dask-worker@2.service"}]
        workers += [{**WORKER, "unit": "dask-worker@always-1.service", "pool": "always"}]
        wanted = settings(pools=pools, worker_drain_timeout=285, **changes)
        return {file.path: file for file in files(wanted, ["worker"], {**PLAN, "workers": workers}, ENVIRONMENT)}

    found, without = made(["Mon..Fri 19:00-07:00", "Sat,Sun"]), made("Mon..Sun")
    unit, other = "systemd/dask-worker-hours@default", "systemd/dask-worker-hours@always"
    added = {f"{unit}.timer", f"{unit}.service", "worker/hours-default.json"}
    assert found.keys() - without.keys() == added and not any(path.startswith(other) for path in found)
    assert json.loads(found["worker/hours-default.json"].content) == {"hours": ["Mon..Fri 19:00-07:00", "Sat,Sun"]}
    assert re.findall("OnCalendar=(.*)", found[f"{unit}.timer"].content) == [
        "Mon,Tue,Wed,Thu,Fri *-*-* 19:00:00",
        "Tue,Wed,Thu,Fri *-*-* 06:55:00",
        "Sun *-*-* 23:55:00",
    ]
    assert "PartOf=dask-workers.target" in found[f"{unit}.timer"].content
    command = "ExecStart=+/bin/systemctl --no-block try-restart dask-worker@1.service dask-worker@2.service\n"
    service = found[f"{unit}.service"].content
    assert command in service
    # Only that command is executed as root. The condition reads files as the services' user.
    assert "User=dask\n" in service and service.count("=+") == 1
    assert (
        "Environment=DASKOPS_HOURS=/opt/dask/current/worker/hours-default.json DASKOPS_DRAIN_TIMEOUT=285\n" in service
    )
    assert "ExecCondition=/bin/sh /opt/dask/current/run.sh daskops_runtime.hours_timer\n" in service
    assert "Wants=dask-worker-hours@default.timer\n" in found["systemd/dask-workers.target"].content
    assert "hours" not in without["systemd/dask-workers.target"].content
    # No service reads these files when it starts, as far as a run is concerned.
    assert all(found[path].kinds == () and found[path].kind == "worker" for path in added)
    same = found.keys() - added - {"systemd/dask-workers.target"}
    assert all(found[path] == without[path] for path in same)
    variables = found["services/dask-worker@1.service.env"].content
    assert "DASKOPS_HOURS=/opt/dask/current/worker/hours-default.json\n" in variables
    assert "hours-always.json" in found["services/dask-worker@always-1.service.env"].content


def test_services_of_each_kind_can_read_their_journal():
    found = {file.path: file for file in files(settings(user="compute"), ["scheduler", "worker"], PLAN, ENVIRONMENT)}
    for kind, pattern in (("scheduler", "dask-scheduler.service"), ("worker", "dask-worker@1.service")):
        socket, service = (found[f"systemd/dask-{kind}-journal{end}"] for end in (".socket", "@.service"))
        assert f"ListenStream=/run/dask-{kind}-journal.sock\nSocketUser=compute\nSocketMode=0600\n" in socket.content
        # The program is neither root nor the services' user, and has no input.
        assert f" --unit={pattern}\nStandardInput=null\n" in service.content and "DynamicUser=yes\n" in service.content
        assert " --lines=1000 " in service.content
        assert "User=compute" not in service.content and "=+" not in service.content
        assert {(file.kinds, file.kind) for file in (socket, service)} == {((), kind)}
    assert "dask-scheduler-journal.socket\n" in found["systemd/dask-scheduler.service"].content
    assert "Wants=dask-worker-journal.socket\n" in found["systemd/dask-workers.target"].content


def test_many_workers_of_a_host_share_the_lines_of_its_journal():
    workers = [{**WORKER, "unit": f"dask-worker@{number}.service"} for number in range(1, 41)]
    found = {file.path: file for file in files(settings(), ["worker"], {**PLAN, "workers": workers}, ENVIRONMENT)}
    commands = re.findall("^ExecStart=.*", found["systemd/dask-worker-journal@.service"].content, re.MULTILINE)
    assert len(commands) == 40 and all(" --lines=500 " in command for command in commands)
