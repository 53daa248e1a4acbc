# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of hosts, read by the programs that use them: systemd, YAML and Dask's CLI."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import dask
import distributed
import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.module_utils.releases import manifest_text
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import DEFAULTS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import addresses
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete, pools_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import host_release, host_settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import plan_workers
from daskops_runtime.shutdown import STAY_DOWN
from distributed.cli import dask_scheduler, dask_worker

ROOT = Path(__file__).parents[2]
GIB = 1024**3
MACHINE = {
    "cpus": list(range(8)),
    "cores": [[cpu] for cpu in range(8)],
    "cpu_limit": 0,
    "memory": 16 * GIB,
    "nodes": [{"id": 0, "cpus": [0, 1, 2, 3]}, {"id": 1, "cpus": [4, 5, 6, 7]}],
    "gpus": [
        {"index": 0, "uuid": "GPU-0", "node": 1},
        {"index": 1, "uuid": "GPU-1", "node": None},
        {"index": 2, "uuid": "GPU-2", "node": None},
    ],
}

# Values with special characters of systemd, shells, Jinja and YAML.
VARIABLES = {
    "PLAIN": "value",
    "EMPTY": "",
    "NUMBER": 4,
    "QUOTES": 'it\'s "quoted"',
    "BACKSLASHES": "C:\\new\\\\share\\",
    "SPACES": "  two  ",
    "COMMENT": "a # b ; c",
    "DOLLAR": "$HOME ${HOME} `id` %n",
    "LINES": "one\n# two\n\nthree",
    "UMLAUT": "Grüße",
}
CONFIG = {"distributed": {"worker": {"memory": {"spill": 0.65}}, "admin": {"tick": {"limit": "5 s"}}}}

# Users may copy all of Dask's default files.
DASK_DEFAULTS = {}
for package in (dask, distributed):
    DASK_DEFAULTS.update(yaml.safe_load(Path(package.__file__).with_name(f"{package.__name__}.yaml").read_text()))

HOSTS = {
    "scheduler": {
        "dask_config": CONFIG,
        "dask_environment_variables": VARIABLES,
        "dask_scheduler_file": "/shared/scheduler.json",
        "dask_release_label": "v1.4",
        "dask_scheduler_import_paths": ["/shared/code"],
    },
    "off": {
        "dask_summary_route": "false",
        "dask_worker_pages_route": False,
        "dask_shutdown_token": "a-token-of-the-tests",
    },
    "both": {
        "dask_config": DASK_DEFAULTS,
        "dask_worker_config": {"distributed": None},  # an empty section
        "dask_worker_nanny": "no",  # an INI inventory gives a string
        "dask_worker_resources": {"GPU": 1, "LICENSE": 2.5},
        "dask_worker_paths": ["/data", "/home/alice/results"],
        "dask_worker_import_paths": ["/shared/code", "/home/ada/more"],
        "dask_user_groups": ["data", 1006],
        "dask_umask": "0002",
        "dask_worker_devices": ["/dev/nvidia0", "/dev/nvidiactl"],
    },
    "nanny": {
        "dask_worker_nanny": True,
        "dask_release_label": 1234,  # a build number
        "dask_scheduler_preloads": ["unused.module"],
        "dask_worker_preloads": ["my.module", {"name": "my.command", "arguments": ["--level", 3]}],
        "dask_nanny_preloads": ["my.nanny", {"name": "my.other", "arguments": ["--quiet"]}],
        "dask_worker_routes": ["my.routes"],
    },
    "pools": {
        "dask_shutdown_token": 'with "quotes" and \\',
        "dask_environment_variables": {"PLACE": "here", "LEVEL": 1},
        "dask_worker_preloads": ["my.module"],
        "dask_worker_count": 1,
        "dask_worker_memory": "2GiB",
        "dask_worker_pools": {
            "numeric": {"threads": 2, "numa_node": 0, "lifetime": "12 hours", "lifetime_stagger": "1 hour"},
            "other": {
                "cpus": "4-5",
                "nanny": "yes",
                "scaling": "adaptive",
                "minimum": 1,
                "resources": {"LICENSE": 1},
                "environment_variables": {"LEVEL": 'two "2"'},
                "arguments": ["--death-timeout", "30"],
                "scratch_directory": "/srv/scratch",
                "memory": "1GiB",
            },
            "gpu": {"profile": "gpu", "count": "auto", "gpus": 2, "interface": ["eth1", "eth2"]},
            "cuda": {
                "profile": "gpu",
                "gpus": [2],
                "command": "dask cuda worker",
                "arguments": ["--device-memory-limit", 0],
            },
        },
        "dask_worker_pool_overrides": {"other": {"memory": "3GiB"}},
    },
}
SCHEDULERS = ["scheduler", "off"]
UNITS = {
    "scheduler": ["dask-scheduler.service"],
    "off": ["dask-scheduler.service"],
    "both": ["dask-worker@1.service", "dask-worker@2.service"],
    "nanny": ["dask-worker@1.service", "dask-worker@2.service"],
    "pools": [f"dask-worker@{name}.service" for name in ("cuda-1", "gpu-1", "gpu-2", "numeric-1", "other-1")],
}
ENVIRONMENT = "0f3c5e9a7b1d"
INFO = {
    "address": "10.0.0.1",
    "worker_addresses": {"eth1": "10.1.0.1", "eth2": "10.2.0.1"},
}


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Return the directory of each host's release."""
    directory = tmp_path_factory.mktemp("rendering")
    for host, variables in HOSTS.items():
        kinds = ["scheduler"] if host in SCHEDULERS else ["worker"]
        values = complete({"dask_worker_count": 2, "dask_worker_memory": "4GiB", **variables})
        info = {**INFO, "account": {"home": "/home/alice"} if host == "both" else {}}
        workers = []
        if kinds == ["worker"]:
            pools = pools_of(values)
            reserves = {"cores_reserve": 0, "memory_reserve": "auto", "scheduler_memory": ""}
            workers = plan_workers(host, MACHINE, {"pools": pools, **reserves})
            listen_at, problems = addresses(host, info, pools, workers)
            assert problems == []
            listening = {"contact_host": values["dask_worker_contact_host"]}
            workers = [{**worker, "address": listen_at[worker["unit"]], **listening} for worker in workers]
        plan = {"address": "10.0.0.1", "ports": [], "workers": workers}
        settings = host_settings(values, info, {"scheduler": "tls://scheduler:8786"})
        environment = {"id": ENVIRONMENT, "prefixes": ["/usr"], "boot_python": ""}
        release = host_release(settings, kinds, plan, environment, "")
        for path, content in {**release.files, "manifest.json": manifest_text(release.manifest)}.items():
            (directory / host / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / host / path).write_text(content)
    return {host: directory / host for host in HOSTS}


# An assignment with a quoted or unquoted value, a comment, or an empty line.
LINE = re.compile(r'^([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|[^\n"]*)\n|^([#;][^\n]*)?\n', re.MULTILINE | re.DOTALL)


def environment_file(path):
    """Return the variables of an EnvironmentFile= by the rules of systemd.exec(5); a line that systemd ignores fails."""
    text = path.read_text()
    found = LINE.findall(text)
    read = "".join(f"{name}={value}\n" if name else f"{comment}\n" for name, value, comment in found)
    assert read == text, "something in the file is neither an assignment nor a comment"
    names = [name for name, dummy, dummy in found if name]
    assert len(set(names)) == len(names)
    return {name: unquoted(value.strip()) for name, value, dummy in found if name}


def unquoted(value):
    if not value.startswith('"'):
        assert "\\" not in value and "'" not in value
        return value
    # A backslash before another character is literal.
    return re.sub(r'\\(["\\$`])', r"\1", value[1:-1])


def arguments(release, unit):
    """Return the arguments of a service; systemd splits and unquotes `$DASKOPS_ARGUMENTS`."""
    return shlex.split(environment_file(release / f"services/{unit}.env")["DASKOPS_ARGUMENTS"])


def test_release_contains_the_files_of_its_services(releases):
    for name, release in releases.items():
        manifest = json.loads((release / "manifest.json").read_text())
        assert sorted(manifest["services"]) == UNITS[name]
        assert (release / "python/daskops_runtime/worker.py").exists()
        for unit in UNITS[name]:
            assert (release / f"services/{unit}.env").exists()
            reported = environment_file(release / f"services/{unit}.release")
            assert reported.pop("DASKOPS_RELEASE") == manifest["services"][unit]["release"]
            # Only workers have resources.
            assert reported == ({"DASKOPS_RELEASE_LABEL": "1234"} if name == "nanny" else {})
        assert manifest["label"] == {"scheduler": "v1.4", "nanny": "1234"}.get(name, "")


def test_every_line_of_an_environment_file_is_one_assignment(releases):
    for name, release in releases.items():
        kind = "scheduler" if name in SCHEDULERS else "worker"
        for path in release.glob("services/*.env"):
            variables = environment_file(path)
            arguments = variables.pop("DASKOPS_ARGUMENTS")
            # If a line end is missing, a value contains the next assignment.
            assert arguments and not any("DASKOPS_" in value for value in variables.values())
            assert variables["OMP_NUM_THREADS"] == "1"
            assert variables["DASK_CONFIG"] == f"/opt/dask/current/{kind}/dask_configuration.yaml"


def test_values_of_environment_variables_are_unchanged(releases):
    variables = environment_file(releases["scheduler"] / "services/dask-scheduler.service.env")
    assert {name: variables[name] for name in VARIABLES} == {name: str(value) for name, value in VARIABLES.items()}


def test_configuration_is_merged_deeply(releases):
    defaults = DEFAULTS["distributed"]
    ours = yaml.safe_load((releases["scheduler"] / "scheduler/dask_configuration.yaml").read_text())["distributed"]
    assert ours["worker"]["memory"] == {**defaults["worker"]["memory"], "spill": 0.65}
    assert ours["admin"] == {**defaults["admin"], **CONFIG["distributed"]["admin"]}
    assert ours["scheduler"]["allowed-failures"] == defaults["scheduler"]["allowed-failures"]
    assert ours["scheduler"]["idle-timeout"] is None


def test_copied_defaults_of_dask_do_not_change_managed_settings(releases):
    read = {}
    for host in ("both", "pools"):
        read[host] = yaml.safe_load((releases[host] / "worker/dask_configuration.yaml").read_text())["distributed"]
    pasted, ours = read["both"], read["pools"]
    assert pasted["comm"]["tls"] == {**DASK_DEFAULTS["distributed"]["comm"]["tls"], **ours["comm"]["tls"]} | {
        "scheduler": {"cert": None, "key": None}
    }
    assert ours["comm"]["tls"]["worker"]["cert"] == "/opt/dask/tls/worker.pem"
    for key in ("require-encryption", "default-scheme"):
        assert pasted["comm"][key] == ours["comm"][key] != DASK_DEFAULTS["distributed"]["comm"][key]
    assert pasted["scheduler"]["dashboard"]["tls"]["cert"] == "/opt/dask/tls/worker.pem"
    assert pasted["worker"]["preload"] == ["daskops_runtime.worker"]
    assert pasted["nanny"]["preload"] == ["daskops_runtime.nanny"]


def test_users_preloads_follow_ours(releases):
    worker = yaml.safe_load((releases["nanny"] / "worker/dask_configuration.yaml").read_text())["distributed"]
    assert worker["worker"]["preload"] == ["daskops_runtime.worker", "my.module", "my.command"]
    assert worker["worker"]["preload-argv"] == [[], [], ["--level", "3"]]
    assert worker["nanny"]["preload-argv"] == [[], [], ["--quiet"]]
    assert worker["worker"]["http"]["routes"][:2] == ["my.routes", "distributed.http.worker.prometheus"]
    # Workers must not restart for a preload of the scheduler, so their file does not contain it.
    assert "preload" not in worker["scheduler"]
    scheduler = yaml.safe_load((releases["scheduler"] / "scheduler/dask_configuration.yaml").read_text())["distributed"]
    assert scheduler["scheduler"]["preload"][0] == "daskops_runtime.scheduler"
    assert "preload" not in scheduler["worker"]


def test_our_routes_can_be_disabled(releases):
    def routes(host, kind):
        read = yaml.safe_load((releases[host] / f"{kind}/dask_configuration.yaml").read_text())
        return [name for name in read["distributed"][kind]["http"]["routes"] if name.startswith("daskops")]

    assert routes("scheduler", "scheduler") == ["daskops_runtime.summary", "daskops_runtime.worker_proxy"]
    assert routes("off", "scheduler") == ["daskops_runtime.shutdown"]
    assert routes("both", "worker") == []
    assert routes("pools", "worker") == ["daskops_runtime.shutdown"]
    token = "DASKOPS_SHUTDOWN_TOKEN"
    assert (
        environment_file(releases["pools"] / "services/dask-worker@gpu-1.service.env")[token] == 'with "quotes" and \\'
    )
    assert token not in environment_file(releases["both"] / "services/dask-worker@1.service.env")


def test_arguments_of_the_scheduler_are_parsed(releases):
    given = arguments(releases["scheduler"], "dask-scheduler.service")
    parameters = dask_scheduler.main.make_context("dask scheduler", given).params
    assert parameters["host"] == "10.0.0.1"
    assert parameters["scheduler_file"] == "/shared/scheduler.json"
    assert (parameters["port"], parameters["dashboard_address"]) == ("8786", "127.0.0.1:8787,10.0.0.1:8787")


@pytest.mark.parametrize("host", ["both", "nanny"])
@pytest.mark.parametrize("number", [1, 2])
def test_arguments_of_a_worker_are_parsed(releases, host, number):
    context = dask_worker.main.make_context("dask worker", arguments(releases[host], f"dask-worker@{number}.service"))
    assert context.args == []  # Dask passes unknown arguments to preload modules
    parameters = context.params
    assert parameters["scheduler"] == "tls://scheduler:8786"
    assert parameters["name"] == f"{host}-{number}"
    assert parameters["nthreads"] == 4
    assert parameters["memory_limit"] == str(4 * GIB)
    assert parameters["worker_port"] == str(8800 + number - 1)
    assert parameters["dashboard_address"] == f"10.0.0.1:{8900 + number - 1}"
    assert parameters["host"] == "10.0.0.1"
    assert parameters["local_directory"] == "/var/lib/dask/scratch"
    assert parameters["nanny"] == (host == "nanny")
    if host == "nanny":
        assert parameters["nanny_port"] == str(9000 + number - 1)
        assert parameters["preload_nanny"] == ("daskops_runtime.nanny", "my.nanny", "my.other")
        assert not parameters["resources"]
    else:
        assert parameters["resources"] == "GPU=1,LICENSE=2.5"


def own(release, unit):
    """Return the settings in a worker's drop-in."""
    lines = (release / f"systemd/{unit}.d/daskops.conf").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_each_pool_has_its_own_settings(releases):
    release = releases["pools"]
    variables = {unit: environment_file(release / f"services/{unit}.env") for unit in UNITS["pools"]}
    parameters = {
        unit: dask_worker.main.make_context("dask worker", shlex.split(variables[unit]["DASKOPS_ARGUMENTS"])).params
        for unit in UNITS["pools"]
        if "cuda" not in unit
    }
    cuda, gpu, second, numeric, other = UNITS["pools"]
    assert parameters[numeric]["name"] == "pools-numeric-1"
    assert (variables[numeric]["DASKOPS_LIFETIME"], variables[numeric]["DASKOPS_LIFETIME_STAGGER"]) == (
        "12 hours",
        "1 hour",
    )
    assert (variables[numeric]["LEVEL"], variables[other]["LEVEL"], variables[other]["PLACE"]) == (
        "1",
        'two "2"',
        "here",
    )
    scaling = {name: value for name, value in variables[other].items() if name.startswith(("DASKOPS_S", "DASKOPS_P"))}
    assert scaling == {
        "DASKOPS_STANDBY": "tls://scheduler:8786",
        "DASKOPS_STANDBY_TLS": "/opt/dask/tls",
        "DASKOPS_SCALING": "adaptive",
        "DASKOPS_POOL": "other",
        "DASKOPS_POOL_MINIMUM": "1",
        "DASKOPS_POOL_MAXIMUM": "10000",
        "DASKOPS_SHUTDOWN_TOKEN": 'with "quotes" and \\',
    }
    assert (
        variables[numeric]["DASKOPS_STANDBY"] == "tls://scheduler:8786" and "DASKOPS_SCALING" not in variables[numeric]
    )
    assert variables[numeric]["DASKOPS_HOURS"] == "/opt/dask/current/worker/hours-numeric.json"
    scheduler = environment_file(releases["scheduler"] / "services/dask-scheduler.service.env")
    assert scheduler["DASKOPS_SCALING_FILE"] == "/var/lib/dask/daskops-scaling-10.0.0.1-8786.json"
    assert parameters[other]["nanny"] and not parameters[numeric]["nanny"]
    assert parameters[other]["resources"] == "LICENSE=1" and not parameters[numeric]["resources"]
    assert parameters[other]["death_timeout"] == "30" != parameters[numeric]["death_timeout"]
    assert parameters[other]["local_directory"] == "/srv/scratch"
    # From the host's override and from the host's variable.
    assert [int(parameters[unit]["memory_limit"]) / GIB for unit in (other, numeric)] == [3, 2]
    assert [parameters[unit]["host"] for unit in (gpu, second, numeric)] == ["10.1.0.1", "10.2.0.1", "10.0.0.1"]
    assert parameters[gpu]["dashboard_address"].startswith("10.1.0.1:")
    assert [variables[unit]["CUDA_VISIBLE_DEVICES"] for unit in (gpu, second, cuda)] == ["0", "1", "2"]
    assert "CUDA_VISIBLE_DEVICES" not in variables[numeric]
    assert variables[cuda]["DASKOPS_COMMAND"] == "dask cuda worker"
    assert variables[cuda]["DASKOPS_WORKER_NAME"] == "pools-cuda-1"
    given = variables[cuda]["DASKOPS_ARGUMENTS"]
    assert (
        given.endswith("--device-memory-limit 0 --preload daskops_runtime.worker --preload my.module")
        and "nanny" not in given
    )

    places = {unit: own(release, unit) for unit in UNITS["pools"]}
    assert places[numeric]["CPUAffinity"] == "0-3"
    assert (places[numeric]["NUMAPolicy"], places[numeric]["NUMAMask"]) == ("preferred", "0")
    assert (places[other]["CPUAffinity"], places[other].get("NUMAMask")) == ("4-5", None)
    assert (places[gpu]["CPUAffinity"], places[gpu]["NUMAMask"]) == ("4-7", "1")
    assert "CPUAffinity" not in places[second]  # the NUMA node of that GPU is unknown
    assert places[gpu]["PrivateDevices"] == "no" and "PrivateDevices" not in places[numeric]
    assert places[other]["BindPaths"] == "-/srv/scratch"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
@pytest.mark.parametrize("host", sorted(HOSTS))
def test_units_pass_systemd_analyze_verify(releases, host, tmp_path):
    units = tmp_path / "units"
    shutil.copytree(releases[host] / "systemd", units)
    # systemd-analyze checks that programs exist on this machine.
    for unit in [*units.glob("*.service"), *units.glob("*/daskops.conf")]:
        unit.write_text(unit.read_text().replace("/opt/dask/current/environment/bin/python", sys.executable))
    services = [path.name.removesuffix(".release") for path in (releases[host] / "services").glob("*.release")]
    assert services
    starts = [*services, *(path.name for path in units.glob("*.target"))]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(units / name) for name in starts)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# The exposure is ten times the value that systemd-analyze shows.
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
@pytest.mark.parametrize(
    ("host", "unit", "exposure"), [("scheduler", "dask-scheduler.service", 30), ("both", "dask-worker@1.service", 40)]
)
def test_services_are_in_a_sandbox(releases, host, unit, exposure, tmp_path):
    rendered = (releases[host] / "systemd" / unit.replace("@1", "@")).read_text()
    without = re.sub("^(Capability|NoNew|Private|Protect|Restrict|System).*\n", "", rendered, flags=re.MULTILINE)

    def exposes_too_much(text):
        (tmp_path / unit).write_text(text)
        command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={exposure}"]
        done = subprocess.run([*command, str(tmp_path / unit)], capture_output=True, text=True, check=False)
        assert "Overall exposure level" in done.stdout, done.stderr
        return done.returncode != 0

    assert not exposes_too_much(rendered)
    assert exposes_too_much(without)


def settings(unit, name):
    """Return the values of a setting in a unit, in order."""
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [word for setting, dummy, value in lines if setting == name for word in value.split()]


def test_services_can_write_only_to_their_directories(releases):
    scheduler = releases["scheduler"] / "systemd/dask-scheduler.service"
    assert settings(scheduler, "BindPaths") == ["/var/lib/dask", "/shared"]
    # An existing account keeps its home.
    worker = releases["both"] / "systemd/dask-worker@.service"
    # Paths below the home are left out: the home is writable, and a task could replace such a path by a link.
    written = ["/home/alice", "/data"]
    assert settings(releases["both"] / "systemd/dask-worker@1.service.d/daskops.conf", "BindPaths") == [
        "-/var/lib/dask/scratch"
    ]
    assert settings(worker, "BindPaths") == [*written, "/dev/nvidia0", "/dev/nvidiactl"]
    assert settings(worker, "DeviceAllow") == ["/dev/nvidia0", "rw", "/dev/nvidiactl", "rw"]
    assert not settings(releases["nanny"] / "systemd/dask-worker@1.service.d/daskops.conf", "BindPaths")
    assert settings(scheduler, "BindReadOnlyPaths") == ["/opt/dask", "/usr", "/shared/code"]
    # Homes are hidden, so directories to import from are mounted.
    assert settings(worker, "BindReadOnlyPaths") == ["/opt/dask", "/usr", "/shared/code", "/home/ada/more"]


def test_services_have_their_groups_umask_and_import_paths(releases):
    for host, unit, umask, groups, paths in [
        ("scheduler", "dask-scheduler.service", "0022", [], "/shared/code"),
        ("both", "dask-worker@1.service", "0002", ["data", "1006"], "/shared/code:/home/ada/more"),
        ("nanny", "dask-worker@1.service", "0022", [], None),
    ]:
        rendered = releases[host] / "systemd" / unit.replace("@1", "@")
        assert settings(rendered, "UMask") == [umask]
        assert settings(rendered, "SupplementaryGroups") == groups
        assert environment_file(releases[host] / f"services/{unit}.env").get("DASKOPS_IMPORT_PATHS") == paths
    # The program that creates scratch directories acts with the same rights.
    assert own(releases["both"], "dask-worker@1.service")["ExecStartPre"].endswith(
        " dask /var/lib/dask/scratch data 1006"
    )


def test_scratch_directory_is_created_by_a_program_of_root(releases):
    for unit in UNITS["pools"]:
        program, *arguments = own(releases["pools"], unit)["ExecStartPre"].split()
        # -I and -S: the program must not read variables or packages of other users.
        assert [program, *arguments[:2]] == ["+/opt/dask/current/environment/bin/python", "-I", "-S"]
        assert arguments[2:4] == ["/opt/dask/current/boot/directories.py", "dask"]
        assert arguments[4:] == ["/srv/scratch" if "other" in unit else "/var/lib/dask/scratch"]
    shipped = (releases["pools"] / "boot/directories.py").read_text()
    assert shipped == (ROOT / "plugins/module_utils/directories.py").read_text()


def test_units_have_the_exit_status_that_prevents_a_restart(releases):
    for unit in ("scheduler/systemd/dask-scheduler.service", "both/systemd/dask-worker@.service"):
        host, _, path = unit.partition("/")
        for name in ("SuccessExitStatus", "RestartPreventExitStatus"):
            assert settings(releases[host] / path, name) == [str(STAY_DOWN)]


def test_restart_empties_the_runtime_directory(releases):
    """Tasks can write to it, and could otherwise prevent each later start."""
    for unit in ("scheduler/systemd/dask-scheduler.service", "both/systemd/dask-worker@.service"):
        host, _, path = unit.partition("/")
        assert settings(releases[host] / path, "RuntimeDirectory")
        assert not settings(releases[host] / path, "RuntimeDirectoryPreserve")


def test_environment_outside_is_run_in_its_own_place(releases, tmp_path):
    for number in ("1", "2"):
        environment = tmp_path / f"nfs/env-{number}"
        (environment / "bin").mkdir(parents=True)
        (environment / "bin/python3").symlink_to(sys.executable)
        shutil.copy(Path(sys.prefix) / "pyvenv.cfg", environment)
        (environment / "lib").symlink_to(Path(sys.prefix) / "lib")
    (tmp_path / "nfs/env").symlink_to("env-1")
    release = tmp_path / "releases/a"
    shutil.copytree(releases["both"] / "python", release / "python")
    shutil.copy(releases["both"] / "run.sh", release)
    (tmp_path / "environments/e1").mkdir(parents=True)
    (tmp_path / "environments/e1/prefix").symlink_to(tmp_path / "nfs/env")
    (release / "environment").symlink_to(tmp_path / "environments/e1")
    (release / "python/service.py").write_text(
        "import sys\nprint(sys.prefix, flush=True)\ninput()\nprint(sys.executable)\n"
    )
    with subprocess.Popen(
        ["/bin/sh", release / "run.sh", "service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        # Neither in dask_home, nor through the link, which may lead elsewhere while the process runs.
        assert process.stdout.readline() == f"{tmp_path}/nfs/env-1\n"
        (tmp_path / "nfs/env").unlink()
        (tmp_path / "nfs/env").symlink_to("env-2")
        assert process.communicate("\n")[0] == f"{tmp_path}/nfs/env-1/bin/python3\n"


def test_running_process_keeps_its_release(releases, tmp_path):
    for name in ("old", "new"):
        release = tmp_path / "releases" / name
        shutil.copytree(releases["both"] / "python", release / "python")
        shutil.copy(releases["both"] / "run.sh", release)
        (release / "environment").symlink_to(sys.prefix)
        (release / "python/service.py").write_text("print(1, flush=True)\ninput()\nimport later\n")
        (release / "python/later.py").write_text(f"print('{name}')")
    (tmp_path / "current").symlink_to("releases/old")
    with subprocess.Popen(
        ["/bin/sh", tmp_path / "current/run.sh", "service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "1\n"
        (tmp_path / "next").symlink_to("releases/new")
        (tmp_path / "next").rename(tmp_path / "current")
        assert process.communicate("\n")[0] == "old\n"
