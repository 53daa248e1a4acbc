# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of `host_info` for a host, and the checks of its result."""

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.daskops.cluster.plugins.plugin_utils._inspection import arguments_for, checked
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import values_of
from settled_hosts import GROUPS, HOSTS
from test_host_answers import ANSWER

#: The hosts of the run, which `--limit` has left.
PLAYING = ["s1", "w1"]


class HostVars(dict):
    """Variables by host, as action plugins get them."""

    raw_get = dict.__getitem__


def arguments(host="w1", **variables):
    """Return the arguments for a host of an inventory whose hosts have these variables."""
    hostvars = HostVars({name: {"inventory_hostname": name, **variables} for name in HOSTS})
    task_vars = {"groups": GROUPS, "hostvars": hostvars, "ansible_play_hosts_all": PLAYING, **hostvars["s1"]}
    values = values_of(Templar(loader=DataLoader()), None, task_vars, [host])[host]
    return arguments_for(host, values, task_vars)


def test_arguments_follow_from_variables_and_the_inventory():
    found = arguments(dask_home="/srv/dask", dask_python="python3.11")
    assert found["home"] == "/srv/dask" and found["python"] == "python3.11" and found["scheduler_host"] == "s1"
    assert arguments(dask_scheduler_host="10.0.0.1")["scheduler_host"] == "10.0.0.1"


def test_only_the_schedulers_host_resolves_the_name_for_clients():
    given = {"dask_client_scheduler_host": "dask.example.org"}
    assert arguments("s1", **given)["client_scheduler_host"] == "dask.example.org"
    assert arguments("w1", **given)["client_scheduler_host"] == ""


def test_pools_matter_only_for_worker_hosts_of_the_run():
    overrides = {"dask_worker_pool_overrides": {"waiting": {"threads": 1}}}
    with pytest.raises(ValueError, match="has waiting, which is not a pool"):
        arguments("w1", **overrides)
    for host in ("s1", "w2"):
        assert arguments(host, **overrides)["worker_interfaces"] == []


def test_external_scheduler_is_the_one_to_reach():
    found = arguments(dask_scheduler_address="tls://[fd00::1]:8786")
    assert found["scheduler_host"] == "fd00::1" and found["scheduler_port"] == 8786


def test_all_wrong_values_of_the_host_are_reported():
    with pytest.raises(ValueError) as error:
        arguments(dask_tls="perhaps", dask_keep_releases="few")
    lines = str(error.value).splitlines()
    assert len(lines) == 2 and all(line.startswith("w1: dask_") for line in lines)


#: The interfaces of `ANSWER`.
INTERFACES = list(ANSWER["worker_addresses"])


@pytest.mark.parametrize("interfaces", [[], INTERFACES[:1], [*INTERFACES, "eth3"]])
def test_host_reports_only_addresses_of_the_interfaces_that_it_was_asked_for(interfaces):
    # The firewalls of all hosts accept these addresses.
    assert "invalid values: worker_addresses." in checked(ANSWER, interfaces, 0.0, 1.0)["msg"]
    assert "clock" in checked(ANSWER, INTERFACES, 0.0, 2e9)


def test_clock_of_a_valid_result_has_bounds():
    answer = {**ANSWER, "clock": [100.0, 100.5]}
    found = checked(answer, INTERFACES, 98.0, 102.0)
    lower, upper = found.pop("clock")
    assert lower <= upper and found == {name: value for name, value in answer.items() if name != "clock"}


def test_invalid_result_is_a_failure_without_its_values():
    found = checked({**ANSWER, "address": "everywhere", "cpus": "all"}, INTERFACES, 0.0, 1.0)
    assert found["failed"] and set(found) == {"failed", "msg"}
    assert "invalid values: " in found["msg"] and "address" in found["msg"] and "cpus" in found["msg"]
    assert "everywhere" not in found["msg"]
