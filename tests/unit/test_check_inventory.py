# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the inventory as a whole."""

import pytest
from playbook_runs import HOSTS, failure, inventory, play


def test_hosts_at_one_address_are_rejected(tmp_path):
    text = HOSTS.replace("127.0.0.3", "127.0.0.2")
    assert text != HOSTS
    message = failure(play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path, text)))
    assert message.startswith(
        "w1 and w2 are one machine, and would fight over the same services. Keep one of the names;"
    )


def test_several_hosts_at_one_address_with_other_ports_are_accepted(tmp_path):
    text = HOSTS.replace("127.0.0.3, ansible_port: 1", "127.0.0.2, ansible_port: 2")
    assert text != HOSTS
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path, text))
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("hosts", ["{s1: {ansible_port: 1}, s2: {ansible_port: 2}}"])
def test_second_scheduler_host_is_rejected(hosts, tmp_path):
    text = HOSTS.replace("{s1: {ansible_host: 127.0.0.1, ansible_port: 1}}", hosts)
    assert text != HOSTS
    message = failure(play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path, text)))
    assert "dask_scheduler" in message and "s1" in message and "s2" in message
