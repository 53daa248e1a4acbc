# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of the arguments of action plugins against the documentation of their modules."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action, argument_spec, spec_of, validate
from playbook_runs import inventory, play

ROOT = Path(__file__).parents[2]
ACTIONS = sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py"))

SPEC = spec_of(
    {
        "days": {"type": "int", "default": 365},
        "made": {"type": "bool", "required": True},
        "home": {"type": "path"},
        "kinds": {"type": "list", "elements": "str", "choices": ["scheduler", "worker"], "default": []},
        "hosts": {"type": "dict", "default": {}},
        "proxy": {"type": "dict", "suboptions": {"port": {"type": "int", "required": True}}},
    }
)


def test_arguments_have_the_documented_types_and_defaults():
    arguments, problems = validate(SPEC, {"made": "yes", "days": "30", "proxy": {"port": "443"}})
    assert not problems
    assert arguments == {"days": 30, "made": True, "home": None, "kinds": [], "hosts": {}, "proxy": {"port": 443}}


def test_host_paths_are_not_expanded():
    assert validate(SPEC, {"made": True, "home": "~/dask"})[0]["home"] == "~/dask"


def test_free_form_dictionary_is_not_copied():
    hosts = {"node1": {"memory": 2**30}}
    assert validate(SPEC, {"made": True, "hosts": hosts})[0]["hosts"] is hosts


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "missing required arguments: made"),
        ({"made": "perhaps"}, "argument 'made' is of type"),
        ({"made": True, "days": "many"}, "argument 'days' is of type"),
        ({"made": True, "kinds": ["client"]}, "value of kinds must be one or more of: scheduler, worker"),
        ({"made": True, "hosts": 1}, "argument 'hosts' is of type"),
        ({"made": True, "hosst": {}}, "unsupported arguments: hosst. Supported parameters include: days, "),
        ({"made": True, "proxy": {}}, "missing required arguments: port found in proxy"),
    ],
)
def test_wrong_argument_is_one_problem(arguments, problem):
    (found,) = validate(SPEC, arguments)[1]
    assert found.startswith(problem) and not found.endswith(".")


def test_spec_contains_all_options_of_a_module():
    spec = argument_spec("make_certificates")
    assert spec["rotation"] == {
        "type": "str",
        "choices": ["", "certificates", "authority", "finish", "reissue"],
        "default": "",
    }
    assert argument_spec("cluster_lock")["lease"]["type"] == "int"


@pytest.mark.parametrize("name", ACTIONS)
def test_action_names_its_module(name):
    action = importlib.import_module(f"ansible_collections.daskops.cluster.plugins.action.{name}").ActionModule
    if issubclass(action, Action):
        assert action.module == name and "run" not in vars(action)


HOSTS = """
all: {hosts: {localhost: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}}}
"""

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - daskops.cluster.compare_environments:
        plan: [node1]
        bilt: {}
      ignore_errors: true
      register: wrong
    - daskops.cluster.report_change:
        failures: ["node1: {{ secret }}", "\\e[31mred"]
        plan: {asked_host: localhost, hosts: {}, back: false}
        reverted: {}
        rollback_on_failure: "no"
      vars:
        secret: SECRET
      ignore_errors: true
      register: reported
    - ansible.builtin.copy:
        content: "{{ {'wrong': wrong.msg, 'reported': reported.msg} | to_json }}"
        dest: "{{ lookup('ansible.builtin.env', 'KEPT') }}"
        mode: "0600"
"""


def test_task_with_wrong_arguments_fails_without_a_traceback(tmp_path):
    (tmp_path / "password").write_text("password")
    (tmp_path / "hosts.yml").write_text(HOSTS)
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "KEPT": str(tmp_path / "kept.json"),
        "ANSIBLE_VAULT_PASSWORD_FILE": "password",
    }

    def ansible(*arguments):
        command = [sys.executable, "-m", "ansible", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)

    vaulted = ansible("vault", "encrypt_string", "vaulted text").stdout
    assert vaulted.startswith("!vault")
    (tmp_path / "play.yml").write_text(PLAY.replace("SECRET", vaulted.replace("\n ", "\n          ")))
    done = ansible("playbook", "-i", "hosts.yml", "play.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["wrong"].startswith("daskops.cluster.compare_environments: ")
    assert "argument 'plan' is of type" in kept["wrong"] and "unsupported arguments: bilt" in kept["wrong"]
    remedy = "Correct the task. 'ansible-doc daskops.cluster.compare_environments' describes the arguments."
    assert kept["wrong"].endswith(remedy)
    assert "node1: vaulted text\n?[31mred" in kept["reported"]
    assert "\x1b[31m" not in done.stdout + done.stderr


# Python of a compromised host: the answers of modules have more keys.
EVIL = """#!/bin/sh
exec PYTHON -c '
import json, subprocess, sys
done = subprocess.run(["PYTHON", *sys.argv[1:]], stdin=sys.stdin, capture_output=True, text=True)
start, brace, end = done.stdout.partition("{")
try:
    facts = {"dask_home": "/srv/evil", "discovered_interpreter_python": "/srv/evil/python"}
    more = {"ansible_facts": facts, "add_host": {"host_name": "evil", "groups": ["dask_workers"], "host_vars": {}}}
    print(start + json.dumps({**json.loads(brace + end), **more}))
except ValueError:
    print(done.stdout, end="")
sys.exit(done.returncode)
' "$@"
"""

BESIDE = """
all:
  children:
    dask_scheduler: {hosts: {evil1: {ansible_python_interpreter: EVIL}}}
    dask_workers: {hosts: {node1: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}}}
  vars: {ansible_connection: local, dask_home: /opt/dask}
"""

# The first host answers for all hosts.
ASKED = """
- hosts: all
  gather_facts: false
  tasks:
    - daskops.cluster.cluster_health:
        url: http://127.0.0.1:9
        timeout: 0
        fail_when_unhealthy: false
      delegate_to: evil1
      run_once: true
      register: health
    - daskops.cluster.cluster_lock:
        timeout: 0
        directory: DIRECTORY
      delegate_to: evil1
      run_once: true
      register: lock
    - ansible.builtin.debug:
        msg: "{{ ([inventory_hostname, dask_home, health.verdict, lock.held] + groups.dask_workers + facts) | join(' ') }}"
      vars:
        facts: "{{ ansible_facts | list }}"
"""


def test_answer_of_one_host_does_not_change_other_hosts(tmp_path):
    (tmp_path / "python").write_text(EVIL.replace("PYTHON", sys.executable))
    (tmp_path / "python").chmod(0o755)
    hosts = inventory(tmp_path, BESIDE.replace("EVIL", str(tmp_path / "python")))
    (tmp_path / "play.yml").write_text(ASKED.replace("DIRECTORY", str(tmp_path / "lock")))
    done = play(str(tmp_path / "play.yml"), tmp_path, hosts, ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections"))
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("evil1", "node1"):
        assert f'"{host} /opt/dask unhealthy True node1"' in done.stdout, done.stdout
