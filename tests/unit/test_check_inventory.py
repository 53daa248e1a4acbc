# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the inventory as a whole."""

import pytest
from playbook_runs import HOSTS, failure, inventory, play

PLAYBOOK = "[{hosts: s1, gather_facts: false, tasks: [{daskops.cluster.check_inventory: {}}]}]"
S1 = "{s1: {ansible_host: 127.0.0.1, ansible_port: 1}}"
W2 = "127.0.0.3, ansible_port: 1"


@pytest.fixture
def check(tmp_path):
    """Return a function that checks the inventory `HOSTS` with one text replaced."""

    def run(old="", new=""):
        assert old in HOSTS
        (tmp_path / "play.yml").write_text(PLAYBOOK)
        return play(tmp_path / "play.yml", tmp_path, inventory(tmp_path, HOSTS.replace(old, new) if old else HOSTS))

    return run


@pytest.mark.parametrize("address", ["", "127.0.0.2, ansible_port: 2"])
def test_hosts_with_other_addresses_or_ports_are_accepted(address, check):
    run = check(W2, address) if address else check()
    assert run.returncode == 0, run.stdout + run.stderr


def test_hosts_with_one_address_are_rejected(check):
    message = failure(check(W2, "127.0.0.2, ansible_port: 1"))
    assert message.startswith(
        "w1 and w2 are the same machine, and would both change the same services. Keep one of the names."
    )


def test_second_scheduler_host_is_rejected(check):
    message = failure(check(S1, "{s1: {ansible_host: 127.0.0.1}, s2: {ansible_host: 127.0.0.9}}"))
    assert message.startswith("The group dask_scheduler has 2 hosts (s1, s2).")


def test_windows_host_is_rejected(check):
    message = failure(check(W2, "127.0.0.3, ansible_connection: winrm"))
    assert message.startswith("w2: workers on Windows cannot be managed")
