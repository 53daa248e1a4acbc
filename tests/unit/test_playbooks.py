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

import pytest
import yaml
from playbook_runs import HOSTS, OTHER_PEOPLES, ROOT, inventory, play

PLAYBOOKS = sorted(path.stem for path in ROOT.glob("playbooks/[!_]*.yml") if path.stem != "upgrade")


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_run_without_hosts_fails(name, tmp_path):
    run = play(f"playbooks/{name}.yml", tmp_path, "--tags", "all,xyzzy")
    assert run.returncode != 0
    assert "The inventory has no host in the groups dask_scheduler and dask_workers" in run.stdout + run.stderr
    assert "--tags: this playbook has no tag 'xyzzy'." in run.stdout + run.stderr


def test_reports_do_not_evaluate_variables_of_other_projects(tmp_path):
    """The reports use variables of all hosts, here of unreachable ones."""
    hosts = inventory(tmp_path, HOSTS + OTHER_PEOPLES)
    output = ""
    for name in ("doctor", "show_configuration", "show_plan", "show_ports", "status"):
        run = play(f"playbooks/{name}.yml", tmp_path, hosts, timeout=60)
        output += run.stdout + run.stderr
    assert "w1: not known, because the host could not be inspected" in output
    assert not re.search("undefined|knows_this_filter|/nowhere|vault|Traceback", output), output


def test_client_files_are_in_the_home_that_dask_uses(tmp_path):
    """Dask uses HOME, which may differ from the home of the account."""
    lock = tmp_path / "lock.txt"
    lock.write_text(f"dask==2026.8.0 --hash=sha256:{0:064}\n")
    connection = {
        "address": "tcp://10.0.0.1:8786",
        "dashboard": "http://10.0.0.1:8787/status",
        "authorities": [],
        "lock": str(lock),
        "requirements": "",
        "wheels": [],
        "build": [],
        "cache": str(tmp_path / "cache"),
        "interpreter": {},
        "python": "3.11",
    }
    playbook = tmp_path / "playbook.yml"
    roles = ["daskops.cluster.client"]
    variables = {"__dask_plan": {"connection": connection}, "ansible_python_interpreter": sys.executable}
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
    packages, own = (home / ".config/dask/daskops-environment.txt").read_text().rsplit("daskops @ ", 1)
    assert packages.strip() == lock.read_text().strip() and own.startswith(
        f"file://{home}/.config/dask/daskops-wheels/"
    )
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
