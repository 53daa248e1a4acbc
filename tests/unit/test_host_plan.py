# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation errors of a host and its settings, which name the host or variable and the remedy."""

import copy

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import host_plan as plan
from sentences import only, says
from wheels import PYTHON

GIB = 1024**3


def test_proxy_confined_by_selinux_is_rejected():
    assert bad_proxy(confined=True) == [
        "s1: SELinux prevents nginx from connecting to the dashboard, which dask_dashboard_proxy needs. Run this on the "
        "host: setsebool -P httpd_can_network_connect on"
    ]


# A host

SETTINGS = {
    "scheduler": False,
    "worker": True,
    "home": "/opt/dask",
    "python": "python3",
    "kind": "lock",
    "free_disk": "2GiB",
    "pools": {"": {"scratch_directory": "/scratch"}},
    "scratch_any_filesystem": False,
}
INFO = {
    "systemd": True,
    "selinux_type": "",
    "python": PYTHON,
    "file_systems": {
        "/opt/dask": {"type": "ext4", "mount": "/", "free": 10 * GIB, "writable": False},
        "/scratch": {"type": "xfs", "mount": "/scratch", "free": 10 * GIB, "writable": True},
    },
    "account": {"home": "/var/lib/dask", "comment": "", "at_home": True, "root": False},
    "listeners": [
        {"port": 22, "process": "sshd (process 1)", "unit": "ssh.service"},
        {"port": 8800, "process": "python (process 2)", "unit": "dask-worker@1.service"},
        {"port": 8443, "process": "nginx (process 3)", "unit": "nginx.service"},
    ],
    "proxy": {"nginx": True, "port": 8443, "confined": False},
    "missing": [],
}


def unfit(change=None, **settings):
    """Return the problems of a host; ``change`` modifies a copy of `INFO`."""
    info = copy.deepcopy(INFO)
    if change:
        change(info)
    return list(plan.fitness("w1", info, {**SETTINGS, **settings}))


def with_python(**about):
    return lambda info: info["python"].update(about)


def with_file_system(path, **about):
    return lambda info: info["file_systems"][path].update(about)


@pytest.mark.parametrize(
    "change, settings",
    [
        (None, {}),
        (with_python(version="3.10.0"), {}),
        (with_python(version="3.14.0rc1"), {}),
        (with_file_system("/scratch", type="tmpfs"), {"scratch_any_filesystem": True}),
        # A host without workers needs no scratch space.
        (with_file_system("/scratch", type="nfs", free=0), {"worker": False, "scheduler": True}),
        (with_file_system("/opt/dask", type="nfs4"), {}),
        (with_file_system("/opt/dask", free=2 * GIB), {}),
    ],
)
def test_suitable_hosts_are_accepted(change, settings):
    assert unfit(change, **settings) == []


def test_host_without_systemd_is_rejected():
    sentence = only(unfit(lambda info: info.update(systemd=False)))
    assert says(sentence, "w1 does not run systemd", "Use a host that runs systemd")


def test_directory_whose_programs_systemd_may_not_start_is_rejected():
    sentence = only(unfit(lambda info: info.update(selinux_type="var_t")))
    assert says(sentence, "w1: SELinux gives programs below dask_home (/opt/dask) the type var_t", "below /opt")
    assert sentence.endswith("semanage fcontext -a -e /opt/dask /opt/dask")
    assert unfit(lambda info: info.update(selinux_type="bin_t")) == []


def test_host_without_python_is_rejected():
    sentence = only(unfit(lambda info: info.update(python={}), python="python3.99"))
    assert says(sentence, "w1 has no working Python 'python3.99'", "Install it, or set dask_python")


def test_python_in_a_path_with_spaces_is_rejected():
    sentence = only(unfit(with_python(prefix="/srv/my python")))
    assert says(
        sentence, "w1: dask_python (/usr/bin/python3) is installed in '/srv/my python'", "Choose one whose path"
    )


@pytest.mark.parametrize("version", ["3.9.2", "2.7.18"])
def test_old_python_is_rejected(version):
    sentence = only(unfit(with_python(version=version)))
    assert says(sentence, f"w1 has Python {version} at /usr/bin/python3", "Install a newer version", "set dask_python")


def test_python_that_others_than_root_can_change_is_rejected():
    place = "/home/alice (owner alice, mode 0755)"

    def change(info):
        info["python"] = {"executable": "/home/alice/conda/bin/python3", "changeable": place}

    sentence = only(unfit(change))
    assert says(
        sentence,
        "w1: dask_python (/home/alice/conda/bin/python3) is not safe",
        f"users other than root can change {place}",
        "such as /usr/bin/python3",
    )


def test_python_that_the_services_user_cannot_run_is_rejected():
    sentence = only(unfit(with_python(usable=False, prefix="/home/alice/python")))
    assert says(sentence, "w1: dask_user may not run dask_python", "installed in /home/alice/python", "mode 0755")


def test_home_that_others_than_root_can_change_is_rejected():
    sentence = only(unfit(lambda info: info.update(changeable="/opt (owner alice, mode 0755)")))
    assert says(
        sentence,
        "w1: dask_home (/opt/dask) is not safe",
        "users other than root can change /opt (owner alice, mode 0755)",
        "make root the owner of that one",
    )


def test_other_implementations_of_python_are_rejected():
    sentence = only(unfit(with_python(implementation="pypy", executable="/usr/bin/pypy3")))
    assert says(sentence, "w1: dask_python (/usr/bin/pypy3) is pypy", "Set it to a CPython")


@pytest.mark.parametrize(
    "directory, mount, variable",
    [("/opt/dask", "/", "dask_home"), ("/scratch", "/scratch", "dask_worker_scratch_directory")],
)
def test_full_disk_is_rejected(directory, mount, variable):
    sentence = only(unfit(with_file_system(directory, free=GIB)))
    assert says(sentence, f"w1 has 1.0 GiB free at {mount}", f"{variable} ({directory})", "dask_free_disk is 2.0 GiB")
    assert "Free some space, choose another directory, or lower dask_free_disk" in sentence
    assert unfit(with_file_system(directory, free=0), free_disk=0) == []


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("tmpfs", "is in memory"),
        ("ramfs", "is in memory"),
        ("gpfs", "is on the network"),
        ("fuse.s3fs", "is a file system in user space, slow or on the network"),
    ],
)
def test_scratch_in_memory_or_on_the_network_is_rejected(kind, reason):
    sentence = only(unfit(with_file_system("/scratch", type=kind)))
    assert says(sentence, f"w1: dask_worker_scratch_directory (/scratch) is on {kind}, which {reason}")
    assert says(sentence, "Choose a directory on a local disk", "dask_worker_scratch_any_filesystem to true")


def test_scratch_that_the_user_cannot_write_to_is_rejected():
    sentence = only(unfit(with_file_system("/scratch", writable=False)))
    assert says(
        sentence,
        "w1: dask_worker_scratch_directory (/scratch)",
        "to which dask_user may write. Make dask_user its owner",
        "or choose a directory below it",
    )
    assert unfit(with_file_system("/scratch", writable=False), worker=False) == []


def test_scratch_that_a_deleted_user_left_is_rejected():
    def change(info):
        info["account"] = {}
        info["file_systems"]["/scratch"]["writable"] = False

    assert says(
        only(unfit(change)), "Create the account dask_user and make it the owner, or choose a directory below it"
    )


@pytest.mark.parametrize(("name", "variable"), [("paths", "dask_worker_paths"), ("devices", "dask_worker_devices")])
def test_missing_path_or_device_is_rejected(name, variable):
    info = {"file_systems": {"/dev/nvidia0": {"exists": False}, "/dev/nvidia1": {"exists": True}}}
    settings = {"worker": True, "paths": [], "devices": [], "scheduler_file": "", "pools": {}}
    settings[name] = list(info["file_systems"])
    sentence = only(plan.missing("w1", info, settings))
    assert says(sentence, f"w1: {variable} has /dev/nvidia0, which does not exist", "Create or mount it, or remove it")
    assert list(plan.missing("w1", info, {**settings, "worker": False})) == []


def test_time_zone_that_the_host_lacks_is_rejected():
    pools = {
        "a": {"hours": "Sat,Sun"},
        "b": {"hours": ["Mon", "Sat,Sun 08:00-20:00"]},
        "c": {"hours": "Sat Europe"},
    }
    settings = {"worker": True, "paths": [], "devices": [], "scheduler_file": "", "pools": pools}
    sentence = only(plan.missing("w1", {"time_zones": {"Europe": False}}, settings))
    assert sentence == (
        "w1: dask_worker_pools.c.hours has 'Europe', which is not a time zone of this host (/usr/share/zoneinfo/Europe). "
        "Write a whole name, such as Europe/Berlin instead of Europe, or install the time zones (package tzdata)."
    )
    assert list(plan.missing("w1", {"time_zones": {"Europe": True}}, settings)) == []
    assert list(plan.missing("w1", {}, {**settings, "worker": False})) == []


def test_range_that_is_shorter_than_the_drain_is_rejected():
    about = {"hours": ["Mon 19:00-19:05", "Tue 19:00-23:00"]}
    sentence = only(plan.bad_hours("w1", "", about, 285))
    assert sentence == (
        "w1: dask_worker_hours has a range of 5 minute(s), but the drain before its end takes up to 300 s. Give a longer "
        "range, or lower dask_worker_drain_timeout."
    )
    assert list(plan.bad_hours("w1", "", about, 284)) == []
    assert list(plan.bad_hours("w1", "", {"hours": ""}, 10**6)) == []


@pytest.mark.parametrize("about", [{"exists": False, "writable": True}, {"exists": True, "writable": False}])
def test_scheduler_file_in_an_unwritable_directory_is_rejected(about):
    settings = {
        "scheduler": True,
        "worker": False,
        "scheduler_file": "/shared/dask/scheduler.json",
        "user_home": "/home",
    }
    sentence = only(plan.missing("s", {"file_systems": {"/shared/dask": about}}, settings))
    assert says(
        sentence,
        "s: dask_scheduler_file (/shared/dask/scheduler.json) is not in a directory",
        "Create the directory, or make",
    )
    info = {"file_systems": {"/shared/dask": {"exists": True, "writable": True}}}
    assert list(plan.missing("s", info, settings)) == []
    assert (
        list(plan.missing("s", info, {**settings, "scheduler_file": "/home/scheduler.json"})) == []
    )  # the run creates this directory later


def test_user_without_a_home_is_rejected():
    sentence = only(unfit(lambda info: info["account"].update(at_home=False)))
    assert says(sentence, "w1: the home directory of dask_user, /var/lib/dask, does not exist", "Create it")
    assert unfit(lambda info: info.update(account={})) == []


def test_other_name_of_root_is_rejected():
    assert only(unfit(lambda info: info["account"].update(root=True))) == (
        "w1: dask_user is another name of root, so tasks of all users could change the host. Choose another user."
    )


LISTENING = {"alone": False, "scheduler_host": "head", "interface": "", "bind_address": ""}


@pytest.mark.parametrize(
    "address, settings, parts",
    [
        ("127.0.0.1", {}, ["w1 would listen at 127.0.0.1", "Set dask_scheduler_host"]),
        ("::1", {}, ["w1 would listen at ::1", "Set dask_scheduler_host"]),
        ("", {}, ["w1 has no route to the scheduler's host (head)", "Correct dask_scheduler_host"]),
        ("", {"interface": "ib0"}, ["w1 has no interface ib0 with an address", "Correct dask_interface"]),
        ("", {"bind_address": "fd00::9"}, ["w1 has no address fd00::9", "Correct dask_bind_address"]),
        (
            "10.0.0.1",
            {"interface": "ib0", "bind_address": "10.0.0.1"},
            ["w1: dask_interface and dask_bind_address", "one"],
        ),
    ],
)
def test_unreachable_listening_address_is_rejected(address, settings, parts):
    assert says(only(plan.unreachable("w1", {"address": address, "unresolved": ""}, {**LISTENING, **settings})), *parts)


@pytest.mark.parametrize(
    "address, alone", [("127.0.0.1", True), ("10.0.0.1", False), ("0.0.0.0", False), ("fd00::1", False), ("::", False)]
)
def test_reachable_listening_address_is_accepted(address, alone):
    assert list(plan.unreachable("w1", {"address": address}, {**LISTENING, "alone": alone})) == []


def test_unresolvable_scheduler_host_is_rejected():
    info = {"address": "", "unresolved": "Name or service not known", "refused": ""}
    assert list(plan.unreachable("w1", info, {**LISTENING, "scheduler_host": "scheduler.invalid"})) == [
        "w1 cannot resolve scheduler.invalid, the scheduler's host, to an address (Name or service not known). Set "
        "dask_scheduler_host (for a scheduler that another system runs, dask_scheduler_address) to an address or to a name "
        "that every host can resolve."
    ]
    sentence = only(
        plan.unreachable("w1", {**info, "unresolved": ""}, {**LISTENING, "scheduler_host": "scheduler.invalid"})
    )
    assert says(sentence, "w1 has no route to the scheduler's host")
    assert (
        list(
            plan.unreachable(
                "w1", {**info, "address": "10.0.0.1"}, {**LISTENING, "scheduler_host": "scheduler.invalid"}
            )
        )
        == []
    )


def test_all_problems_are_reported_together():
    def change(info):
        info.update(systemd=False, python={})
        info["file_systems"]["/scratch"].update(type="tmpfs", free=0)

    assert len(unfit(change)) == 4


def test_free_ports_and_ports_of_our_services_are_accepted():
    assert list(plan.taken_ports("w1", INFO, {8800: "dask_worker_port", 8900: "dask_worker_dashboard_port"})) == []


@pytest.mark.parametrize("unit, whose", [("nginx.service", " of nginx.service"), ("", "")])
def test_port_in_use_is_rejected(unit, whose):
    info = {**INFO, "listeners": [{"port": 8800, "process": "nginx (process 3)", "unit": unit}]}
    sentence = only(plan.taken_ports("w1", info, {8800: "dask_worker_port"}))
    assert says(
        sentence,
        f"w1: port 8800 (dask_worker_port) is used by nginx (process 3){whose}.",
        "Stop that process, or choose another",
    )


def test_port_of_our_proxy_is_accepted():
    assert list(plan.taken_ports("s1", INFO, {8443: "dask_dashboard_proxy_port"})) == []


@pytest.mark.parametrize(
    ("about", "variable"),
    [
        ({"proxy": {"nginx": True, "port": 0}}, "dask_dashboard_proxy_port"),  # used by another site of nginx
        (
            {"listeners": [{"port": 8443, "process": "p", "unit": "dask-scheduler.service"}]},
            "dask_dashboard_proxy_port",
        ),
        ({}, "dask_scheduler_port"),
    ],
)
def test_proxy_port_in_use_is_rejected(about, variable):
    sentence = only(plan.taken_ports("s1", {**INFO, **about}, {8443: variable}))
    assert says(sentence, f"s1: port 8443 ({variable}) is used by", "Stop that process, or choose another")


@pytest.mark.parametrize(
    ("kind", "unit", "group", "stop"),
    [
        ("worker", "dask-worker@3.service", "dask_workers", "dask-workers.target"),
        ("scheduler", "dask-scheduler.service", "dask_scheduler", "dask-scheduler.service"),
    ],
)
def test_service_of_a_removed_group_is_rejected(kind, unit, group, stop):
    both = {"scheduler": True, "worker": True}
    info = {"running": {unit: "r"}}
    assert list(plan.left_over("w1", info, both)) == []
    sentence = only(plan.left_over("w1", info, {**both, kind: False}))
    assert says(sentence, f"w1 runs {unit}", f"not in the group {group}", f"systemctl disable --now {stop}")


@pytest.mark.parametrize("tls", [True, False])
def test_change_of_dask_tls_with_running_services_is_rejected(tls):
    running = {"running": {"dask-worker@1.service": "r"}}
    assert list(plan.other_protocol("w1", {**running, "encrypted": tls}, tls)) == []
    assert list(plan.other_protocol("w1", {**running, "encrypted": None}, tls)) == []
    assert list(plan.other_protocol("w1", {"running": {}, "encrypted": not tls}, tls)) == []
    sentence = only(plan.other_protocol("w1", {**running, "encrypted": not tls}, tls))
    assert says(sentence, "w1 runs services", f"dask_tls is {str(tls).lower()}", "Run stop.yml first")


GOOD_SETTINGS = {
    "home": "/opt/dask",
    "user_home": "/var/lib/dask",
    "paths": ["/data/results"],
    "devices": ["/dev/nvidia0"],
    "scheduler_file": "/shared/scheduler.json",
    "environment_variables": {"A_1": "b"},
    "python": "python3",
    "environment_path": "/nfs/env",
    "environment_setup": ["module load gdal/3.8", "\tsource /opt/intel/setvars.sh  # all of them", 7],
    "modules": {},
    "shutdown_token": "good",
    "scheduler_arguments": ["--no-jupyter"],
    "contact_host": "",
    "dashboard_prefix": "/",
    "worker": True,
    "pools": {"": {"scratch_directory": "/scratch", "nanny": False, "command": "dask worker"}},
    "groups": ["data", "1005", "data-writers_2.x"],
    "import_paths": {"dask_worker_import_paths": ["/shared/code"]},
}
GOOD_POOL = {
    "resources": {"GPU": 1, "MEM": "2.5"},
    "environment_variables": {"LEVEL": 1},
    "arguments": ["--death-timeout", "30", "--protocol=tls"],
    "minimum": "1",
    "maximum": 2,
    "lifetime": "1.5 hours",
    "lifetime_stagger": "10 min",
    "command": "dask worker",
    "profile": "numeric",
    "interface": "eth0",
    "cpus": "0-3",
    "numa_node": "",
}


def test_valid_settings_are_accepted(tmp_path):
    file = tmp_path / "monitor.py"
    file.touch()
    preloads = {"dask_scheduler_preloads": [str(file), "some.module"], "dask_worker_preloads": []}
    assert list(plan.bad_settings("w1", {**GOOD_SETTINGS, "modules": preloads})) == []


def test_missing_preload_file_is_rejected(tmp_path):
    missing = str(tmp_path / "monitor.py")
    settings = {**GOOD_SETTINGS, "modules": {"dask_worker_preloads": [missing]}}
    sentence = only(plan.bad_settings("w1", settings))
    assert says(sentence, f"w1: dask_worker_preloads has {missing}", "does not exist", "Correct the path")


@pytest.mark.parametrize(
    ("variable", "entry", "said"),
    [
        ("dask_worker_preloads", {"path": "x.py"}, "a dictionary with name and arguments"),
        ("dask_worker_preloads", {"name": "x", "args": []}, "a dictionary with name and arguments"),
        ("dask_worker_preloads", 7, "'7' is not a module"),
        ("dask_worker_preloads", {"name": 7}, "is not a module"),
        ("dask_worker_preloads", {"name": "x", "arguments": "--a"}, "the arguments of x are not a list"),
        ("dask_scheduler_routes", {"name": "x", "arguments": []}, "is not a module"),
    ],
)
def test_invalid_module_is_rejected(variable, entry, said):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "modules": {variable: [entry]}}))
    assert says(sentence, f"w1: {variable}", said)


@pytest.mark.parametrize(
    "path", ["opt/dask", "~/dask", "/opt/my dask", "/opt/100%", "/opt/$HOME", "/opt/../a", "/..", ""]
)
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("home", "dask_home"),
        ("user_home", "dask_user_home"),
        ("paths", "dask_worker_paths"),
        ("devices", "dask_worker_devices"),
    ],
)
def test_path_that_units_cannot_contain_is_rejected(path, name, variable):
    value = [*GOOD_SETTINGS[name], path] if name in ("paths", "devices") else path
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, name: value}))
    assert says(sentence, f"w1: {variable} is '{path}'", "Give an absolute path")


def test_nanny_preloads_without_nannies_are_rejected():
    settings = {**GOOD_SETTINGS, "modules": {"dask_nanny_preloads": ["my.nanny"]}}
    (pool,) = GOOD_SETTINGS["pools"].values()
    some = {"a": pool, "b": {**pool, "nanny": True}}
    assert list(plan.bad_settings("w1", {**settings, "pools": some})) == []
    sentence = only(plan.bad_settings("w1", settings))
    assert says(sentence, "w1: dask_nanny_preloads is set", "Set dask_worker_nanny to true, or remove it")


def test_scheduler_file_that_units_cannot_contain_is_rejected():
    sentence = only(plan.bad_settings("s", {**GOOD_SETTINGS, "scheduler_file": "~/scheduler.json"}))
    assert says(sentence, "s: dask_scheduler_file is '~/scheduler.json'", "Give an absolute path")


@pytest.mark.parametrize("name", ["a-b", "1A", ""])
def test_invalid_name_of_an_environment_variable_is_rejected(name):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_variables": {name: "x"}}))
    assert says(sentence, "w1: dask_environment_variables", f"'{name}' is not a valid name. Use letters")


@pytest.mark.parametrize("path", ["/opt/dask", "/opt//dask/e", "//opt/dask/", "/opt/dask/environments/0f3c5e9a7b1d"])
def test_environment_in_the_directory_of_the_collection_is_rejected(path):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_path": path}))
    assert says(
        sentence, f"w1: dask_environment_path ({path}) is in dask_home", "Name a directory that exists without it"
    )
    assert only(plan.bad_settings("w1", {**GOOD_SETTINGS, "home": "/opt/dask/", "environment_path": path}))


def test_managed_python_beside_an_environment_that_exists_is_rejected():
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "python": ""}))
    assert says(sentence, "w1: dask_python is a managed Python, and dask_environment_path (/nfs/env) has its own")
    assert list(plan.bad_settings("w1", {**GOOD_SETTINGS, "python": "", "environment_path": ""})) == []


@pytest.mark.parametrize("path", ["nfs/env", "/nfs/env dask", "/nfs/../env"])
def test_environment_that_units_cannot_contain_is_rejected(path):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_path": path}))
    assert says(sentence, f"w1: dask_environment_path is '{path}'", "Give an absolute path")


@pytest.mark.parametrize("line", ["", "  ", "one\ntwo", "one\rtwo", "null\0"])
def test_entry_that_is_not_one_line_of_shell_is_rejected(line):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_setup": ["true", line]}))
    assert sentence == (f"w1: dask_environment_setup has {line!r}, which is not one line. Give one line in each item.")


@pytest.mark.parametrize("resources", [{"GPU": "one"}, {"GPU": None}, {"G PU": 1}, {"A=B": 1}, {"A,B": 1}, {"GPU": -1}])
def test_invalid_resource_is_rejected(resources):
    sentence = only(plan.bad_pool("w1", "", {**GOOD_POOL, "resources": resources}))
    assert says(sentence, "w1: dask_worker_resources:", "is not a resource.", "without spaces, quotes, = and commas")


def test_valid_pool_is_accepted():
    assert list(plan.bad_pool("w1", "big", GOOD_POOL)) == []


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"environment_variables": {"A-B": 1}}, ["environment_variables: 'A-B' is not a valid name"]),
        ({"environment_variables": {"DASK_CONFIG": "/x"}}, ["DASK_CONFIG is set by daskops.cluster itself"]),
        ({"resources": {"A B": 1}}, ["resources: 'A B: 1' is not a resource"]),
        ({"arguments": ["--nthreads", "4"]}, ["--nthreads is set by daskops.cluster itself. Use dask_worker_threads"]),
        (
            {"environment_variables": {"DASK_DISTRIBUTED__WORKER__RESOURCES__GPU": 1}},
            [
                "DASK_DISTRIBUTED__WORKER__RESOURCES__GPU sets the resource gpu, because Dask converts the name to lower "
                "case. Remove it, and use dask_worker_resources."
            ],
        ),
        (
            {"environment_variables": {"dask_distributed__worker__memory__target": 0.5}},
            [
                "dask_distributed__worker__memory__target has no effect. Dask reads names that begin with DASK_. Use"
                " capitals."
            ],
        ),
        ({"environment_variables": {"NOTIFY_SOCKET": "/x"}}, ["NOTIFY_SOCKET is set by daskops.cluster itself"]),
        ({"environment_variables": {"DASK_INTERNAL_INHERIT_CONFIG": "e30="}}, ["Remove it, and use dask_config"]),
        ({"minimum": 3}, ["minimum is 3, but", "maximum is 2. Give a minimum that is not above the maximum"]),
        ({"lifetime_stagger": "-1 h"}, ["lifetime_stagger is '-1 h'. Give a duration like 12 hours"]),
        ({"lifetime_stagger": "90 minutes"}, ["lifetime_stagger is '90 minutes', but", "shorter than the lifetime"]),
        ({"lifetime_stagger": "2h"}, ["lifetime is only '1.5 hours', so some workers would end at once"]),
        ({"lifetime": "0 s", "lifetime_stagger": ""}, ["lifetime is '0 s'. Give a duration like 12 hours"]),
        (
            {"lifetime": 12, "lifetime_stagger": ""},
            [
                "dask_worker_pools.big.lifetime is '12', so workers would restart every 12 s. Give a minute or more, like 12"
            ],
        ),
        (
            {"lifetime": "59.9s", "lifetime_stagger": ""},
            ["lifetime is '59.9s', so workers would restart every 59.9 s."],
        ),
        (
            {"lifetime": "2 minutes", "lifetime_stagger": "61 s"},
            ["lifetime is '2 minutes' with a stagger of '61 s', so workers would restart every 59 s. Give a minute or"],
        ),
        ({"lifetime": "1 hour; rm"}, ["lifetime is '1 hour; rm'. Give a duration like 12 hours"]),
        ({"lifetime": ""}, ["lifetime_stagger is set, but dask_worker_pools.big.lifetime is not"]),
        (
            {"command": "dask cuda worker", "cpus": ""},
            ["command is 'dask cuda worker'. Set dask_worker_pools.big.profile to gpu"],
        ),
        (
            {"command": "dask cuda worker", "profile": "gpu"},
            ["cpus is set, but 'dask cuda worker' itself restricts workers"],
        ),
        ({"resources": {"GPU": True}}, ["'GPU: True' is not a resource"]),
        ({"environment_variables": {1: 1}}, ["environment_variables: '1' is not a valid name"]),
        (
            {"environment_variables": {"A\u00c4": 1}},
            ["environment_variables: 'A\u00c4' is not a valid name"],
        ),  # systemd accepts ASCII letters only
        ({"interface": ["eth0"]}, ["interface is a list", "Give one interface"]),
    ],
)
def test_invalid_pool_is_rejected(changes, parts):
    sentence = only(plan.bad_pool("w1", "big", {**GOOD_POOL, **changes}))
    assert says(sentence, "w1: dask_worker_pools.big.", *parts)


def test_other_environment_variables_are_accepted():
    names = (
        "DASK_DISTRIBUTED__WORKER__RESOURCES__gpu",
        "DASK_DISTRIBUTED__WORKER__RESOURCES",
        "dask_data",
        "http_proxy",
    )
    assert list(plan.bad_variables("w1", "dask_environment_variables", dict.fromkeys(names, 1))) == []


def test_contact_host_with_a_port_is_rejected():
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "contact_host": "gate:8800"}))
    assert says(sentence, "w1: dask_worker_contact_host is 'gate:8800'. Give a name or an address, without a protocol")


def test_contact_host_with_nannies_is_rejected():
    (pool,) = GOOD_SETTINGS["pools"].values()
    pools = {"a": pool, "b": {**pool, "nanny": True}}
    contact = {"contact_host": "gate.example.org"}
    assert list(plan.bad_settings("w1", {**GOOD_SETTINGS, **contact})) == []
    assert list(plan.bad_settings("w1", {**GOOD_SETTINGS, "pools": pools})) == []
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, **contact, "pools": pools}))
    assert says(sentence, "w1: dask_worker_contact_host is set, and dask_worker_pools.b.nanny is true", "to false")


@pytest.mark.parametrize(
    ("listens", "own", "rejected"),
    [
        ("10.0.0.1", ["192.0.2.1"], True),
        ("192.0.2.1", ["192.0.2.1"], False),
        ("0.0.0.0", ["192.0.2.1"], False),
        ("::", ["fd00::1"], False),
        ("10.0.0.1", [], False),  # an address that a gateway translates, or a name that is not known here
    ],
)
def test_scheduler_that_does_not_listen_for_clients_is_rejected(listens, own, rejected):
    info = {"address": listens, "client_addresses": own}
    found = list(plan.unreachable_for_clients("s1", info, {"client_scheduler_host": "out"}))
    assert bool(found) == rejected
    assert list(plan.unreachable_for_clients("s1", info, {"client_scheduler_host": ""})) == []
    if rejected:
        assert says(
            only(found), "s1 would listen only at 10.0.0.1, but dask_client_scheduler_host (out) is its address"
        )
        assert says(only(found), "Set dask_bind_address of this host to 0.0.0.0")


def test_managed_argument_of_the_scheduler_is_rejected():
    sentence = only(plan.bad_settings("s1", {**GOOD_SETTINGS, "scheduler_arguments": ["--port=1"]}))
    assert sentence == (
        "s1: dask_scheduler_arguments: --port is set by daskops.cluster itself. Use dask_scheduler_port."
    )


def test_notebooks_without_a_token_are_rejected():
    sentence = only(plan.bad_settings("s1", {**GOOD_SETTINGS, "scheduler_arguments": ["--jupyter"]}))
    assert sentence.startswith("s1: dask_scheduler_arguments has --jupyter")


def test_short_token_is_rejected():
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "shutdown_token": "bad"}))
    assert says(sentence, "w1: dask_shutdown_token is too short", "openssl rand -hex 16")


def test_preload_arguments_with_dask_cuda_worker_are_rejected():
    modules = {"dask_worker_preloads": [{"name": "my.module", "arguments": ["--x"]}]}
    (pool,) = GOOD_SETTINGS["pools"].values()
    settings = {**GOOD_SETTINGS, "modules": modules}
    assert list(plan.bad_settings("w1", settings)) == []
    pools = {"a": {**pool, "command": "dask cuda worker"}}
    sentence = only(plan.bad_settings("w1", {**settings, "pools": pools}))
    assert says(
        sentence, "w1: dask_worker_preloads has a module with arguments", "dask_worker_command to 'dask worker'"
    )


def test_workers_listen_at_their_interface():
    pools = {"a": {"interface": ""}, "b": {"interface": "eth1"}, "c": {"interface": ["eth1", "eth2"]}}
    workers = [{"pool": name, "unit": f"{name}-{number}"} for name in pools for number in (1, 2)]
    info = {"address": "10.0.0.1", "worker_addresses": {"eth1": "10.1.0.1", "eth2": "10.2.0.1"}}
    found, problems = plan.addresses("w1", info, pools, workers)
    assert problems == []
    assert list(found.values()) == ["10.0.0.1"] * 2 + ["10.1.0.1"] * 3 + ["10.2.0.1"]
    info["worker_addresses"]["eth2"] = ""
    sentence = only(plan.addresses("w1", info, pools, workers)[1])
    assert says(sentence, "w1 has no interface eth2 with an address. Correct dask_worker_pools.c.interface")
    sentence = only(plan.addresses("w1", info, pools, [*workers, {"pool": "c", "unit": "c-3"}])[1][1:])
    assert says(
        sentence, "dask_worker_pools.c.interface has 2 interface(s), but there are more workers", "one for each GPU"
    )


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, None, "two\nlines", "two\rlines"])
def test_environment_variable_with_several_lines_is_rejected(value):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_variables": {"WORD": value}}))
    assert says(sentence, "w1: dask_environment_variables: the value of WORD is not one line of text")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("PYTHONPATH", "Use dask_worker_import_paths."),
        *[(name, "Remove it.") for name in ("DASK_CONFIG", "DASK_ROOT_CONFIG", "DASKOPS_ARGUMENTS")],
    ],
)
def test_managed_environment_variable_is_rejected(name, remedy):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "environment_variables": {name: "x"}}))
    assert sentence == f"w1: dask_environment_variables: {name} is set by daskops.cluster itself. {remedy}"


@pytest.mark.parametrize("group", ["two words", "a,b", "-x", "%n", "", "DOM\\users"])
def test_group_that_units_cannot_contain_is_rejected(group):
    sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "groups": ["data", group]}))
    assert says(sentence, f"w1: dask_user_groups has '{group}'. Give a name of letters, digits", "the id of the group")


@pytest.mark.parametrize("variable", ["dask_worker_import_paths", "dask_scheduler_import_paths"])
def test_import_path_that_units_cannot_contain_is_rejected(variable):
    for path in ("code", "/a:b", "/a b", "/a/../b"):
        sentence = only(plan.bad_settings("w1", {**GOOD_SETTINGS, "import_paths": {variable: ["/good", path]}}))
        assert says(sentence, f"w1: {variable} is '{path}'. Give an absolute path")


GOOD_PATH = {"readable": True, "changeable": ""}


def rights(groups=None, **paths):
    """Return the problems of the groups of services and of directories ``/NAME`` to import from."""
    info = {"groups": groups or {}, "import_paths": {f"/{name}": about for name, about in paths.items()}}
    settings = {
        "groups": list(info["groups"]),
        "import_paths": {"dask_worker_import_paths": list(info["import_paths"])},
    }
    return list(plan.rights("w1", info, settings))


def test_groups_and_import_paths_are_accepted():
    assert rights({"data": 1005, "1006": 1006}, code=GOOD_PATH) == []


def test_missing_group_is_rejected():
    assert rights({"data": 1005, "people": None}) == [
        "w1 has no group people, which is in dask_user_groups. Create it, or correct the name."
    ]


def test_group_of_root_is_rejected():
    assert says(only(rights({"root": 0})), "w1: dask_user_groups has root, the group of root", "Use another group")


def test_import_path_that_is_missing_or_writable_is_rejected():
    unread = only(rights(code={"readable": False, "changeable": ""}, good=GOOD_PATH))
    assert says(unread, "w1: dask_worker_import_paths has /code, which is not a directory that dask_user can read")
    written = only(rights(code={"readable": True, "changeable": "/shared"}))
    assert says(
        written, "has /code, but dask_user can change /shared, so a task could write code there", "only read it"
    )


PROXY = {"port": 8443, "prefix": "/", "users": ["ada"], "without_password": [], "certificate": "", "key": ""}
OWN_FILES = {"certificate": "/etc/ssl/dask.pem", "key": "/etc/ssl/dask.key"}


def bad_proxy(tls=True, missing=(), confined=False, **proxy):
    info = {"missing": list(missing), "proxy": {"confined": confined}}
    return list(plan.bad_proxy("s1", info, {**PROXY, **proxy}, tls))


@pytest.mark.parametrize(
    "good",
    [{}, {"prefix": "/dask"}, {"prefix": "/a/b-c.d/"}, {"users": ["ada@x.org", "b_1"]}, {**OWN_FILES, "tls": False}],
)
def test_valid_proxy_is_accepted(good):
    assert bad_proxy(**good) == []


def test_proxy_without_users_is_rejected():
    assert says(only(bad_proxy(users=[])), "s1: dask_dashboard_proxy is true", "dask_dashboard_proxy_users is empty")


@pytest.mark.parametrize("user", ["a:b", "#ada", "", "a b", "a\nb"])
def test_invalid_proxy_user_is_rejected(user):
    assert says(
        only(bad_proxy(users=["ada", user])), "s1: dask_dashboard_proxy_users:", f"'{user}' is not a valid name"
    )


def test_proxy_user_without_a_password_is_rejected():
    sentence = only(bad_proxy(without_password=["ada"]))
    assert says(sentence, "s1: dask_dashboard_proxy_users: 'ada' has no password", "Give one")


BAD_PREFIXES = ["dask", "", "/a b", "//", "/dask;", "/{x}", "https://x/dask", "/../x", "/a/.", "/\u00e9"]


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_invalid_path_of_the_dashboard_is_rejected(prefix):
    sentence = only(plan.bad_settings("s1", {**GOOD_SETTINGS, "dashboard_prefix": prefix}))
    assert says(sentence, f"s1: dask_dashboard_prefix is '{prefix}'", "Give a path like /dask")


@pytest.mark.parametrize("prefix", ["/dask", "/a/b-c.d/", "/~ada/dask", "/.well-known"])
def test_valid_path_of_the_dashboard_is_accepted(prefix):
    assert list(plan.bad_settings("s1", {**GOOD_SETTINGS, "dashboard_prefix": prefix})) == []


def test_two_paths_of_the_dashboard_are_rejected():
    sentence = only(plan.two_prefixes("s1", "/dask", "/other"))
    assert says(
        sentence, "s1: dask_dashboard_prefix is '/dask', and dask_dashboard_proxy_prefix is '/other'. Leave one"
    )
    for prefix, proxied in (("/dask", "/"), ("/", "/other"), ("/dask", "/dask/"), ("/", "/")):
        assert list(plan.two_prefixes("s1", prefix, proxied)) == []


@pytest.mark.parametrize(
    ("served", "changes", "rejected"),
    [
        ("", {}, False),
        ("8787/dask/", {}, False),
        ("8787/", {}, True),
        ("9787/dask/", {}, True),
        ("8787/", {"scheduler_restart": "now"}, False),
        ("8787/", {"scheduler": False}, False),
    ],
)
def test_change_of_the_dashboards_url_needs_an_explicit_restart(served, changes, rejected):
    settings = {"scheduler": True, "dashboard": "8787/dask/", "scheduler_restart": "idle", **changes}
    found = list(plan.moved_dashboard("s1", {"dashboard": served}, settings))
    assert bool(found) == rejected
    if rejected:
        assert says(only(found), f"s1: the running scheduler serves its dashboard at port and path {served}")
        assert says(only(found), "say 8787/dask/", "no client has work, and add -e dask_scheduler_restart=now")


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_invalid_proxy_prefix_is_rejected(prefix):
    sentence = only(bad_proxy(prefix=prefix))
    assert says(sentence, f"s1: dask_dashboard_proxy_prefix is '{prefix}'", "Give a path like /dask")


def test_proxy_without_tls_is_rejected():
    sentence = only(bad_proxy(tls=False))
    assert says(sentence, "s1: dask_tls is false", "Set dask_dashboard_proxy_certificate and dask_dashboard_proxy_key")


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_unusable_proxy_certificate_is_rejected(name):
    variable, path = f"dask_dashboard_proxy_{name}", OWN_FILES[name]
    assert says(only(bad_proxy(**{name: path})), f"s1: only {variable} is set", "Set both")
    assert says(
        only(bad_proxy(**{**OWN_FILES, name: "dask.pem"})), f"s1: {variable} is 'dask.pem'", "Give an absolute path"
    )
    sentence = only(bad_proxy(missing=[path], **OWN_FILES))
    assert says(sentence, f"s1: {variable} is {path}, which does not exist on the host", "Create the file")
