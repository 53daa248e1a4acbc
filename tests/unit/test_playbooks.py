# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks and roles that need no other host than this one.

The tests use the installed ansible-core. Also run them with 2.17 or 2.18, which have another type for vaulted values:
uv venv --python 3.11 OTHER; uv pip install --python OTHER/bin/python "ansible-core~=2.17.0" distributed hypothesis pytest
pytest-xdist requests; OTHER/bin/python -m pytest tests/unit/test_playbooks.py.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).parents[2]
PLAYBOOKS = sorted(path.stem for path in ROOT.glob("playbooks/[!_]*.yml") if path.stem != "upgrade")


def play(path, work, *arguments, timeout=None, **environment):
    """Run a playbook without the inventory of the user's settings."""
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", path, *arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_INVENTORY": str(work / "none"), **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_run_without_hosts_fails(name, tmp_path):
    run = play(f"playbooks/{name}.yml", tmp_path, "--tags", "all,xyzzy")
    assert run.returncode != 0
    assert "The inventory has no host in the groups dask_scheduler and dask_workers" in run.stdout + run.stderr
    assert "--tags: this playbook has no tag 'xyzzy'." in run.stdout + run.stderr


HOSTS = """
all:
  children:
    dask_scheduler:
      hosts: {s1: {ansible_host: 127.0.0.1, ansible_port: 1}}
    dask_workers:
      hosts: {w1: {ansible_host: 127.0.0.2, ansible_port: 1}, w2: {ansible_host: 127.0.0.3, ansible_port: 1}}
"""

# Variables of other projects that cannot be evaluated, or only slowly.
OTHER_PEOPLES = """
  vars:
    address: "{{ ansible_default_ipv4.address }}"
    recursive: "{{ recursive }}"
    broken: "{{ nobody | knows_this_filter }}"
    no_template: "{% if"
    unreadable: "{{ lookup('ansible.builtin.file', '/nowhere') }}"
    slow: "{{ lookup('ansible.builtin.pipe', 'sleep 60') }}"
    vaulted: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      63363736653134353235336265616432633034393838313862653939323066336431
    unsafe: !unsafe "{{ nothing }}"
    dask_scheduler_host: "{{ hostvars[groups['dask_scheduler'][0]].ansible_host }}"
    huge: {a: {b: {c: ["{{ ansible_hostname }}", "{{ nothing.at_all }}"]}}}
    Dask_notes: "{{ nothing }}"
    my_dask_notes: "{{ nothing }}"
"""


def inventory(work, text=HOSTS):
    """Write an inventory and return the option that names it."""
    path = work / "hosts.yml"
    path.write_text(text)
    return f"--inventory={path}"


def failure(run):
    """Return the message of the only failed task."""
    assert run.returncode != 0, run.stdout
    assert "Traceback" not in run.stdout + run.stderr
    (message,) = re.findall(r'^fatal: .*FAILED! => .*?"msg": ("(?:[^"\\]|\\.)*")', run.stdout, re.MULTILINE)
    return json.loads(message)


def test_variables_of_other_projects_are_not_evaluated(tmp_path):
    run = play("playbooks/_check_inventory.yml", tmp_path, inventory(tmp_path, HOSTS + OTHER_PEOPLES), timeout=30)
    assert run.returncode == 0, run.stdout + run.stderr


def test_reports_do_not_evaluate_variables_of_other_projects(tmp_path):
    """The reports use variables of all hosts, here of unreachable ones."""
    hosts = inventory(tmp_path, HOSTS + OTHER_PEOPLES)
    output = ""
    for name in ("show_configuration", "show_plan", "show_ports", "status"):
        run = play(f"playbooks/{name}.yml", tmp_path, hosts, timeout=60)
        output += run.stdout + run.stderr
    assert "w1: not known, for the host could not be looked at" in output
    assert not re.search("undefined|knows_this_filter|/nowhere|vault|Traceback", output), output


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
            "stop",
            "--skip-tags",
            "all,worker",
            "--skip-tags: this playbook has no tag 'worker'. It has none; leave --skip-tags out.",
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


def test_variables_on_the_command_line_are_checked(tmp_path):
    wrong = {
        "dask_enviroment_lock": "new.txt",
        "dask_scheduler_restart": "later",
        "dask_tls_certificates": "theirs",
        "dask_tls_rotation": "al",
    }
    run = play("playbooks/rotate_certificates.yml", tmp_path, inventory(tmp_path), "--extra-vars", json.dumps(wrong))
    assert failure(run).splitlines() == [
        "dask_enviroment_lock, set for all hosts, is no variable of daskops.cluster. Did you mean dask_environment_lock?",
        "dask_scheduler_restart, set for all hosts, is 'later'. Give one of idle, now.",
        "dask_tls_certificates, set for all hosts, is 'theirs'. Give one of made, own.",
        "dask_tls_rotation, set for all hosts, is 'al'. Give one of certificates, authority, finish.",
    ]


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
    assert failure(run).startswith("--limit leaves out localhost, for whose account client.yml works")
    run = play(
        "playbooks/client.yml", tmp_path, inventory(tmp_path), *arguments[:-1], "s1,localhost", HOME=str(tmp_path)
    )
    assert run.returncode == 0, run.stdout + run.stderr
    clients = "    dask_clients:\n      hosts: {laptop: {}}\n"
    run = play("playbooks/client.yml", tmp_path, inventory(tmp_path, HOSTS + clients), *arguments)
    assert failure(run) == "--limit leaves no host of the group dask_clients, so there is nothing to do. Correct it."


def test_client_files_are_in_the_home_that_dask_uses(tmp_path):
    """Dask uses HOME, which may differ from the home of the account."""
    lock = tmp_path / "lock.txt"
    lock.write_text(f"dask==2026.8.0 --hash=sha256:{0:064}\n")
    connection = {
        "address": "tcp://10.0.0.1:8786",
        "dashboard": "http://10.0.0.1:8787/status",
        "lock": str(lock),
        "python": "3.11",
    }
    playbook = tmp_path / "playbook.yml"
    roles = ["daskops.cluster.client"]
    variables = {"__dask_connection": connection, "ansible_python_interpreter": sys.executable}
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "roles": roles}])
    )
    home = tmp_path / "home"
    home.mkdir()
    for predicted, arguments in ((True, ["--check"]), (False, [])):
        run = play(playbook, tmp_path, *arguments, HOME=str(home))
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"DASK_CONFIG={home}/.config/dask" in run.stdout
        assert (home / ".config").exists() is not predicted
    look = "import dask, json; print(json.dumps(dask.config.get('daskops.client.address')))"
    environment = {**os.environ, "HOME": str(home)}
    found = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == '"tcp://10.0.0.1:8786"\n'
    assert (home / ".config/dask/daskops-environment.txt").read_text() == lock.read_text()
    run = play(playbook, tmp_path, "-e", "dask_client_state=absent", HOME=str(home))
    assert run.returncode == 0, run.stdout + run.stderr
    assert not list((home / ".config/dask").glob("daskops*"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("playbooks/**/*.yml")), ids=lambda path: path.stem)
def test_plays_set_the_linear_strategy(path):
    """Other strategies, such as `free`, ignore `run_once` and do not keep hosts in step."""
    plays = [play for play in yaml.safe_load(path.read_text()) if "hosts" in play]
    assert [play.get("strategy") for play in plays] == ["ansible.builtin.linear"] * len(plays)


def test_users_strategy_is_not_used(tmp_path):
    """The validation of variables runs once for four hosts, so its message appears once."""
    inventory = tmp_path / "hosts.json"
    hosts = {"ansible_connection": "local", "dask_tls_days": "many"}
    group = {"hosts": {f"host{number}": hosts for number in range(4)}}
    inventory.write_text(json.dumps({"dask_scheduler": {"hosts": {"host0": {}}}, "dask_workers": group}))
    run = play("playbooks/status.yml", tmp_path, "-i", str(inventory), ANSIBLE_STRATEGY="free")
    assert run.returncode != 0
    assert "Using run_once with the free strategy is not currently supported" not in run.stdout + run.stderr
    assert (run.stdout + run.stderr).count(
        "Give a whole number, 1 to 3650"
    ) <= 2  # the message, and Ansible's summary of errors
