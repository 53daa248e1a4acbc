# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the groups, the limit and the tags of a run."""

import pytest
from playbook_runs import HOSTS, failure, inventory, play


@pytest.mark.parametrize(
    ("playbook", "option", "tag", "says"),
    [
        (
            "site",
            "--tags",
            "enviroment",
            "--tags: this playbook has no tag 'enviroment'. Did you mean environment? There are config, environment, "
            "firewall, health, proxy, scheduler, tls, worker.",
        ),
        (
            "upgrade",
            "--skip-tags",
            "health,heath,notest,molecule-notest",
            "--skip-tags: this playbook has no tag 'heath'. Did you mean health? There are config, environment, firewall, "
            "health, proxy, scheduler, tls, worker.",
        ),
        (
            "status",
            "--tags",
            "heath",
            "--tags: this playbook has no tag 'heath'. Did you mean health? There are health, versions.",
        ),
        (
            "status",
            "--tags",
            "untagged",
            "--tags: 'untagged' selects no task of this playbook. There are health, versions.",
        ),
        (
            "stop",
            "--tags",
            "tagged",
            "--tags: 'tagged' selects no task of this playbook. It has no tags. Omit --tags.",
        ),
        (
            "stop",
            "--skip-tags",
            "all,worker",
            "--skip-tags: this playbook has no tag 'worker'. It has no tags. Omit --skip-tags.",
        ),
    ],
)
def test_unknown_tag_is_rejected(playbook, option, tag, says, tmp_path):
    run = play(f"playbooks/{playbook}.yml", tmp_path, inventory(tmp_path), option, tag)
    assert failure(run) == says


def test_special_tags_of_ansible_are_accepted(tmp_path):
    tags = "all,tagged,never,untagged,always"
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path), "--tags", tags)
    assert run.returncode == 0, run.stdout


def test_tags_skipped_by_molecule_are_accepted(tmp_path):
    tags = "molecule-notest,notest,molecule-idempotence-notest"
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path), "--skip-tags", tags)
    assert run.returncode == 0, run.stdout


def test_tags_skipped_by_the_users_configuration_are_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSIBLE_SKIP_TAGS", "slow,debug")
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path))
    assert run.returncode == 0, run.stdout
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path), "--skip-tags", "heath")
    assert "--skip-tags: this playbook has no tag 'heath'." in failure(run)


OWN_PLAYBOOK = """
- ansible.builtin.import_playbook: daskops.cluster._check_inventory
- hosts: s1
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: our own}
      tags: web
"""


OWN_INCLUDE = """
    - ansible.builtin.include_tasks: more.yml
      tags: always
"""


def test_tags_of_an_importing_playbook_are_accepted(tmp_path):
    playbook = tmp_path / "own.yml"
    playbook.write_text(OWN_PLAYBOOK)
    run = play(playbook, tmp_path, inventory(tmp_path), "--tags", "web")
    assert run.returncode == 0, run.stdout
    run = play(playbook, tmp_path, inventory(tmp_path), "--tags", "wbe")
    assert failure(run) == "--tags: this playbook has no tag 'wbe'. Did you mean web? There are web."
    # An included task file may contain the tag, so an unknown one causes only a warning.
    playbook.write_text(OWN_PLAYBOOK + OWN_INCLUDE)
    (tmp_path / "more.yml").write_text("- ansible.builtin.debug: {msg: found}\n  tags: inner\n")
    run = play(playbook, tmp_path, inventory(tmp_path), "--tags", "inner")
    assert run.returncode == 0, run.stdout
    assert "found" in run.stdout
    assert "this playbook has no tag 'inner'" in run.stdout + run.stderr


def test_limit_without_hosts_of_the_cluster_is_rejected(tmp_path):
    others = "    web:\n      hosts: {web1: {}}\n    dask_clients:\n      hosts: {laptop: {}}\n"
    run = play("playbooks/site.yml", tmp_path, inventory(tmp_path, HOSTS + others), "--limit", "web1,laptop")
    says = (
        "--limit leaves no host of the groups dask_scheduler and dask_workers, so there is nothing to do. Correct it."
    )
    assert failure(run) == says


def test_limit_without_client_hosts_is_rejected(tmp_path):
    """Or a run that must remove a key would succeed without removing it."""
    arguments = ["-e", "dask_client_state=absent", "--limit", "s1"]
    run = play("playbooks/client.yml", tmp_path, inventory(tmp_path), *arguments)
    assert failure(run).startswith(
        "--limit excludes localhost. While the group dask_clients is empty, client.yml works only on localhost"
    )
    run = play(
        "playbooks/client.yml", tmp_path, inventory(tmp_path), *arguments[:-1], "s1,localhost", HOME=str(tmp_path)
    )
    assert run.returncode == 0, run.stdout + run.stderr
    clients = "    dask_clients:\n      hosts: {laptop: {}}\n"
    run = play("playbooks/client.yml", tmp_path, inventory(tmp_path, HOSTS + clients), *arguments)
    assert failure(run) == "--limit leaves no host of the group dask_clients, so there is nothing to do. Correct it."
