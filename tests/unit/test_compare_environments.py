# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of the environments of hosts, as a task of a playbook."""

import pytest
from ansible_collections.daskops.cluster.plugins.action.compare_environments import ActionModule


class HostVars(dict):
    """Stands for Ansible's `HostVars`, whose `raw_get` returns the variables of a host without templating."""

    def raw_get(self, host):
        return self[host]


def environment(**packages):
    return {"packages": packages}


def compare(built, **present):
    """Return the result of the action for three hosts: what this run built, and what they had before, by host."""
    hosts = {host: {"release": {"environment": "e"}} for host in "abc"}
    hostvars = HostVars()
    for host in hosts:
        environments = {"e": present[host]} if host in present else {}
        hostvars[host] = {"__dask_host": {"environments": environments}}
    return ActionModule.act(None, {"plan": {"hosts": hosts}, "built": built}, {"hostvars": hostvars})


@pytest.mark.parametrize("built", [{"c": environment(dask="1")}, {}], ids=["built", "not built in check mode"])
def test_equal_environments_are_accepted(built):
    assert not compare(built, a=environment(dask="1"), b=environment(dask="1")).get("failed")


@pytest.mark.parametrize("known", ["built", "present"])
def test_different_environment_fails_the_task(known):
    same = {"a": environment(dask="1"), "b": environment(dask="1")}
    other = {"c": environment(dask="2")}
    result = compare(other, **same) if known == "built" else compare({}, **same, **other)
    assert result["failed"]
    assert result["msg"].startswith("c has other packages than the other hosts: dask 2 (others: 1).")
