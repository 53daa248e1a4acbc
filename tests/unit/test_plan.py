# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: its functions with any state of hosts, and the task with the variables of a play."""

import copy
import hashlib
import json
import time

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.existing_environments import UNKNOWN
from ansible_collections.daskops.cluster.plugins.plugin_utils import packages as packages_module
from ansible_collections.daskops.cluster.plugins.plugin_utils.applications import (
    Application,
    ApplicationError,
    read_wheel,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import members
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import (
    Outside,
    Rejected,
    activation,
    make_plan,
    of_groups,
    plan_hosts,
    releases,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import managed_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.existing_environments import fingerprint
from hypothesis import given
from hypothesis import strategies as st
from playbook_runs import play
from python_archives import file_name, packed, program
from sentences import only, says
from settled_hosts import (
    ENVIRONMENT,
    GIB,
    GROUPS,
    HOSTS,
    SCHEDULER,
    SETTLED,
    VARIABLES,
    WORKER,
    bare,
    cluster_of,
    environment_of,
    write_inventory,
)
from wheels import PYTHON, build_wheel

#: The archive of a managed Python, and the environment with it.
PYTHON_ARCHIVE = packed(program("3.11.2", "x86_64"))
SHA256 = hashlib.sha256(PYTHON_ARCHIVE).hexdigest()
MIRROR = {"dask_python_mirror": "MIRROR", "dask_python_sha256": {"x86_64": SHA256}}
MANAGED = managed_python("/opt/dask", f"3.11.2+20261129-x86_64-{SHA256[:12]}", "3.11.2", bare(1))
MANAGED_ENVIRONMENT = environment_of(MANAGED)

NOTHING = Application()
ALL_SETTLED = {"scheduler": [], "starting": [], "rolling": []}


def changed(host, **changes):
    """Return `SETTLED` with changes to the result of one host."""
    infos = copy.deepcopy(SETTLED)
    for name, value in changes.items():
        infos[host][name] = {**infos[host][name], **value} if isinstance(value, dict) and value else value
    return infos


def decide(infos, state="started", application="", archive="", **variables):
    """Return the hosts that lack their release, and those whose services change."""
    cluster = cluster_of(infos, **variables)
    plans, problems = plan_hosts(cluster, HOSTS)
    assert problems == {}
    environments = {host: {"id": ENVIRONMENT.id, "prefixes": ["/usr"], "boot_python": ""} for host in HOSTS}
    archives = dict.fromkeys(HOSTS, archive)
    chosen, problems, lacking = releases(cluster, plans, environments, application, archives)
    assert problems == []
    return lacking, activation(state, infos, chosen)


# The functions


def test_settled_hosts_need_nothing():
    assert decide(SETTLED) == ([], ALL_SETTLED)


def test_restart_changes_every_service():
    expected = {"scheduler": ["s1"], "starting": [], "rolling": ["w1", "w2"]}
    assert decide(SETTLED, "restarted") == ([], expected)


def test_new_application_restarts_every_service():
    everything = {"scheduler": ["s1"], "starting": [], "rolling": ["w1", "w2"]}
    assert decide(SETTLED, application="a1", archive="/cache/a1.tar.gz") == (HOSTS, everything)


def test_application_that_was_removed_is_installed_again():
    assert decide(SETTLED, archive="/cache/a1.tar.gz") == (HOSTS, ALL_SETTLED)


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
    "account was deleted": (lambda unit, one: {"account": {}}, True, None),
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


def plan(
    infos,
    purpose="change",
    *,
    groups=GROUPS,
    playing=(),
    each=None,
    filtered=(),
    packages=None,
    application=NOTHING,
    **variables,
):
    """Return the plan of a run without Ansible.

    ``each`` has further variables by host, ``filtered`` the hosts whose firewall is managed, and ``packages`` those of the
    environment. ``application`` is that of the user, or what its build raises. The result has the hosts ``looked_up``,
    whose addresses the plan needs.
    """
    playing = list(playing) or members(groups)
    values = {host: complete({**VARIABLES, **variables, **(each or {}).get(host, {})}) for host in playing}
    cluster = Cluster(
        groups=groups,
        playing=playing,
        values=values,
        infos={host: infos[host] for host in playing if "running" in infos.get(host, {})},
        scheduler_info=infos["s1"],
        missing=[host for host in playing if "running" not in infos.get(host, {})],
        run={"ansible_run_tags": ["all"], "ansible_skip_tags": [], "groups": groups},
    )
    looked_up = []

    def look_up(host):
        looked_up.append(host)
        return lambda: ["10.0.0.99"]

    environment = {
        "id": ENVIRONMENT.id,
        "python": "/usr/bin/python3",
        "prefixes": ["/usr"],
        "boot_python": "",
        "origin": {},
        "archive": "",
    }
    environment.update(packages=packages or ENVIRONMENT.versions, python_version="3.11.2")

    def built(dummy):
        if isinstance(application, Exception):
            raise application
        return application

    outside = Outside(
        unsafe_cache=lambda cache: [],
        pythons=lambda *dummy: ({}, []),
        environments=lambda infos, dummy: (dict.fromkeys(infos, environment), []),
        client_packages=lambda *dummy: ({"python": "3.11.2", "requirements": "dask==1\n", "lock": ""}, []),
        application=built,
        pack=lambda made, dummy: f"/cache/{made.id}.tar.gz",
        addresses_of=look_up,
        resolve=lambda name: ["192.0.2.7"] if name == "gate.example.org" else [],
        filtered_hosts=lambda: list(filtered),
    )
    return {**make_plan(cluster, purpose, "lock.txt", outside), "looked_up": looked_up}


def problems(*arguments, **options):
    """Return the problems for which a plan is rejected."""
    with pytest.raises(Rejected) as error:
        plan(*arguments, **options)
    return error.value.problems


def test_connection_without_a_lock_has_what_the_role_client_reads():
    options = {"dask_tls": False, "dask_client_state": "present"}
    with_lock = plan(SETTLED, "connect", **options)["connection"]
    packed = plan(SETTLED, "connect", **options, dask_environment_archive="/env.tar.gz")["connection"]
    assert packed.keys() == with_lock.keys() and packed["requirements"] == "dask==1\n" and packed["python"] == "3.11"


def test_application_is_sent_to_the_hosts_that_lack_it(tmp_path):
    application = Application([read_wheel(str(build_wheel(tmp_path, "analysis", "1.4", ["numpy"])), False)])
    infos = changed("w1", applications={application.id: {"id": application.id, "packages": {"analysis": "1.4"}}})
    found = plan(infos, application=application)
    archives = {host: about["application_archive"] for host, about in found["hosts"].items()}
    assert archives == {**dict.fromkeys(HOSTS, f"/cache/{application.id}.tar.gz"), "w1": ""}
    assert found["application"] == {"id": application.id, "packages": {"analysis": "1.4"}}
    assert {about["release"]["application"] for about in found["hosts"].values()} == {application.id}
    assert found["plays"]["stage"] == HOSTS and found["plays"]["build"] == []
    assert plan(SETTLED)["application"] == {"id": "", "packages": {}}


def test_application_that_hosts_cannot_run_is_rejected(tmp_path):
    application = Application([read_wheel(str(build_wheel(tmp_path, "analysis", "1.4", ["polars"])), False)])
    assert says(only(problems(SETTLED, application=application)), "dask_application: analysis 1.4 needs polars")
    (tmp_path / "analysis.py").touch()
    sentence = only(
        problems(
            SETTLED,
            application=application,
            packages={**ENVIRONMENT.versions, "polars": "1"},
            **{"dask_worker_preloads": [str(tmp_path / "analysis.py")]},
        )
    )
    assert says(sentence, "analysis.py has the name of a module of dask_application")
    assert problems(SETTLED, application=ApplicationError("It fails.", "This, too.")) == ["It fails.", "This, too."]


def test_clients_get_the_application(tmp_path):
    wheel = build_wheel(tmp_path, "analysis", "1.4")
    application = Application([read_wheel(str(wheel), False)])
    found = plan(SETTLED, "connect", application=application, dask_tls=False)
    assert found["connection"]["wheels"] == [str(wheel)]
    assert says(only(found["warnings"]), "dask_application is not what the cluster runs", "Run site.yml")
    infos = {
        host: {**info, "current": {**info["current"], "application": application.id}} for host, info in SETTLED.items()
    }
    assert plan(infos, "connect", application=application, dask_tls=False)["warnings"] == []
    assert plan(SETTLED, "connect", dask_tls=False)["connection"]["wheels"] == []


@pytest.mark.parametrize("purpose", ["change", "start", "restart", "rollback", "stop", "remove", "rotate"])
def test_run_that_changes_something_needs_all_its_hosts(purpose):
    infos = {host: SETTLED[host] for host in ("s1", "w1")}
    assert says(only(problems(infos, purpose)), "w2: not inspected in this run")


@pytest.mark.parametrize("purpose", ["show", "inspect", "connect"])
def test_run_that_changes_nothing_on_hosts_leaves_out_unreachable_ones(purpose):
    found = plan({host: SETTLED[host] for host in ("s1", "w1")}, purpose, dask_tls=False)
    assert set(found["hosts"]) == {"s1", "w1"}


@pytest.mark.parametrize("purpose", ["start", "restart", "rollback", "rotate"])
def test_run_that_installs_nothing_needs_a_release(purpose):
    assert says(
        only(problems(changed("w2", current={}), purpose)), "w2 has no release with a worker. Run site.yml first"
    )


def test_other_python_of_the_scheduler_outside_the_run_is_rejected():
    infos = changed("s1", python={"version": "3.12.1"})
    assert says(only(problems(infos, playing=["w1"])), "Python differs", "3.12")
    lost = {**SETTLED, "s1": {"unreachable": True, "msg": "no route"}}
    assert says(only(problems(lost, playing=["w1"])), "s1, the scheduler's host, could not be")


def test_managed_python_of_the_scheduler_outside_the_run_counts():
    managed = {
        ENVIRONMENT.id: {"python": "3.12.1", "packages": ENVIRONMENT.versions, "managed_python": "3.12.1+2-x86_64"}
    }
    infos = changed("s1", environments=managed)
    found = problems(infos, playing=["w1"], dask_python="python3")
    assert says(only(found), "Python differs: s1 (3.12); the other hosts have 3.11")


def test_equal_names_of_workers_on_two_hosts_are_rejected():
    groups = {"dask_scheduler": ["s1"], "dask_workers": ["w1", "w1-a"]}
    infos = {host: bare(number) for number, host in enumerate(("s1", "w1", "w1-a"), 1)}
    found = problems(infos, groups=groups, each={"w1": {"dask_worker_pools": {"a": {}}}})
    assert says(only(found), "w1 and w1-a would both have a worker w1-a-1")


def test_cluster_of_one_host_may_listen_at_its_own_address():
    infos = {"s1": {**bare(1), "address": "127.0.0.1"}}
    groups = {"dask_scheduler": ["s1"], "dask_workers": ["s1"]}
    assert "s1" in plan(infos, groups=groups, dask_scheduler_host="127.0.0.1")["hosts"]


def test_equal_problems_of_two_hosts_are_reported_once(tmp_path):
    modules = [tmp_path / name / "monitor.py" for name in "ab"]
    for number, module in enumerate(modules):
        module.parent.mkdir()
        module.write_text(f"number = {number}\n")
    found = problems(SETTLED, dask_worker_preloads=[str(module) for module in modules])
    assert says(only(found), "Two files of the release have the path python/monitor.py")


def test_plan_holds_what_the_roles_need():
    hosts = plan(SETTLED)["hosts"]
    assert [about["kinds"] for about in hosts.values()] == [["scheduler"], ["worker"], ["worker"]]
    assert [about["user"] for about in hosts.values()] == ["dask"] * 3


# Warnings


def test_settled_hosts_give_no_warning():
    found = plan(SETTLED)
    assert (found["warnings"], found["hint"], found["missing_packages"], found["mixed"]) == ([], "", [], [])
    assert not found["scheduler_older"]


@pytest.mark.parametrize("running", [{}, {WORKER: None}])
def test_unmanaged_firewall_is_a_warning_only_where_nothing_runs(running):
    infos = changed("w1", firewall={"foreign": ["ufw"]})
    found = plan(infos)
    assert found["warnings"] == [] and says(found["hint"], "w1: a firewall that the collection does not manage")
    infos["w1"]["running"] = running
    assert plan(infos)["warnings"] == [found["hint"]]


def test_different_clocks_are_a_warning():
    assert says(only(plan(changed("w2", clock=[60, 61]))["warnings"]), "w2 is 60 s ahead of the controller")


def test_maintenance_of_all_workers_is_a_warning():
    both = {host: {"dask_maintenance": True} for host in ("w1", "w2")}
    assert says(
        only(plan(SETTLED, each=both)["warnings"]), "w1, w2: dask_maintenance is true for all worker hosts of the"
    )
    assert plan(SETTLED, each={"w1": both["w1"]})["warnings"] == []
    # They have stopped already.
    stopped = {**SETTLED, "w1": {}, "w2": {}}
    assert plan(stopped, each=both)["warnings"] == []


def test_missing_packages_are_a_warning():
    packages = {name: version for name, version in ENVIRONMENT.versions.items() if name != "bokeh"}
    infos = {host: {**info, "environments": {}} for host, info in SETTLED.items()}
    found = plan(infos, packages=packages)
    assert says(only(found["warnings"]), "The environment has no bokeh")
    assert found["missing_packages"] == found["warnings"]
    infos = changed("w1", versions=[{"packages": packages}])
    assert plan(infos, "inspect")["missing_packages"] == found["warnings"]


def test_different_releases_and_an_older_scheduler_are_reported():
    other = {"services": {"worker": {WORKER: "0.0"}}}
    assert says(only(plan(changed("w1", current=other), "inspect")["mixed"]), "0 on w1")
    assert plan(changed("s1", running={SCHEDULER: "0.0"}), "inspect")["scheduler_older"]


# Firewalls


def test_addresses_are_looked_up_for_managed_firewalls_only():
    """The hosts of the run report their own addresses and the scheduler's."""
    groups = {"dask_scheduler": ["s1"], "dask_workers": ["s1", "w1", "w2"]}
    options = {"groups": groups, "playing": ["w1"], "dask_firewall": "nftables"}
    assert plan(SETTLED, **options)["looked_up"] == []
    found = plan(SETTLED, filtered=["s1", "w1", "w2"], **options)
    assert found["looked_up"] == ["w2"]
    assert found["hosts"]["w1"]["networks"]["cluster"]["ipv4"] == ["10.0.0.2/32", "10.0.0.99/32"]


def test_new_host_is_rejected_if_a_firewall_outside_the_run_does_not_know_it():
    new = {host: bare(number) for number, host in enumerate(HOSTS, 1)}
    assert plan(new, filtered=HOSTS, dask_firewall="nftables")["looked_up"] == []
    found = problems({**SETTLED, "w1": new["w1"]}, playing=["w1"], filtered=["s1", "w1"], dask_firewall="nftables")
    assert says(only(found), "w1 is new, and the firewall of s1 does not accept it")


@pytest.mark.parametrize(
    ("purpose", "wanted", "unwanted"),
    [
        ("change", "none", ["nftables", "firewalld"]),
        ("change", "nftables", ["firewalld"]),
        ("remove", "nftables", ["nftables", "firewalld"]),
    ],
)
def test_installed_firewall_that_is_not_wanted_is_removed(purpose, wanted, unwanted):
    infos = changed("w1", firewall={"installed": ["nftables", "firewalld"]})
    found = plan(infos, purpose, each={"w1": {"dask_firewall": wanted}})
    assert {host: about["unwanted_firewalls"] for host, about in found["hosts"].items()} == {
        "s1": [],
        "w1": unwanted,
        "w2": [],
    }


# Trials


@pytest.mark.parametrize(
    ("variables", "tried"),
    [
        ({}, ["w1"]),
        ({"dask_worker_threads": 1}, ["w1"]),
        ({"dask_worker_environment_variables": {"A": "1"}}, ["w1", "w2"]),
        ({"dask_worker_lifetime": "12 hours"}, ["w1", "w2"]),
    ],
)
def test_settings_that_can_prevent_the_start_of_a_worker_are_tried(variables, tried):
    infos = {
        host: {**info, "known": [], "current": {**info["current"], "content": ""}} for host, info in SETTLED.items()
    }
    found = plan(infos, each={"w2": variables})
    assert [host for host, about in found["hosts"].items() if about["release"].get("trial", {}).get("workers")] == tried


# Other purposes


def test_certificate_is_for_the_dashboard_of_an_own_scheduler_only():
    def dashboard(**variables):
        return plan(SETTLED, "inspect", **variables)["certificates"]["dashboard_hosts"]

    assert dashboard() == {"10.0.0.1": "dask_scheduler_host"}
    assert dashboard(dask_scheduler_address="tls://10.0.0.9:8786") == {}
    assert dashboard(dask_scheduler_dashboard_url="https://pages.example.org:8443") == {}
    outside, proxied = {"dask_client_scheduler_host": "outside"}, {"dask_dashboard_proxy": True}
    clients = {"outside": "dask_client_scheduler_host"}
    assert dashboard(**outside) == {"10.0.0.1": "dask_scheduler_host", **clients}
    assert dashboard(**outside, **proxied) == {"localhost": "dask_dashboard_proxy", **clients}
    # Browsers see the proxy's own certificate.
    own = {"dask_dashboard_proxy_certificate": "/a.pem", "dask_dashboard_proxy_key": "/a.key"}
    assert dashboard(**outside, **proxied, **own) == {"localhost": "dask_dashboard_proxy"}


def test_choices_of_tls_are_listed_once():
    def chosen(**arguments):
        return plan(SETTLED, "inspect", **arguments)["certificates"]["tls_choices"]

    config = {"distributed": {"comm": {"tls": {"min-version": 1.3}}}}
    scheduler = {"kind": "scheduler", "host": "s1", "settings": {}, "variables": []}
    worker = {"kind": "worker", "host": "w1", "settings": {}, "variables": []}
    other = {"kind": "worker", "host": "w2", "settings": {"min-version": 1.3}, "variables": ["dask_worker_config"]}
    assert chosen() == []
    assert chosen(each={"w2": {"dask_worker_config": config}}) == [scheduler, worker, other]


def test_clients_have_their_own_address_of_the_scheduler(tmp_path):
    (tmp_path / "ca.pem").write_text("ca")
    variables = {"dask_tls_directory": str(tmp_path), "dask_client_scheduler_host": "outside"}
    found = plan(SETTLED, "connect", **variables)
    assert found["connection"]["address"] == "tls://outside:8786"
    assert found["connection"]["dashboard"] == "https://outside:8787/status"
    assert found["addresses"]["scheduler"] == "tls://10.0.0.1:8786"
    assert plan(SETTLED, "inspect", **variables)["certificates"]["scheduler_hosts"][:2] == ["10.0.0.1", "outside"]


def test_hosts_behind_one_gateway_need_different_ports():
    sentences = problems(SETTLED, dask_worker_contact_host="gate.example.org")
    assert says(only(sentences), "w1 and w2 would both have a worker at port 8800 of gate.example.org")


def test_firewall_accepts_gateways_of_hosts():
    behind = {"w1": {"dask_worker_contact_host": "gate.example.org"}}
    found = plan(SETTLED, each=behind, filtered=HOSTS, dask_firewall="nftables")["hosts"]["s1"]
    assert "192.0.2.7/32" in found["networks"]["cluster"]["ipv4"]
    behind["w1"]["dask_worker_contact_host"] = "nowhere.example.org"
    sentences = problems(SETTLED, each=behind, filtered=HOSTS, dask_firewall="nftables")
    assert says(only(sentences), "w1: the controller cannot resolve dask_worker_contact_host for the firewall")


def test_clients_trust_both_cas_during_a_rotation(tmp_path):
    new, old = (f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n" for name in ("new", "old"))
    (tmp_path / "ca.pem").write_text(f"The new CA\n{new}{new.replace('CERTIFICATE', 'PRIVATE KEY')}")
    (tmp_path / "previous-ca.pem").write_text(old)
    found = plan(SETTLED, "connect", dask_tls_directory=str(tmp_path))["connection"]
    assert found["authorities"] == [new, old]


def test_clients_trust_the_cas_in_the_variable(tmp_path):
    (tmp_path / "ca.pem").write_text("of the directory")
    (tmp_path / "previous-ca.pem").write_text("of the directory")
    new, old = (f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----" for name in ("new", "old"))
    files = {"ca.pem": new, "ca.key": new.replace("CERTIFICATE", "PRIVATE KEY").replace("new", "secret")}
    found = plan(SETTLED, "connect", dask_tls_directory=str(tmp_path), dask_tls_files=files)
    assert found["connection"]["authorities"] == [f"{new}\n"]
    files["previous-ca.pem"] = old
    found = plan(SETTLED, "connect", dask_tls_directory="/nowhere", dask_tls_files=files)
    assert found["connection"]["authorities"] == [f"{new}\n", f"{old}\n"]
    assert "secret" not in str(found)
    (problem,) = problems(SETTLED, "connect", dask_tls_directory="/nowhere", dask_tls_files={"ca.pem": "secret"})
    assert says(problem, "dask_tls_files['ca.pem'] does not contain certificates") and "secret" not in problem


def test_clients_get_the_python_of_any_host():
    assert plan(changed("s1", python={}), "connect", dask_tls=False)["connection"]["python"] == "3.11"


def test_clients_without_a_connection_need_no_certificates():
    found = plan(SETTLED, "connect", dask_client_state="absent", dask_tls_directory="/nowhere")["connection"]
    assert found == {"address": "tls://10.0.0.1:8786", "authorities": []}


def test_clients_lose_their_connection_with_the_last_host():
    assert plan(SETTLED, "remove")["connection"]["address"] == "tls://10.0.0.1:8786"
    assert "connection" not in plan(SETTLED, "remove", playing=["w1", "w2"])


def test_certificates_are_not_renewed_without_tls():
    assert says(only(problems(SETTLED, "rotate", dask_tls=False)), "dask_tls is false", "set it to true")


def test_scheduler_without_the_summary_route_is_not_asked_for_its_release():
    assert plan(SETTLED, "inspect", dask_summary_route=False)["scheduler_release"] == ""


def test_shared_scratch_directory_is_removed_once():
    found = plan(SETTLED, "remove", dask_worker_pools={"a": {}, "b": {}})
    assert found["hosts"]["w1"]["scratch"] == ["/var/lib/dask/scratch"]


def test_state_of_scaling_is_removed():
    state = "/var/lib/dask/daskops-scaling-10.0.0.1-8786.json"
    assert plan(SETTLED, "remove")["hosts"]["s1"]["scaling_files"] == [state, f"{state}.new"]


def test_latest_unfinished_change_is_continued():
    infos = changed("w1", unfinished=5)
    infos["w2"]["unfinished"] = 9
    assert plan(infos)["change"] == 9


def test_installed_proxy_that_is_wanted_stays():
    infos = changed("s1", proxy={"port": 8443})
    assert "proxy_unwanted" in plays(plan(infos))["s1"]
    found = plays(plan(infos, dask_dashboard_proxy=True))["s1"]
    assert "proxy" in found and "proxy_unwanted" not in found


# Runs


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


def with_managed_python(**pythons):
    """Return hosts with a managed Python and its environment, which no release uses yet; w2 has neither of the two.

    ``pythons`` has changes of the hosts' own interpreters.
    """
    infos = copy.deepcopy(SETTLED)
    about = {"python": "3.11.2", "packages": MANAGED_ENVIRONMENT.versions, "managed_python": MANAGED["managed"]}
    for host, info in infos.items():
        info["python"].update(pythons.get(host, {}))
        if host != "w2":
            info["environments"][MANAGED_ENVIRONMENT.id] = about
            info["pythons"] = [MANAGED["managed"]]
    return infos


MAINTENANCE = {"each": {"w1": {"dask_maintenance": True}}}
IN_MAINTENANCE = changed("w1", running={}, current={"settled": [], "enabled": []})
STOPPED = {host: {**info, "running": {}} for host, info in SETTLED.items()}
NEW = {host: bare(number) for number, host in enumerate(HOSTS, 1)}
LOST = {**SETTLED, "w2": {"msg": "Connection refused", "unreachable": True}}

#: Runs by name: the purpose, what `host_info` returned, and options of `plan`.
RUNS = {
    "unchanged": ("change", SETTLED, {}),
    "environment missing": ("change", without("w2", "environments"), {}),
    "content differs": ("change", changed("w1", current={"content": "0"}), {}),
    "other release": ("change", changed("w1", current={"id": "0", "content": "0"}, running={WORKER: "0.0"}), {}),
    "untried": ("change", changed("w1", current={"content": "0"}, known=[]), {}),
    "no trial": ("change", changed("w1", current={"content": "0"}, known=[]), {"dask_trial": False}),
    "scheduler differs": ("change", changed("s1", running={SCHEDULER: "0.0"}), {}),
    "worker stopped": ("change", changed("w2", running={}), {}),
    "proxy unwanted": ("change", changed("s1", proxy={"port": 8443}), {}),
    "proxy": ("change", SETTLED, {"dask_dashboard_proxy": True}),
    "firewall": ("change", SETTLED, {"dask_firewall": "nftables", "filtered": HOSTS}),
    "firewall installed": ("change", changed("w1", firewall={"installed": ["nftables"]}), {}),
    "unfinished": ("change", changed("w1", unfinished=5), {}),
    "newer": ("change", changed("w1", current={"staged": 9_000_000_000}), {}),
    "limited": ("change", SETTLED, {"playing": ["w1"]}),
    "unreachable": ("inspect", LOST, {}),
    "maintenance begins": ("change", SETTLED, MAINTENANCE),
    "maintenance begins, workers stopped": ("change", changed("w1", running={}), MAINTENANCE),
    "maintenance": ("change", IN_MAINTENANCE, MAINTENANCE),
    "maintenance, unreachable": ("change", {**SETTLED, "w1": {}}, MAINTENANCE),
    "maintenance of all hosts of the run": (
        "change",
        changed("w1", current={"content": "0"}),
        {"playing": ["w1"], **MAINTENANCE},
    ),
    "maintenance ends": ("start", IN_MAINTENANCE, {}),
    "start in maintenance": ("start", STOPPED, MAINTENANCE),
    "restart in maintenance": ("restart", IN_MAINTENANCE, MAINTENANCE),
    "rollback in maintenance": ("rollback", with_previous(), MAINTENANCE),
    "rotate in maintenance": ("rotate", {**SETTLED, "w1": {}}, MAINTENANCE),
    "stop in maintenance": ("stop", {**SETTLED, "w1": {}}, MAINTENANCE),
    "remove in maintenance": ("remove", IN_MAINTENANCE, MAINTENANCE),
    "show in maintenance": ("show", {**NEW, "w1": {}}, MAINTENANCE),
    "start": ("start", STOPPED, {}),
    "start nothing": ("start", SETTLED, {}),
    "restart": ("restart", SETTLED, {}),
    "rollback": ("rollback", with_previous(), {}),
    "stop": ("stop", SETTLED, {}),
    "remove": ("remove", SETTLED, {}),
    "rotate": ("rotate", SETTLED, {}),
    "connect": ("connect", SETTLED, {"dask_tls": False}),
    "show": ("show", {**NEW, "w2": {**NEW["w2"], "systemd": False}}, {}),
    "inspect": ("inspect", NEW, {}),
    "managed to show": ("show", {**NEW, "w1": {**NEW["w1"], "python": {}}}, {}),
}
#: Runs that are rejected, and parts of the message.
REJECTED = {
    "two bad hosts": (
        "change",
        {**SETTLED, "w1": {**SETTLED["w1"], "systemd": False}, "w2": {**SETTLED["w2"], "python": {}}},
        {"dask_python": "python3"},
        ["w1 does not run systemd", "w2 has no working Python"],
    ),
    "bad variable": ("change", SETTLED, {"dask_worker_count": "many"}, ["w1: dask_worker_count", "w2: "]),
    "pythons differ": (
        "change",
        changed("w1", python={"version": "3.12.1"}),
        {"dask_python": "python3"},
        ["Python differs: w1 (3.12)", "or for all hosts to a version such as '3.11'"],
    ),
    "limited run with another python": (
        "change",
        changed("w1", python={"version": "3.12.1"}),
        {"playing": ["w1"]},
        ["Python differs: w1 (3.12)"],
    ),
    "one machine": ("change", changed("w2", machine="2" * 32), {}, ["w1 and w2 are the same machine"]),
    "windows": (
        "change",
        SETTLED,
        {"dask_scheduler_platform": "windows", "dask_windows_scheduler_max_workers": 1},
        ["2 worker processes are planned"],
    ),
    "external scheduler refuses": (
        "change",
        changed("w1", refused="Connection refused"),
        {"dask_scheduler_address": "tls://10.0.0.9:8786"},
        ["w1 cannot connect to dask_scheduler_address (tls://10.0.0.9:8786): Connection refused"],
    ),
    "packages differ": (
        "change",
        changed("w2", environments={ENVIRONMENT.id: {"packages": {**ENVIRONMENT.versions, "dask": "0"}}}),
        {},
        ["w2 has other packages than the other hosts: dask 0"],
    ),
    "preload missing": (
        "change",
        SETTLED,
        {"dask_worker_preloads": ["/nowhere/monitor.py"]},
        ["/nowhere/monitor.py"],
    ),
    "firewall network": (
        "change",
        SETTLED,
        {"filtered": HOSTS, "dask_firewall": "nftables", "dask_firewall_clients": ["everybody"]},
        ["dask_firewall_clients: 'everybody' is not an address"],
    ),
    "restart uninstalled": ("restart", {**SETTLED, "s1": NEW["s1"]}, {}, ["s1 has no release with a scheduler"]),
    "connect uninstalled": ("connect", {"s1": NEW["s1"]}, {}, ["s1 has no release with a scheduler"]),
    "start without scheduler": ("start", STOPPED, {"playing": ["w1"]}, ["The scheduler on s1 is stopped"]),
    "rollback to nothing": ("rollback", SETTLED, {}, ["No host has a previous release"]),
    "remove scheduler": ("remove", SETTLED, {"playing": ["s1"]}, ["s1 is the scheduler of w1, w2"]),
    "remove with bad pools": (
        "remove",
        SETTLED,
        {"dask_worker_pools": {"a": {"nanny": "perhaps"}}},
        ["s1: dask_worker_pools", "w2: dask_worker_pools"],
    ),
    "connect without CA": (
        "connect",
        SETTLED,
        {"dask_tls_directory": "/nowhere"},
        ["/nowhere/ca.pem does not exist. Run site.yml first."],
    ),
    "scheduler in maintenance": (
        "change",
        SETTLED,
        {"dask_maintenance": True},
        ["s1: dask_maintenance is true, but this is the scheduler's host", "run stop.yml"],
    ),
    "remove unreachable in maintenance": (
        "remove",
        {**SETTLED, "w1": {}},
        MAINTENANCE,
        ["w1: not inspected in this run"],
    ),
}


def test_number_of_workers_is_limited_for_schedulers_on_windows_only():
    assert plan(SETTLED, dask_windows_scheduler_max_workers=1)["warnings"] == []


@pytest.fixture(scope="module")
def planned():
    """Return the plans of the runs in `RUNS` by name."""
    return {name: plan(infos, purpose, **options) for name, (purpose, infos, options) in RUNS.items()}


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
        ("unfinished", {"w1": ["installed", "stage"]}),
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


def test_hosts_share_the_description_of_their_environment(planned):
    result = planned["environment missing"]
    assert {about["release"]["environment"] for about in result["hosts"].values()} == {ENVIRONMENT.id}
    assert {name: about["packages"] for name, about in result["environments"].items()} == {
        ENVIRONMENT.id: ENVIRONMENT.versions
    }


def test_only_hosts_with_a_firewall_get_ports_and_networks(planned):
    assert all(not about.keys() & {"ports", "networks"} for about in planned["unchanged"]["hosts"].values())
    about = planned["firewall"]["hosts"]["w1"]
    assert 8786 not in [port["port"] for port in about["ports"]] and about["ports"][0]["unit"] == WORKER
    assert about["networks"]["cluster"] == {"ipv4": ["10.0.0.1/32", "10.0.0.2/31"], "ipv6": []}


@pytest.mark.parametrize("name", RUNS)
def test_plan_holds_no_contents_of_releases(planned, name):
    """Each task of each host is given the plan, so its size matters."""
    found = json.dumps(planned[name])
    assert "[Service]" not in found and "ExecStart" not in found


def test_plan_of_a_host_is_short(planned):
    for name in ("unchanged", "other release", "start", "rollback"):
        assert max(len(json.dumps(about)) for about in planned[name]["hosts"].values()) < 450


def test_plan_is_shown_without_fetching_a_managed_python(planned):
    assert planned["managed to show"]["hosts"]["w1"]["problems"] == []
    assert planned["managed to show"]["python"] == (
        "Hosts get a managed Python (3.13, if there is one), because dask_python is auto, and hosts do not all have the "
        "same Python that Dask can use: s1 (3.11), w1 (none), w2 (3.11)."
    )
    assert planned["show"]["python"] == ""


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
    assert hosts["w1"]["machine"]["memory"] == 8 * GIB


def test_limited_run_is_not_complete(planned):
    assert planned["unchanged"]["complete"] and not planned["limited"]["complete"]
    assert list(planned["limited"]["hosts"]) == ["w1"] and planned["limited"]["asked_host"] == "s1"
    assert list(planned["limited"]["expected"]) == ["w1"]


def test_unreachable_host_has_no_plan(planned):
    assert set(planned["unreachable"]["hosts"]) == {"s1", "w1"} and plays(planned["unreachable"]) == {}


@pytest.mark.parametrize("name", REJECTED)
def test_wrong_run_is_rejected(name):
    purpose, infos, options, parts = REJECTED[name]
    found = "\n".join(problems(infos, purpose, **options))
    assert [part for part in parts if part not in found] == [], found
    assert "hidden-" not in found


@pytest.mark.parametrize("name", RUNS)
def test_plan_holds_no_secret(planned, name):
    assert "hidden-" not in json.dumps(planned[name])


def test_release_keeps_only_the_kinds_that_the_inventory_gives_the_host():
    cluster = Cluster({"dask_scheduler": ["s1"], "dask_workers": ["w1"]}, ["s1", "w1"], {}, {}, {})
    both = {"id": "r", "services": {"scheduler": {SCHEDULER: "a.1"}, "worker": {"dask-worker@1.service": "b.1"}}}
    found = of_groups(cluster, {"s1": both, "w1": both})
    assert {host: list(release["services"]) for host, release in found.items()} == {
        "s1": ["scheduler"],
        "w1": ["worker"],
    }


def with_path(path="/nfs/env", **changes):
    """Return hosts that run an environment outside of dask_home, in which packages have changed since."""
    infos = copy.deepcopy(SETTLED)
    before = {**UNKNOWN, "python": "3.12.4", "implementation": "cpython", "packages": {"dask": "1"}}
    description = {"path": path, "fingerprint": fingerprint(before), "python": "3.12.4", "packages": {"dask": "1"}}
    for info in infos.values():
        info["environments"][ENVIRONMENT.id] = {"id": ENVIRONMENT.id, **description}
        info["environment_paths"] = {path: {**before, **changes}}
    return infos


@pytest.mark.parametrize("purpose", ["inspect", "start", "restart", "stop"])
def test_changed_packages_are_reported(purpose):
    assert plan(with_path(), purpose)["drift"] == []
    (sentence,) = plan(with_path(packages={"dask": "2"}), purpose)["drift"]
    assert says(sentence, "The environment /nfs/env has other packages", "dask 2 (was 1), on s1, w1, w2")


def test_rollback_to_changed_packages_is_rejected():
    infos = with_path(packages={"dask": "2"})
    for info in infos.values():
        info["previous"] = {**info["current"], "id": "0", "staged": 5}
    assert says(only(problems(infos, "rollback")), "s1, w1, w2: the packages of the previous release were changed")


# The task

#: Runs of the task by name: the purpose, what `host_info` returned, and more: ``hosts`` of the run, ``vars`` of the play.
TASKS = {
    "unchanged": ("change", SETTLED, {}),
    "environment missing": ("change", without("w2", "environments"), {}),
    "unreachable": ("inspect", LOST, {}),
    "limited": ("change", SETTLED, {"hosts": "w1"}),
    "maintenance": ("change", SETTLED, {"vars": {"dask_maintenance": "{{ inventory_hostname == 'w1' }}"}}),
    "variables of the play": (
        "change",
        SETTLED,
        {"vars": {"dask_scheduler_host": "10.9.9.9", "dask_tls_directory": "/ca", "dask_serial": 3}},
    ),
    "connect": ("connect", SETTLED, {"vars": {"dask_tls_directory": "CA"}}),
    "show": ("show", NEW, {}),
    "managed": ("change", with_managed_python(), {"vars": {"dask_python": "3.11", **MIRROR}}),
    "managed for auto": ("change", with_managed_python(w1={"version": "3.12.1"}), {"vars": MIRROR}),
}
#: The same for tasks that fail, with parts of the message.
FAILED_TASKS = {
    "failed with values": (
        "change",
        {**SETTLED, "w2": {**SETTLED["w2"], "failed": True}},
        {},
        ["w2: not inspected in this run", "--limit"],
    ),
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
    "stopped scheduler outside the run": ("change", STOPPED, {"hosts": "w1"}, ["The scheduler on s1 is stopped"]),
    "firewall network": (
        "change",
        SETTLED,
        {"vars": {"dask_firewall": "nftables", "dask_firewall_clients": ["everybody"]}},
        ["dask_firewall_clients: 'everybody' is not an address"],
    ),
    "no lock": ("change", SETTLED, {"vars": {"dask_environment_lock": "/nowhere.txt"}}, ["/nowhere.txt"]),
    "cache of all accounts": ("change", SETTLED, {"vars": {"dask_cache": "/tmp"}}, ["dask_cache (/tmp) is not safe"]),
    "cache of all accounts for clients": (
        "connect",
        SETTLED,
        {"vars": {"dask_cache": "/tmp", "dask_tls_directory": "CA"}},
        ["dask_cache (/tmp) is not safe"],
    ),
    "no managed python for auto": (
        "change",
        changed("w1", python={"version": "3.12.1"}),
        {"vars": {"dask_python_mirror": "/dev/null/pythons", "dask_python_sha256": {"x86_64": "0" * 64}}},
        [
            "dask_python (3.11): /dev/null/pythons is not a directory on the controller. Correct dask_python_mirror",
            "A managed Python is needed because dask_python is auto, and hosts do not all have the same Python",
            "s1 (3.11), w1 (3.12), w2 (3.11)",
        ],
    ),
    "no managed python for a platform": (
        "change",
        changed("w2", architecture="ppc64le"),
        {"vars": {"dask_python": "3.11"}},
        ["w2: dask_python needs a managed Python", "the host has ppc64le with glibc 2.36"],
    ),
    "unknown purpose": ("dance", SETTLED, {}, ["purpose must be one of"]),
}


def archive(cache, environment=ENVIRONMENT):
    """Return the path under which the packages of an environment are kept on the controller."""
    parts = [packages_module.ARCHIVE, packages_module.hash_of(packages_module.TREE), environment.id, "controller"]
    name = packages_module.digest([*parts, PYTHON["libc"], None, environment._compiles_here()])
    return cache / "daskops" / f"environment-{name}.tar"


CA = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Return the result of each task by name, and the directory of the playbook and its inventory."""
    work = tmp_path_factory.mktemp("plan")
    (work / "CA").mkdir()
    (work / "CA/ca.pem").write_text(CA)
    (work / "MIRROR").mkdir()
    (work / "MIRROR" / file_name("3.11.2")).write_bytes(PYTHON_ARCHIVE)
    (work / "cache/daskops").mkdir(parents=True)
    for environment in (ENVIRONMENT, MANAGED_ENVIRONMENT):
        archive(work / "cache", environment).touch()
    plays, kept = [], []
    for number, (purpose, infos, options, *dummy) in enumerate([*TASKS.values(), *FAILED_TASKS.values()]):
        variables = {
            name: str(work / value) if value in ("CA", "MIRROR") else value
            for name, value in options.get("vars", {}).items()
        }
        limit = options.get("hosts", "dask_scheduler:dask_workers")
        arguments = {"purpose": purpose, "scheduler_info": infos["s1"] if limit == "w1" else {}}
        # Each result has a variable of its own, because one task that writes all of them is faster than many.
        steps = [
            {"ansible.builtin.set_fact": {"__dask_host": "{{ infos[inventory_hostname] }}"}, "vars": {"infos": infos}},
            {"daskops.cluster.plan": arguments, "run_once": True, "register": f"found_{number}", "ignore_errors": True},
        ]
        kept.append(f"hostvars['{'w1' if limit == 'w1' else 's1'}'].found_{number}")
        plays.append({"hosts": limit, "gather_facts": False, "vars": variables, "tasks": steps})
    content = "{{ [" + ", ".join(kept) + "] | to_json }}"
    write = {"ansible.builtin.copy": {"content": content, "dest": f"{work}/results.json", "mode": "0600"}}
    plays.append({"hosts": "localhost", "gather_facts": False, "tasks": [write]})
    (work / "play.json").write_text(json.dumps(plays))
    done = play(work / "play.json", work, write_inventory(work), XDG_CACHE_HOME=str(work / "cache"))
    assert done.returncode == 0, done.stdout + done.stderr
    results = dict(zip([*TASKS, *FAILED_TASKS], json.loads((work / "results.json").read_text())))
    assert {name: results[name]["msg"] for name in TASKS if results[name]["failed"]} == {}
    return results, work


def test_task_returns_the_plan(tasks):
    results, work = tasks
    found = results["unchanged"]
    assert plays(found) == {} and set(found["hosts"]) == set(HOSTS)
    assert found["addresses"]["scheduler"] == "tls://10.0.0.1:8786"
    assert found["certificates"]["directory"] == str(work / "dask-tls")
    assert found["certificates"]["scheduler_hosts"] == ["10.0.0.1", "10.0.0.1"]


def test_only_the_host_without_the_environment_gets_an_archive(tasks):
    results, work = tasks
    found = {host: about["environment"]["archive"] for host, about in results["environment missing"]["hosts"].items()}
    assert found == {"s1": "", "w1": "", "w2": str(archive(work / "cache"))}


@pytest.mark.parametrize("name", ["managed", "managed for auto"])
def test_hosts_get_the_managed_python_that_they_lack(tasks, name):
    results, work = tasks
    archive_of_python = work / "cache/daskops" / f"python-{MANAGED['managed']}-{SHA256}.tar.gz"
    found = {host: about["environment"] for host, about in results[name]["hosts"].items()}
    about = {"name": MANAGED["managed"], "version": "3.11.2", "machine": "x86_64"}
    releases = {about["release"]["environment"] for about in results[name]["hosts"].values()}
    assert releases == {MANAGED_ENVIRONMENT.id} != {ENVIRONMENT.id}
    for host, environment in found.items():
        lacks = host == "w2"
        assert environment["python"] == MANAGED["executable"]
        assert environment["managed_python"] == {**about, "sha256": SHA256 if lacks else ""}
        assert environment["python_archive"] == (str(archive_of_python) if lacks else "")
        assert environment["archive"] == (str(archive(work / "cache", MANAGED_ENVIRONMENT)) if lacks else "")
    assert {host: "build" in names for host, names in plays(results[name]).items()} == {
        "s1": False,
        "w1": False,
        "w2": True,
    }
    assert all("stage" in names for names in plays(results[name]).values())
    assert results[name]["hosts"]["s1"]["interrupts"]


def test_own_interpreters_need_no_managed_python(tasks):
    about = tasks[0]["unchanged"]["hosts"]["w1"]["environment"]
    assert (about["managed_python"], about["python_archive"]) == ({}, "")


def test_hosts_outside_the_run_and_unreachable_ones_have_no_plan(tasks):
    assert {name: set(tasks[0][name]["hosts"]) for name in ("limited", "unreachable")} == {
        "limited": {"w1"},
        "unreachable": {"s1", "w1"},
    }


def test_variables_of_the_play_win(tasks):
    found = tasks[0]["variables of the play"]
    assert found["addresses"]["scheduler"] == "tls://10.9.9.9:8786" and found["plays"]["serial"] == 3
    assert found["certificates"]["directory"] == "/ca"
    # The scheduler does not need its own address. One host tries what both have in common.
    assert plays(found) == {"w1": ["rolling", "stage", "trial"], "w2": ["rolling", "stage"]}


def test_variables_are_evaluated_for_each_host(tasks):
    found = tasks[0]["maintenance"]
    assert found["maintenance"] == ["w1"] and plays(found) == {"w1": ["maintenance"]}


def test_connection_has_the_certificates_of_the_ca(tasks):
    connection = tasks[0]["connect"]["connection"]
    assert connection["address"] == "tls://10.0.0.1:8786" and connection["authorities"] == [CA]
    assert connection["python"] == "3.11" and connection["dashboard"] == "https://10.0.0.1:8787/status"
    plain = plan(SETTLED, "connect", dask_tls=False)["connection"]
    assert plain["authorities"] == [] and plain["address"] == "tcp://10.0.0.1:8786"


def test_plan_for_display_has_the_port_of_ansible(tasks):
    assert tasks[0]["show"]["hosts"]["w1"]["ssh_port"] == 1


@pytest.mark.parametrize("name", FAILED_TASKS)
def test_task_fails_with_all_problems(tasks, name):
    result = tasks[0][name]
    assert result["failed"] and "hosts" not in result
    assert [part for part in FAILED_TASKS[name][-1] if part not in result["msg"]] == [], result["msg"]


@pytest.mark.parametrize("name", [*TASKS, *FAILED_TASKS])
def test_result_holds_no_secret(tasks, name):
    assert "hidden-" not in json.dumps(tasks[0][name])
