# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role is documented, has the defaults of its variables, and says which role is missing before it.

The sentences were also tried with ansible-core 2.17: see `test_playbooks.py` for how to try another release.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from playbook_runs import play as playbook_run
from settled_hosts import SETTLED, write_inventory

ROOT = Path(__file__).parents[2]


def load_generator() -> ModuleType:
    """Return the module `tools/generate`."""
    loader = SourceFileLoader("generate", str(ROOT / "tools/generate"))
    spec = importlib.util.spec_from_loader("generate", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # where dataclasses look for it
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode  # it would be written into tools/
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


generator = load_generator()
RESULTS: dict[str, Any] = generator.described()["results"]
ROLES: dict[str, Any] = generator.described()["roles"]
#: The roles that need another one before them.
LATER = [role for role in ROLES if ROLES[role]["needs"]]


def defaults(role: str) -> dict[str, Any]:
    """Return the defaults of a role."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
    return loaded


def play(work: Path, plays: list[dict[str, Any]], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run plays on this machine only, as the scheduler's host and a worker host."""
    (work / "playbook.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups = {
        group: {"hosts": {"localhost": variables}} for group in ("dask_scheduler", "dask_workers", "dask_clients")
    }
    (work / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.yml", "playbook.yml", *arguments],
        cwd=work,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


# Documentation


def test_each_role_has_documentation_and_defaults():
    assert {path.name for path in (ROOT / "roles").iterdir()} == set(ROLES)
    for role in ROLES:
        for path in ("README.md", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml"):
            assert (ROOT / "roles" / role / path).exists(), f"{role} has no {path}"
    done = subprocess.run(
        [sys.executable, ROOT / "tools/generate", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_preflight_has_the_defaults_of_all_variables():
    assert defaults("preflight") == {name: setting.default for name, setting in SETTINGS.items()}


def test_examples_of_the_readmes_are_plays(tmp_path):
    plays = []
    for role in ROLES:
        text = (ROOT / f"roles/{role}/README.md").read_text()
        (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert f"daskops.cluster.{role}" in example
        plays += yaml.safe_load(example)
    done = play(tmp_path, plays, "--syntax-check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_roles_stand_in_the_order_in_which_they_run():
    order = list(ROLES)
    for role, about in ROLES.items():
        assert about["after"] == [one for one in order[: order.index(role)] if one in about["after"]]
        assert {RESULTS[name]["role"] for name in about["needs"]} <= {*about["after"]}


# Variables


def own_texts(role: str) -> list[str]:
    """Return the texts that a role's tasks use."""
    others = ROLES[role].get("renders", [])
    return [*generator.texts(role), *(text for one in others for text in generator.texts(one, ["templates/*"]))]


def defined_in(role: str) -> set[str]:
    """Return the internal names that a role, or a role that it depends on, registers or defines."""
    dependencies = yaml.safe_load((ROOT / f"roles/{role}/meta/main.yml").read_text()).get("dependencies", [])
    found = {name for one in dependencies for name in defined_in(one["role"].rpartition(".")[2])}
    for text in generator.texts(role, ["tasks/*", "vars/*"]):
        found |= {*re.findall(r"\bregister: (__dask_\w+)", text), *re.findall(r"^ *(__dask_\w+):", text, re.MULTILINE)}
    return found


def undeclared(role: str) -> set[str]:
    """Return the internal names that a role uses and neither defines itself nor lists in `tools/roles.yml`."""
    used = {name for text in own_texts(role) for name in generator.names(text) if name.startswith("__")}
    return used - defined_in(role) - {*ROLES[role]["needs"], *ROLES[role]["reads"]}


def internal_names(root: Path) -> set[str]:
    """Return the internal names in roles and playbooks, each of which is a variable of hosts."""
    paths = [path for folder in ("roles", "playbooks") for path in (root / folder).rglob("*") if path.is_file()]
    return {name for path in paths for name in re.findall(r"__dask_\w+", path.read_text(errors="replace"))}


#: The internal names, with what their values are.
INTERNAL = {
    "__dask_certificates": "result of make_certificates",
    "__dask_environment": "result of environment",
    "__dask_host": "result of host_info",
    "__dask_lock": "result of cluster_lock",
    "__dask_plan": "result of plan",
    "__dask_purpose": "what a playbook does",
    "__dask_result": "result that only the next tasks of the same file read",
    "__dask_scheduler_change": "result of change_scheduler",
    "__dask_scheduler_info": "result of cluster_health before a change",
    "__dask_selected": "hosts of each play",
    "__dask_start": "result of plan_start",
    "__dask_worker_change": "result of judge_change",
}


def test_internal_names_are_a_dozen():
    """Decisions belong to the plan, so think twice before you add a name."""
    assert internal_names(ROOT) == set(INTERNAL) and len(INTERNAL) <= 12


def test_another_internal_name_is_found(tmp_path):
    (tmp_path / "roles/tls/tasks").mkdir(parents=True)
    (tmp_path / "roles/tls/tasks/main.yml").write_text("- register: __dask_installed\n")
    assert internal_names(tmp_path) == {"__dask_installed"}


@pytest.mark.parametrize("role", ROLES)
def test_internal_names_that_a_role_uses_are_its_own_or_declared(role):
    assert undeclared(role) == set()


@pytest.mark.parametrize("role", ROLES)
def test_internal_names_that_are_declared_are_used(role):
    used = {name for text in own_texts(role) for name in generator.names(text)}
    assert {*ROLES[role]["needs"], *ROLES[role]["reads"]} - used == set()


@pytest.mark.parametrize("name", ["__dask_plan"])
def test_internal_name_that_is_not_declared_is_found(name, monkeypatch):
    needs = [one for one in ROLES["environment"]["needs"] if one != name]
    monkeypatch.setitem(ROLES["environment"], "needs", needs)
    assert undeclared("environment") == {name}


def roles_in(value: Any) -> Iterator[str]:
    """Yield the names of the roles in a play."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("role", "name") and str(inner).startswith("daskops.cluster."):
                yield inner.rpartition(".")[2]
            yield from roles_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from roles_in(inner)


@pytest.mark.parametrize("path", sorted(ROOT.glob("playbooks/*.yml")), ids=lambda path: path.stem)
def test_plays_use_variables_of_which_their_roles_have_defaults(path):
    """Without a role in the play that has the default, a variable is undefined there."""
    for one in yaml.safe_load(path.read_text()):
        used = generator.names(yaml.safe_dump(one)) & SETTINGS.keys()
        assert used - {name for role in roles_in(one) for name in defaults(role)} == set(), one["name"]


def role_tasks(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the arguments of each task that runs a role."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                yield inner["name"], inner
            yield from role_tasks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from role_tasks(inner)


@pytest.mark.parametrize("path", sorted(ROOT.glob("playbooks/*.yml")), ids=lambda path: path.stem)
def test_playbooks_do_not_validate_variables_a_second_time(path):
    """Ansible's validation takes a task for each host and role, and rejects vaulted texts before ansible-core 2.19."""
    plays = yaml.safe_load(path.read_text())
    assert [one["name"] for one in plays if "roles" in one] == []
    assert [name for name, arguments in role_tasks(plays) if arguments.get("rolespec_validate") is not False] == []


# What is missing


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, str]:
    """Return the error of each role that runs without the roles before it."""
    work = tmp_path_factory.mktemp("roles")
    plays = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"dask_dashboard_proxy": role == "proxy"},
            "tasks": [
                {
                    "name": f"Run {role}",
                    "block": [{"ansible.builtin.import_role": {"name": f"daskops.cluster.{role}"}}],
                    "rescue": [
                        {
                            "ansible.builtin.copy": {
                                "content": "{{ ansible_failed_result.msg }}",
                                "dest": str(work / role),
                                "mode": "0600",
                            }
                        }
                    ],
                }
            ],
        }
        for role in LATER
    ]
    done = play(work, plays)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_text() for role in LATER if (path := work / role).exists()}


def test_roles_that_need_another_one_are_known():
    assert set(ROLES) - set(LATER) == {"preflight", "client", "monitoring"}


@pytest.mark.parametrize("role", LATER)
def test_role_names_the_role_that_must_run_before_it(said, role):
    sentences = {f"daskops.cluster.{role} needs {RESULTS[name]['needed']}." for name in ROLES[role]["needs"]}
    assert [
        sentence for sentence in sentences if f"{sentence} Add that role before it, or omit --skip-tags." in said[role]
    ]


# Hosts that need nothing


def roles_on_unreachable_hosts(work: Path, infos: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the roles environment and config, as in a user's own play, on hosts that cannot be reached."""
    tasks = [
        {"ansible.builtin.set_fact": {"__dask_host": "{{ infos[inventory_hostname] }}"}, "vars": {"infos": infos}},
        {"daskops.cluster.plan": {}, "run_once": True, "register": "__dask_plan"},
        *({"ansible.builtin.import_role": {"name": f"daskops.cluster.{role}"}} for role in ("environment", "config")),
    ]
    plays = [{"hosts": "dask_scheduler:dask_workers", "gather_facts": False, "tasks": tasks}]
    (work / "play.json").write_text(json.dumps(plays))
    return playbook_run(work / "play.json", work, write_inventory(work))


def test_hosts_that_need_nothing_execute_nothing(tmp_path):
    done = roles_on_unreachable_hosts(tmp_path, SETTLED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "UNREACHABLE" not in done.stdout and "Stage the release" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("changed: ")] == []


def test_only_the_host_that_lacks_its_release_executes_a_module(tmp_path):
    current = {**SETTLED["w1"]["current"], "content": "0"}
    done = roles_on_unreachable_hosts(tmp_path, {**SETTLED, "w1": {**SETTLED["w1"], "current": current}})
    assert re.findall(r"^fatal: \[(\w+)\]: UNREACHABLE", done.stdout, re.MULTILINE) == ["w1"]
