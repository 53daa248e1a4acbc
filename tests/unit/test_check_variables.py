# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of the inventory."""

import json

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from playbook_runs import HOSTS, OTHER_PEOPLES, failure, inventory, play


def test_variables_of_other_projects_are_not_evaluated(tmp_path):
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path, HOSTS + OTHER_PEOPLES), timeout=30)
    assert run.returncode == 0, run.stdout + run.stderr


def test_failing_templates_in_our_variables_are_reported(tmp_path):
    ours = """
  vars:
    dask_worker_memory: "{{ (ansible_memtotal_mb * 0.8) | int }}MiB"
    dask_worker_threads: "{{ nobody | knows_this_filter }}"
    dask_shutdown_token: "{{ hunter2 }}"
"""
    lines = failure(play("playbooks/site.yml", tmp_path, inventory(tmp_path, HOSTS + ours))).splitlines()
    assert lines[0].startswith("dask_shutdown_token, set for all hosts, cannot be evaluated. Correct the template")
    assert lines[1].startswith("dask_worker_memory, set for all hosts, cannot be evaluated: ")
    assert "'ansible_memtotal_mb' is undefined. Facts (ansible_...) are not gathered by these playbooks." in lines[1]
    assert lines[2].startswith("dask_worker_threads, set for all hosts, cannot be evaluated: ")
    assert len(lines) == 3


VAULTED = """
  vars:
    dask_user: !unsafe dask
    dask_worker_memory: !vault |
{memory}
    dask_shutdown_token: !vault |
{token}
    dask_worker_pools: {{a: {{profile: !unsafe python, environment_variables: {{TOKEN: !vault "{one_line}"}}}}}}
    dask_dashboard_proxy_users: {{ada: !vault "{one_line}"}}
"""


@pytest.fixture
def vaulted(tmp_path):
    """Return the options for an inventory with vaulted values."""
    password = tmp_path / "password"
    password.write_text("hunter2")
    vault = VaultLib([("default", VaultSecret(b"hunter2"))])

    def encrypted(text):
        return vault.encrypt(text).decode().strip()

    def block(text):
        return "\n".join(f"      {line}" for line in encrypted(text).splitlines())

    one_line = encrypted("a secret of nobody").replace("\n", "\\n")
    text = VAULTED.format(memory=block("4GiB"), token=block("0123456789abcdef"), one_line=one_line)
    return [inventory(tmp_path, HOSTS + text), f"--vault-password-file={password}"]


def test_values_may_be_vaulted(vaulted, tmp_path):
    run = play("playbooks/_check_inventory.yml", tmp_path, *vaulted)
    assert run.returncode == 0, run.stdout + run.stderr


def test_missing_vault_password_is_reported(vaulted, tmp_path):
    lines = failure(play("playbooks/_check_inventory.yml", tmp_path, vaulted[0])).splitlines()
    assert {line.split(",")[0] for line in lines} > {"dask_worker_memory", "dask_shutdown_token"}
    assert all("cannot be evaluated" in line and "give the password of its vault" in line for line in lines)


def test_variables_on_the_command_line_are_checked(tmp_path):
    wrong = {
        "dask_enviroment_lock": "new.txt",
        "dask_scheduler_restart": "later",
        "dask_tls_certificates": "theirs",
        "dask_tls_rotation": "al",
    }
    run = play("playbooks/rotate_certificates.yml", tmp_path, inventory(tmp_path), "--extra-vars", json.dumps(wrong))
    assert failure(run).splitlines() == [
        "dask_enviroment_lock, set for all hosts, is not a variable of daskops.cluster. Did you mean dask_environment_lock?",
        "dask_scheduler_restart, set for all hosts, is 'later'. Give one of idle, now.",
        "dask_tls_certificates, set for all hosts, is 'theirs'. Give one of made, own.",
        "dask_tls_rotation, set for all hosts, is 'al'. Give one of certificates, authority, finish, reissue.",
    ]
