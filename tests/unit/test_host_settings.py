# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a host with their types, and settings derived from them."""

import json

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import (
    complete,
    kinds_of,
    planning_settings,
    pools_of,
    questions,
    release_settings,
    user_home,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS

GROUPS = {"dask_scheduler": ["s1", "both"], "dask_workers": ["both", "w1"]}


def test_variables_that_are_not_set_have_their_defaults():
    values = complete({})
    assert values == {name: setting.default for name, setting in SETTINGS.items()}


def test_texts_of_an_ini_inventory_get_types():
    values = complete({"dask_tls": "no", "dask_keep_releases": "5", "dask_home": "/srv/dask"})
    assert values["dask_tls"] is False and values["dask_keep_releases"] == 5 and values["dask_home"] == "/srv/dask"


TEXTS = [name for name, about in SETTINGS.items() if about.type in ("str", "path") and about.scope != "pool"]


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("dask_python", "dask_umask")])
def test_number_in_the_place_of_a_text_is_its_digits(name):
    assert complete({name: 8080})[name] == "8080"


def test_all_wrong_values_are_reported():
    with pytest.raises(ValueError) as error:
        complete({"dask_tls": "perhaps", "dask_keep_releases": "few", "dask_home": "/srv/dask"})
    lines = str(error.value).splitlines()
    assert sorted(line.split(" is ")[0] for line in lines) == ["dask_keep_releases", "dask_tls"]


def test_pool_has_the_settings_of_the_host_it_does_not_set():
    pools = {"a": {"threads": 2}, "b": {}}
    values = complete(
        {"dask_worker_threads": 1, "dask_worker_pools": pools, "dask_worker_pool_overrides": {"b": {"threads": 3}}}
    )
    assert {name: pool["threads"] for name, pool in pools_of(values).items()} == {"a": 2, "b": 3}
    assert set(pools_of(complete({}))) == {""}


def test_wrong_setting_of_a_pool_is_rejected():
    with pytest.raises(ValueError, match="dask_worker_pools.a.nanny is 'perhaps'"):
        pools_of(complete({"dask_worker_pools": {"a": {"nanny": "perhaps"}}}))


@pytest.mark.parametrize(
    ("host", "kinds"), [("s1", ["scheduler"]), ("w1", ["worker"]), ("both", ["scheduler", "worker"]), ("other", [])]
)
def test_kinds_of_a_host_follow_from_its_groups(host, kinds):
    assert kinds_of(host, GROUPS) == kinds
    assert kinds_of(host, {}) == []


def test_existing_account_keeps_its_home():
    values = complete({"dask_user_home": "/var/lib/dask"})
    assert user_home(values, {"account": {"home": "/home/dask"}}) == "/home/dask"
    assert user_home(values, {"account": {}}) == user_home(values, {}) == "/var/lib/dask"


def asked(**variables):
    values = complete(variables)
    return questions(values, pools_of(values), "10.0.0.1", "dask.example.org", "/etc/nginx/site")


def test_every_directory_of_a_host_is_inspected_once():
    found = asked(
        dask_worker_pools={
            "a": {"scratch_directory": "/a"},
            "b": {"scratch_directory": "/a", "hours": "Sat Asia/Tokyo"},
        },
        dask_worker_paths=["/data"],
        dask_worker_devices=["/dev/nvidia0"],
        dask_scheduler_file="/shared/dask/scheduler.json",
    )
    assert found["paths"] == [
        "/opt/dask",
        "/a",
        "/data",
        "/dev/nvidia0",
        "/shared/dask",
    ]
    assert found["time_zones"] == ["Asia/Tokyo"]


def test_interpreter_is_inspected_unless_a_version_is_wanted():
    assert asked()["python"] == "python3"
    assert asked(dask_python="/usr/bin/python3.12")["python"] == "/usr/bin/python3.12"
    assert asked(dask_python="3.12")["python"] == ""


def test_groups_and_import_paths_are_inspected_once():
    found = asked(
        dask_user_groups=["data", 1006],
        dask_worker_import_paths=["/shared", "/more"],
        dask_scheduler_import_paths=["/shared"],
    )
    assert (found["groups"], found["import_paths"]) == (["data", "1006"], ["/shared", "/more"])


def test_every_interface_of_workers_is_inspected_once():
    pools = {"a": {"interface": ["eth1", "eth2"]}, "b": {"interface": "eth2"}, "c": {"interface": ""}}
    assert asked(dask_worker_pools=pools)["worker_interfaces"] == ["eth1", "eth2"]
    assert asked()["worker_interfaces"] == []


def test_connection_to_an_external_scheduler_is_tried():
    assert asked(dask_scheduler_address="tls://10.0.0.9:8786")["scheduler_port"] == 8786
    assert asked()["scheduler_port"] == 0


def test_hosts_to_resolve_are_those_for_workers_and_for_clients():
    found = asked()
    assert (found["scheduler_host"], found["client_scheduler_host"]) == ("10.0.0.1", "dask.example.org")


def test_files_of_the_proxy_are_inspected():
    files = {"dask_dashboard_proxy_certificate": "/a.pem", "dask_dashboard_proxy_key": "/a.key"}
    assert asked(**files)["files"] == ["/a.pem", "/a.key"]
    assert asked()["files"] == []


def planning(kinds=("scheduler",), **variables):
    values = complete(variables)
    return planning_settings(values, pools_of(values), list(kinds), False, "10.0.0.1", "/var/lib/dask")


@pytest.mark.parametrize(
    ("token", "known"),
    [("", "none"), ("short", "bad"), ("a-token-with-a b-space", "bad"), ("a-token-of-the-tests", "good")],
)
def test_only_the_quality_of_the_token_is_known(token, known):
    found = planning(dask_shutdown_token=token)
    assert found["shutdown_token"] == known and not (token and token in json.dumps(found))


def test_passwords_of_the_proxy_are_left_out():
    users = {"ada": "hidden-password", "bob": ""}
    found = planning(dask_dashboard_proxy=True, dask_dashboard_proxy_users=users)
    assert found["proxy"]["users"] == ["ada", "bob"] and found["proxy"]["without_password"] == ["bob"]
    assert "hidden-password" not in json.dumps(found)


def test_each_kind_of_host_has_its_own_settings():
    given = {"dask_client_scheduler_host": "out", "dask_scheduler_memory": "8GiB", "dask_worker_contact_host": "gate"}
    names = ("client_scheduler_host", "scheduler_memory", "contact_host")
    assert [planning(["scheduler"], **given)[name] for name in names] == ["out", "8GiB", ""]
    assert [planning(["worker"], **given)[name] for name in names] == ["", "", "gate"]


def test_only_the_schedulers_host_has_a_proxy():
    assert planning(["worker"], dask_dashboard_proxy=True)["proxy"] == {}
    assert planning(["scheduler"])["proxy"] == {}


def test_release_has_the_settings_of_the_host():
    values = complete({"dask_shutdown_token": 1234, "dask_home": "/srv/dask"})
    found = release_settings(values, pools_of(values), "tls://10.0.0.1:8786", "/home/dask")
    # YAML reads a token of digits as a number.
    assert found.shutdown_token == "1234" and found.home == "/srv/dask" and found.user_home == "/home/dask"
    assert found.scheduler_address == "tls://10.0.0.1:8786" and set(found.pools) == {""}
