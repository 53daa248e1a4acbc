# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: its functions with any state of hosts, and the task with the variables of a play."""

import copy
import json
import time
from dataclasses import replace

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import packages as packages_module
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import (
    Outside,
    activation,
    make_plan,
    of_groups,
    plan_hosts,
    releases,
)
from hypothesis import given
from hypothesis import strategies as st
from playbook_runs import play
from settled_hosts import (
    ENVIRONMENT,
    GIB,
    GROUPS,
    HOSTS,
    SCHEDULER,
    SETTLED,
    WORKER,
    bare,
    cluster_of,
    write_inventory,
)
from wheels import PYTHON

RUN = {"ansible_run_tags": ["all"], "ansible_skip_tags": [], "groups": GROUPS}
ALL_SETTLED = {"scheduler": [], "starting": [], "rolling": []}


def changed(host, **changes):
    """Return `SETTLED` with changes of what one host returned."""
    infos = copy.deepcopy(SETTLED)
    for name, value in changes.items():
        infos[host][name] = {**infos[host][name], **value} if isinstance(value, dict) and value else value
    return infos


def decide(infos, state="started", **variables):
    """Return the hosts that lack their release, and those whose services change."""
    cluster = cluster_of(infos, **variables)
    plans, problems = plan_hosts(cluster, HOSTS)
    assert problems == {}
    environments = {host: {"id": ENVIRONMENT.id} for host in HOSTS}
    chosen, problems, lacking = releases(cluster, plans, environments)
    assert problems == []
    return lacking, activation(state, infos, chosen)


# The functions


def test_notebooks_without_a_password_cause_a_warning():
    environments = {host: {"id": ENVIRONMENT.id, "packages": ENVIRONMENT.versions} for host in HOSTS}
    outside = Outside(lambda infos, common: (environments, []), lambda host: list, lambda name: [], list)

    infos = {host: {**info, "clock": [0.0, 0.0]} for host, info in SETTLED.items()}

    def warnings(**variables):
        cluster = replace(cluster_of(infos, **variables), run=RUN)
        return make_plan(cluster, "change", "lock.txt", outside)["warnings"]

    assert warnings() == []
    (warning,) = warnings(dask_scheduler_arguments=["--jupyter"])
    assert warning.startswith("s1: dask_scheduler_arguments has --jupyter")


def test_settled_hosts_need_nothing():
    assert decide(SETTLED) == ([], ALL_SETTLED)


def test_restart_changes_every_service():
    expected = {"scheduler": ["s1"], "starting": [], "rolling": ["w1", "w2"]}
    assert decide(SETTLED, "restarted") == ([], expected)


def test_new_label_restarts_the_workers_only():
    lacking, changing = decide(SETTLED, dask_release_label="v1.4")
    # The scheduler's host gets the release, whose scheduler is the one that runs.
    assert lacking == HOSTS
    assert changing == {"scheduler": ["s1"], "starting": [], "rolling": ["w1", "w2"]}
    assert decide(SETTLED, dask_release_label="") == ([], ALL_SETTLED)


def test_new_hosts_get_a_release_and_start():
    infos = {host: bare(number) for number, host in enumerate(HOSTS, 1)}
    assert decide(infos) == (HOSTS, {"scheduler": ["s1"], "starting": ["w1", "w2"], "rolling": []})


#: Changes of what one host returned: whether it then lacks its release, and the group of its services.
DIFFERENCES = {
    "service stopped": (lambda unit, one: {"running": {}}, False, "stopped"),
    "another release runs": (lambda unit, one: {"running": {unit: "0.0"}}, False, "runs"),
    "another unit is loaded": (lambda unit, one: {"running": {unit: f"{one} (another unit)"}}, False, "runs"),
    "no process": (lambda unit, one: {"running": {unit: None}}, False, "runs"),
    "another release is current": (lambda unit, one: {"current": {"id": "0", "content": "0"}}, True, "stopped"),
    "files were changed": (lambda unit, one: {"current": {"content": "0"}}, True, None),
    "services never settled": (lambda unit, one: {"current": {"settled": []}}, True, "stopped"),
    "change is unfinished": (lambda unit, one: {"unfinished": 5}, True, None),
    "nothing is installed": (lambda unit, one: {"current": {}, "running": {}}, True, "stopped"),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", DIFFERENCES)
def test_one_difference_concerns_one_host(host, name):
    change, lacks, services = DIFFERENCES[name]
    ((unit, one),) = SETTLED[host]["running"].items()
    found = decide(changed(host, **change(unit, one)))
    group = "scheduler" if host == "s1" else {"stopped": "starting", "runs": "rolling"}.get(services)
    expected = {**ALL_SETTLED, **({group: [host]} if services else {})}
    assert found == ([host] if lacks else [], expected)


def test_removed_worker_is_stopped_by_the_rolling_play():
    infos = changed("w2", running={"dask-worker@2.service": "0.0"})
    assert decide(infos) == ([], {**ALL_SETTLED, "rolling": ["w2"]})


@given(
    st.dictionaries(
        st.sampled_from(HOSTS), st.sampled_from(["current", "stopped", "old", "unit", "unsettled"]), min_size=1
    ),
    st.sampled_from(["started", "restarted"]),
)
def test_every_service_that_does_not_run_its_release_is_in_one_group(states, state):
    infos = copy.deepcopy(SETTLED)
    for host, what in states.items():
        ((unit, one),) = SETTLED[host]["running"].items()
        runs = {"stopped": {}, "old": {unit: "0.0"}, "unit": {unit: f"{one} (another unit)"}}
        infos[host]["running"] = runs.get(what, infos[host]["running"])
        if what == "unsettled":
            infos[host]["current"]["settled"] = []
    chosen = {host: SETTLED[host]["current"] for host in HOSTS}
    found = activation(state, infos, chosen)
    listed = [host for hosts in found.values() for host in hosts]
    wanted = [host for host in HOSTS if state == "restarted" or states.get(host, "current") != "current"]
    assert sorted(listed) == sorted(wanted)
    assert set(found["scheduler"]) <= {"s1"}
    assert all(infos[host]["running"] == {} or states.get(host) == "unsettled" for host in found["starting"])
    assert all(infos[host]["running"] for host in found["rolling"])


@given(st.sampled_from([("dask_worker_count", 2), ("dask_scheduler_port", 9000), ("dask_config", {"a": {"b": 1}})]))
def test_changed_variable_stages_the_hosts_that_read_it(change):
    name, value = change
    lacking, services = decide(SETTLED, **{name: value})
    # Workers are given the scheduler's address.
    expected = ["w1", "w2"] if name == "dask_worker_count" else HOSTS
    assert lacking == expected
    assert services["rolling"] == ["w1", "w2"]
    assert services["scheduler"] == (["s1"] if "s1" in expected else [])


def test_problems_of_all_hosts_are_returned():
    cluster = cluster_of(SETTLED)
    cluster.values["w1"].update(dask_worker_pools={"a": {"nanny": "perhaps"}, "b": {"nanny": "rarely"}})
    cluster.values["w2"].update(dask_worker_count="many")
    plans, problems = plan_hosts(cluster, HOSTS)
    assert list(problems) == ["w1", "w2"] and "w1" not in plans and "s1" in plans
    assert len(problems["w1"]) == 2 and all(problem.startswith("w1: dask_worker_pools") for problem in problems["w1"])
    assert problems["w2"][0].startswith("w2: dask_worker_count")


# The task


def without(host, name):
    """Return `SETTLED` without one value of a host."""
    infos = copy.deepcopy(SETTLED)
    infos[host][name] = type(infos[host][name])()
    return infos


def with_previous():
    """Return hosts that ran another release before."""
    infos = copy.deepcopy(SETTLED)
    for info in infos.values():
        before = {kind: dict.fromkeys(units, "0.0") for kind, units in info["current"]["services"].items()}
        info["previous"] = {**info["current"], "id": "0", "services": before, "staged": 5}
    return infos


#: The variables that put w1 into maintenance.
MAINTENANCE = {"dask_maintenance": "{{ inventory_hostname == 'w1' }}"}
IN_MAINTENANCE = changed("w1", running={}, current={"settled": [], "enabled": []})
STOPPED = {host: {**info, "running": {}} for host, info in SETTLED.items()}
NEW = {host: bare(number) for number, host in enumerate(HOSTS, 1)}

#: Runs by name: the purpose, what `host_info` returned, and more: ``hosts`` of the run, ``vars`` of the play, arguments.
RUNS = {
    "unchanged": ("change", SETTLED, {}),
    "environment missing": ("change", without("w2", "environments"), {}),
    "content differs": ("change", changed("w1", current={"content": "0"}), {}),
    "other release": ("change", changed("w1", current={"id": "0", "content": "0"}, running={WORKER: "0.0"}), {}),
    "untried": ("change", changed("w1", current={"content": "0"}, known=[]), {}),
    "no trial": ("change", changed("w1", current={"content": "0"}, known=[]), {"vars": {"dask_trial": False}}),
    "scheduler differs": ("change", changed("s1", running={SCHEDULER: "0.0"}), {}),
    "worker stopped": ("change", changed("w2", running={}), {}),
    "proxy unwanted": ("change", changed("s1", proxy={"port": 8443}), {}),
    "proxy": ("change", SETTLED, {"vars": {"dask_dashboard_proxy": True}}),
    "firewall": ("change", SETTLED, {"vars": {"dask_firewall": "nftables"}}),
    "firewall installed": ("change", changed("w1", firewall={"installed": ["nftables"]}), {}),
    "unfinished": ("change", changed("w1", unfinished=5), {}),
    "newer": ("change", changed("w1", current={"staged": 9_000_000_000}), {}),
    "unreachable": ("inspect", {**SETTLED, "w2": {"msg": "Connection refused", "unreachable": True}}, {}),
    "play wins": (
        "change",
        SETTLED,
        {"vars": {"dask_scheduler_host": "10.9.9.9", "dask_tls_directory": "/ca", "dask_serial": 3}},
    ),
    "limited": ("change", SETTLED, {"hosts": "w1", "scheduler_info": SETTLED["s1"]}),
    "maintenance begins": ("change", SETTLED, {"vars": MAINTENANCE}),
    "maintenance begins, workers stopped": ("change", changed("w1", running={}), {"vars": MAINTENANCE}),
    "maintenance": ("change", IN_MAINTENANCE, {"vars": MAINTENANCE}),
    "maintenance, unreachable": ("change", {**SETTLED, "w1": {}}, {"vars": MAINTENANCE}),
    "maintenance of all hosts of the run": (
        "change",
        changed("w1", current={"content": "0"}),
        {"hosts": "w1", "scheduler_info": SETTLED["s1"], "vars": {"dask_maintenance": True}},
    ),
    "maintenance ends": ("start", IN_MAINTENANCE, {}),
    "start in maintenance": ("start", STOPPED, {"vars": MAINTENANCE}),
    "restart in maintenance": ("restart", IN_MAINTENANCE, {"vars": MAINTENANCE}),
    "rollback in maintenance": ("rollback", with_previous(), {"vars": MAINTENANCE}),
    "rotate in maintenance": ("rotate", {**SETTLED, "w1": {}}, {"vars": MAINTENANCE}),
    "stop in maintenance": ("stop", {**SETTLED, "w1": {}}, {"vars": MAINTENANCE}),
    "remove in maintenance": ("remove", IN_MAINTENANCE, {"vars": MAINTENANCE}),
    "show in maintenance": ("show", {**NEW, "w1": {}}, {"vars": MAINTENANCE}),
    "start": ("start", STOPPED, {}),
    "start nothing": ("start", SETTLED, {}),
    "restart": ("restart", SETTLED, {}),
    "rollback": ("rollback", with_previous(), {}),
    "stop": ("stop", SETTLED, {}),
    "remove": ("remove", SETTLED, {}),
    "rotate": ("rotate", SETTLED, {}),
    "connect": ("connect", SETTLED, {"vars": {"dask_tls_directory": "CA"}}),
    "connect without TLS": ("connect", SETTLED, {"vars": {"dask_tls": False}}),
    "show": ("show", {**NEW, "w2": {**NEW["w2"], "systemd": False}}, {}),
    "inspect": ("inspect", NEW, {}),
}
#: Runs that fail, and what their message says.
REJECTED = {
    "not inspected": (
        "change",
        {**SETTLED, "w2": {"msg": "Connection refused", "unreachable": True}},
        {},
        ["w2: not inspected in this run", "--limit"],
    ),
    "failed with values": (
        "change",
        {**SETTLED, "w2": {**SETTLED["w2"], "failed": True}},
        {},
        ["w2: not inspected in this run"],
    ),
    "two bad hosts": (
        "change",
        {**SETTLED, "w1": {**SETTLED["w1"], "systemd": False}, "w2": {**SETTLED["w2"], "python": {}}},
        {},
        ["w1 does not run systemd", "w2 has no working Python"],
    ),
    "bad variable": ("change", SETTLED, {"vars": {"dask_worker_count": "many"}}, ["w1: dask_worker_count", "w2: "]),
    "bad flag": (
        "inspect",
        SETTLED,
        {"vars": {"dask_tls": "perhaps", "dask_keep_releases": "few"}},
        [f"{host}: {name}" for host in HOSTS for name in ("dask_tls is 'perhaps'", "dask_keep_releases is 'few'")],
    ),
    "not evaluated": (
        "inspect",
        SETTLED,
        {"vars": {"dask_home": "{{ nobody }}"}},
        ["s1: dask_home", "w2: dask_home", "nobody"],
    ),
    "pythons differ": ("change", changed("w1", python={"version": "3.12.1"}), {}, ["Python differs: w1 (3.12)"]),
    "one machine": ("change", changed("w2", machine="2" * 32), {}, ["w1 and w2 are one machine"]),
    "windows": (
        "change",
        SETTLED,
        {"vars": {"dask_scheduler_platform": "windows", "dask_windows_scheduler_max_workers": 1}},
        ["2 worker processes are planned"],
    ),
    "no scheduler runs": (
        "change",
        SETTLED,
        {"hosts": "w1", "scheduler_info": STOPPED["s1"]},
        ["The scheduler on s1 is stopped"],
    ),
    "external scheduler refuses": (
        "change",
        changed("w1", refused="Connection refused"),
        {"vars": {"dask_scheduler_address": "tls://10.0.0.9:8786"}},
        ["w1 cannot connect to dask_scheduler_address (tls://10.0.0.9:8786): Connection refused"],
    ),
    "firewall network": (
        "change",
        SETTLED,
        {"vars": {"dask_firewall": "nftables", "dask_firewall_clients": ["everybody"]}},
        ["dask_firewall_clients: 'everybody' is not an address"],
    ),
    "no lock": ("change", SETTLED, {"vars": {"dask_environment_lock": "/nowhere.txt"}}, ["/nowhere.txt"]),
    "packages differ": (
        "change",
        changed("w2", environments={ENVIRONMENT.id: {"packages": {**ENVIRONMENT.versions, "dask": "0"}}}),
        {},
        ["w2 has other packages than the other hosts: dask 0"],
    ),
    "preload missing": (
        "change",
        SETTLED,
        {"vars": {"dask_worker_preloads": ["/nowhere/monitor.py"]}},
        ["/nowhere/monitor.py"],
    ),
    "start uninstalled": ("start", {**SETTLED, "w2": NEW["w2"]}, {}, ["w2 has no release with a worker"]),
    "restart uninstalled": ("restart", {**SETTLED, "s1": NEW["s1"]}, {}, ["s1 has no release with a scheduler"]),
    "rotate uninstalled": ("rotate", {**SETTLED, "w1": NEW["w1"]}, {}, ["w1 has no release with a worker"]),
    "start without scheduler": (
        "start",
        STOPPED,
        {"hosts": "w1", "scheduler_info": STOPPED["s1"]},
        ["The scheduler on s1 is stopped"],
    ),
    "rollback to nothing": ("rollback", SETTLED, {}, ["No host has a previous release"]),
    "remove scheduler": ("remove", SETTLED, {"hosts": "s1"}, ["s1 is the scheduler of w1, w2"]),
    "remove with bad pools": (
        "remove",
        SETTLED,
        {"vars": {"dask_worker_pools": {"a": {"nanny": "perhaps"}}}},
        ["s1: dask_worker_pools", "w2: dask_worker_pools"],
    ),
    "connect without CA": (
        "connect",
        SETTLED,
        {"vars": {"dask_tls_directory": "/nowhere"}},
        ["/nowhere/ca.pem does not exist. Run site.yml first."],
    ),
    "scheduler in maintenance": (
        "change",
        SETTLED,
        {"vars": {"dask_maintenance": True}},
        ["s1: dask_maintenance is true, but this is the scheduler's host", "run stop.yml"],
    ),
    "remove unreachable in maintenance": (
        "remove",
        {**SETTLED, "w1": {}},
        {"vars": MAINTENANCE},
        ["w1: not inspected in this run"],
    ),
    "unknown purpose": ("dance", SETTLED, {}, ["purpose must be one of"]),
}


def archive(cache):
    """Return the path under which the packages of `ENVIRONMENT` are kept on the controller."""
    parts = [packages_module.ARCHIVE, packages_module.sha256_of(packages_module.TREE), ENVIRONMENT.id, "controller"]
    name = packages_module.digest([*parts, PYTHON["libc"], None, ENVIRONMENT._compiles_here()])
    return cache / "daskops" / f"environment-{name}.tar"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the text of each run's result by name, and the directory of the playbook and its inventory."""
    work = tmp_path_factory.mktemp("plan")
    (work / "CA").mkdir()
    (work / "CA/ca.pem").write_text("the CA")
    (work / "cache/daskops").mkdir(parents=True)
    archive(work / "cache").touch()
    plays, kept = [], []
    for number, (purpose, infos, options, *dummy) in enumerate([*RUNS.values(), *REJECTED.values()]):
        variables = {
            name: str(work / "CA") if value == "CA" else value for name, value in options.get("vars", {}).items()
        }
        arguments = {"purpose": purpose, "scheduler_info": options.get("scheduler_info", {})}
        # Each result has a variable of its own, because one task that writes all of them is faster than many.
        tasks = [
            {"ansible.builtin.set_fact": {"__dask_host": "{{ infos[inventory_hostname] }}"}, "vars": {"infos": infos}},
            {"daskops.cluster.plan": arguments, "run_once": True, "register": f"found_{number}", "ignore_errors": True},
        ]
        limit = options.get("hosts", "dask_scheduler:dask_workers")
        kept.append(f"hostvars['{'w1' if limit == 'w1' else 's1'}'].found_{number}")
        plays.append({"hosts": limit, "gather_facts": False, "vars": variables, "tasks": tasks})
    content = "{{ [" + ", ".join(kept) + "] | to_json }}"
    write = {"ansible.builtin.copy": {"content": content, "dest": f"{work}/results.json", "mode": "0600"}}
    plays.append({"hosts": "localhost", "gather_facts": False, "tasks": [write]})
    (work / "play.json").write_text(json.dumps(plays))
    done = play(work / "play.json", work, write_inventory(work), XDG_CACHE_HOME=str(work / "cache"))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((work / "results.json").read_text())
    return {name: json.dumps(result) for name, result in zip([*RUNS, *REJECTED], results)}, work


@pytest.fixture(scope="module")
def planned(results):
    """Return the results of the runs in `RUNS` by name."""
    found = {name: json.loads(results[0][name]) for name in RUNS}
    assert {name: result["msg"] for name, result in found.items() if result["failed"]} == {}
    return found


def plays(result):
    """Return the names of the plays of each host."""
    found = {}
    for name, hosts in sorted(result["plays"].items()):
        for host in hosts if name != "serial" else []:
            found.setdefault(host, []).append(name)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unchanged", {}),
        ("environment missing", {"w2": ["build"]}),
        ("content differs", {"w1": ["stage"]}),
        ("other release", {"w1": ["rolling", "stage"]}),
        ("untried", {"w1": ["stage", "trial"]}),
        ("no trial", {"w1": ["stage"]}),
        ("scheduler differs", {"s1": ["scheduler"]}),
        ("worker stopped", {"w2": ["starting"]}),
        ("proxy unwanted", {"s1": ["proxy_unwanted"]}),
        ("firewall installed", {"w1": ["firewall"]}),
        ("maintenance begins", {"w1": ["maintenance"]}),
        ("maintenance begins, workers stopped", {"w1": ["maintenance"]}),
        ("maintenance", {}),
        ("maintenance, unreachable", {}),
        ("maintenance of all hosts of the run", {"w1": ["maintenance"]}),
        ("maintenance ends", {"w1": ["starting"]}),
        ("start in maintenance", {"s1": ["scheduler"], "w1": ["maintenance"], "w2": ["starting"]}),
        ("restart in maintenance", {"s1": ["scheduler"], "w2": ["rolling"]}),
        ("rollback in maintenance", {"s1": ["scheduler"], "w1": ["maintenance"], "w2": ["rolling"]}),
        ("rotate in maintenance", {}),
        ("stop in maintenance", {}),
        ("remove in maintenance", {}),
        ("show in maintenance", {}),
        ("start", {"s1": ["scheduler"], "w1": ["starting"], "w2": ["starting"]}),
        ("start nothing", {}),
        ("restart", {"s1": ["scheduler"], "w1": ["rolling"], "w2": ["rolling"]}),
        ("rollback", {"s1": ["scheduler"], "w1": ["rolling"], "w2": ["rolling"]}),
        ("stop", {}),
        ("remove", {}),
        ("rotate", {}),
        ("connect", {}),
        ("show", {}),
        ("inspect", {}),
    ],
)
def test_hosts_are_in_the_groups_of_what_they_need(planned, name, expected):
    assert plays(planned[name]) == expected


@pytest.mark.parametrize("name", [name for name in RUNS if "maintenance" in name and name != "maintenance ends"])
def test_host_in_maintenance_is_named_and_not_expected(planned, name):
    found = planned[name]
    assert found["maintenance"] == ["w1"]
    assert ("w1" in found["expected"]) == ("w1" in found["hosts"]) == (name == "remove in maintenance")
    assert found["complete"] != (name == "maintenance of all hosts of the run")


def test_variables_of_hosts_put_them_into_groups(planned):
    assert "proxy" in plays(planned["proxy"])["s1"] and "w1" not in plays(planned["proxy"])
    assert all("firewall" in plays(planned["firewall"])[host] for host in HOSTS)


def test_only_the_host_without_the_environment_gets_an_archive(planned, results):
    archives = {
        host: about["environment"]["archive"] for host, about in planned["environment missing"]["hosts"].items()
    }
    assert archives == {"s1": "", "w1": "", "w2": str(archive(results[1] / "cache"))}


def test_trial_names_the_services(planned):
    assert planned["untried"]["hosts"]["w1"]["release"]["trial"] == {"scheduler": False, "workers": [WORKER]}


@pytest.mark.parametrize(
    ("name", "state"),
    [("change", "started"), ("start", "started"), ("restart", "restarted"), ("stop", "stopped"), ("remove", "absent")],
)
def test_state_of_services_follows_from_the_purpose(planned, name, state):
    assert planned["unchanged" if name == "change" else name]["state"] == state


def test_restart_of_a_serving_scheduler_interrupts_it(planned):
    interrupts = {name for name, result in planned.items() if result["hosts"].get("s1", {}).get("interrupts")}
    # The proxy changes the arguments of the scheduler. A run that stops the cluster waits for no end of its work.
    assert interrupts == {
        "scheduler differs",
        "proxy",
        "restart",
        "restart in maintenance",
        "rollback",
        "rollback in maintenance",
    }


def test_expected_workers_have_the_release_to_come(planned):
    workers = {host: [{"name": f"{host}-1", "release": SETTLED[host]["running"][WORKER]}] for host in ("w1", "w2")}
    assert planned["unchanged"]["expected"] == workers
    assert planned["inspect"]["expected"] == {"w1": [{"name": "w1-1"}], "w2": [{"name": "w2-1"}]}
    assert planned["rollback"]["expected"]["w1"] == [{"name": "w1-1", "release": "0.0"}]
    assert planned["unreachable"]["expected"] == {**workers, "w2": [{"name": "w2-1"}]}
    assert planned["unchanged"]["scheduler_release"] == SETTLED["s1"]["running"][SCHEDULER]


def test_change_continues_an_unfinished_one_and_is_newer_than_others(planned):
    assert planned["unfinished"]["change"] == 5
    assert planned["newer"]["change"] == 9_000_000_001
    assert abs(planned["unchanged"]["change"] - time.time()) < 3600


def test_limited_run_is_not_complete(planned):
    assert planned["unchanged"]["complete"] and not planned["limited"]["complete"]
    assert list(planned["limited"]["hosts"]) == ["w1"] and planned["limited"]["asked_host"] == "s1"
    assert list(planned["limited"]["expected"]) == ["w1"]


def test_unreachable_host_has_no_plan(planned):
    assert set(planned["unreachable"]["hosts"]) == {"s1", "w1"} and plays(planned["unreachable"]) == {}


def test_defaults_follow_from_the_inventory(planned, results):
    result = planned["unchanged"]
    assert result["addresses"]["scheduler"] == "tls://10.0.0.1:8786"
    assert result["certificates"]["directory"] == str(results[1] / "dask-tls")
    assert result["certificates"]["scheduler_hosts"] == ["10.0.0.1", "10.0.0.1"]


def test_variables_of_the_play_win(planned):
    result = planned["play wins"]
    assert result["addresses"]["scheduler"] == "tls://10.9.9.9:8786" and result["plays"]["serial"] == 3
    assert result["certificates"]["directory"] == "/ca"
    # The scheduler does not need its own address. One host tries what both have in common.
    assert plays(result) == {"w1": ["rolling", "stage", "trial"], "w2": ["rolling", "stage"]}


def test_connection_has_the_certificates_of_the_ca(planned):
    connection = planned["connect"]["connection"]
    assert connection["address"] == "tls://10.0.0.1:8786" and connection["authorities"] == ["the CA"]
    assert connection["python"] == "3.11" and connection["dashboard"] == "https://10.0.0.1:8787/status"
    plain = planned["connect without TLS"]["connection"]
    assert plain["authorities"] == [] and plain["address"] == "tcp://10.0.0.1:8786"


def test_rollback_selects_the_release_before(planned):
    result = planned["rollback"]
    assert result["back"] and {about["release"]["id"] for about in result["hosts"].values()} == {"0"}
    assert "w1: release " in "\n".join(result["rollback_report"])


def test_removal_lists_scratch_directories(planned):
    assert {host: about["scratch"] for host, about in planned["remove"]["hosts"].items()} == dict.fromkeys(
        HOSTS, ["/var/lib/dask/scratch"]
    )


def test_problem_of_one_host_does_not_hide_the_others(planned):
    hosts = planned["show"]["hosts"]
    (problem,) = hosts["w2"]["problems"]
    assert problem.startswith("w2 does not run systemd")
    assert hosts["w1"]["problems"] == [] and [worker["name"] for worker in hosts["w1"]["workers"]] == ["w1-1"]
    assert hosts["w1"]["ssh_port"] == 1 and hosts["w1"]["machine"]["memory"] == 8 * GIB


@pytest.mark.parametrize("name", REJECTED)
def test_wrong_run_is_rejected(results, name):
    result = json.loads(results[0][name])
    assert result["failed"] and "hosts" not in result
    assert [part for part in REJECTED[name][-1] if part not in result["msg"]] == [], result["msg"]


@pytest.mark.parametrize("name", [*RUNS, *REJECTED])
def test_result_holds_no_secret(results, name):
    assert "hidden-" not in results[0][name]


def test_release_keeps_only_the_kinds_that_the_inventory_gives_the_host():
    cluster = Cluster({"dask_scheduler": ["s1"], "dask_workers": ["w1"]}, ["s1", "w1"], {}, {}, {})
    both = {"id": "r", "services": {"scheduler": {SCHEDULER: "a.1"}, "worker": {"dask-worker@1.service": "b.1"}}}
    found = of_groups(cluster, {"s1": both, "w1": both})
    assert {host: list(release["services"]) for host, release in found.items()} == {
        "s1": ["scheduler"],
        "w1": ["worker"],
    }
