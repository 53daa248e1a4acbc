# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of playbooks, and tags that no playbook has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.tags import unknown_tags

COLLECTIONS = Path(__file__).parents[2] / ".collections"

# Ansible's loader of plugins changes how Python imports collections, so a process of its own reads the playbook.
READ = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.daskops.cluster.plugins.plugin_utils.tags import tags_of
loader = DataLoader()
inventory = InventoryManager(loader=loader, sources=["localhost,"])
tags, complete = tags_of(sys.argv[1:], loader, VariableManager(loader=loader, inventory=inventory))
print(json.dumps([sorted(tags), complete]))
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tags: play
  tasks:
    - block:
        - ansible.builtin.debug: {msg: one}
          tags: [inner, always]
      rescue:
        - ansible.builtin.debug: {msg: two}
          tags: rescued
"""


@pytest.fixture
def read(tmp_path):
    """Return a function that returns the tags of a playbook with this text."""

    def run(text):
        path = tmp_path / "play.yml"
        path.write_text(text)
        env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
        done = subprocess.run(
            [sys.executable, "-c", READ, str(path)], env=env, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return run


def test_tags_of_plays_and_nested_tasks_are_found(read):
    assert read(PLAYBOOK) == [["inner", "play", "rescued", "tagged"], True]


def test_special_tags_that_select_tasks_are_found(read):
    tasks = "    - ansible.builtin.debug: {msg: three}\n      tags: never\n    - ansible.builtin.debug: {msg: four}\n"
    assert read(PLAYBOOK.replace("  tags: play\n", "") + tasks)[0] == [
        "inner",
        "never",
        "rescued",
        "tagged",
        "untagged",
    ]


def test_tags_are_incomplete_if_a_task_includes_others(read):
    included = "    - ansible.builtin.include_tasks: more.yml\n"
    assert read(PLAYBOOK + included) == [["inner", "play", "rescued", "tagged"], False]


@pytest.mark.parametrize(
    ("known", "tag", "said"),
    [
        ({"config", "tls"}, "confg", "this playbook has no tag 'confg'. Did you mean config? There are config, tls."),
        ({"config"}, "xyzzy", "this playbook has no tag 'xyzzy'. There are config."),
        (set(), "config", "this playbook has no tag 'config'. It has no tags. Omit --tags."),
        ({"config"}, "notest", "this playbook has no tag 'notest'. There are config."),
    ],
)
def test_unknown_tag_is_one_problem(known, tag, said):
    assert list(unknown_tags(known, {"--tags": ["all", tag], "--skip-tags": []})) == [f"--tags: {said}"]


@pytest.mark.parametrize(
    ("known", "tags", "said"),
    [
        ({"config", "tls", "tagged"}, ["untagged"], ["selects no task of this playbook. There are config, tls."]),
        ({"untagged"}, ["tagged"], ["selects no task of this playbook. It has no tags. Omit --tags."]),
        ({"config", "tagged"}, ["never", "untagged"], ["selects no task of this playbook. There are config."] * 2),
        ({"config", "tagged"}, ["tagged", "never"], []),
        ({"config", "tagged"}, ["all", "never"], []),
        ({"config", "tagged"}, ["config", "untagged"], []),
        ({"config", "tagged"}, ["always"], []),
    ],
)
def test_special_tags_without_a_task_are_a_problem_if_nothing_else_is_selected(known, tags, said):
    found = unknown_tags(known, {"--tags": tags, "--skip-tags": ["never", "untagged"]})
    assert list(found) == [f"--tags: '{tag}' {sentence}" for tag, sentence in zip(tags, said)]


def test_known_and_special_tags_are_no_problem():
    options = {"--tags": ["config", "tagged", "always"], "--skip-tags": ["never", "notest", "molecule-notest"]}
    assert list(unknown_tags({"config"}, options)) == []
