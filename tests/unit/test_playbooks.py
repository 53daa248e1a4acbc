# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks and roles that need no host but this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOKS = sorted(
    path.stem for path in ROOT.glob("playbooks/*.yml") if path.stem not in ("activate", "check_inventory", "upgrade")
)


def play(path, work, *arguments, **environment):
    """Run a playbook, whatever inventory the user's settings name."""
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(work / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", path, *arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_INVENTORY": str(work / "none"), **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_without_an_inventory_fails(name, tmp_path):
    run = play(f"playbooks/{name}.yml", tmp_path)
    assert run.returncode != 0
    assert "The inventory has no host in the groups dask_scheduler and dask_workers" in run.stdout + run.stderr


def test_what_a_client_needs_is_in_the_home_that_dask_looks_at(tmp_path):
    """Which need not be the one of the user's account."""
    lock = tmp_path / "lock.txt"
    lock.write_text("dask==2026.8.0\n")
    connection = {
        "address": "tcp://10.0.0.1:8786",
        "dashboard": "http://10.0.0.1:8787/status",
        "tls": False,
        "certificates": "",
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
    look = "import dask, json; print(json.dumps(dask.config.get('scheduler-address')))"
    environment = {**os.environ, "HOME": str(home)}
    found = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == '"tcp://10.0.0.1:8786"\n'
    assert (home / ".config/dask/daskops-environment.txt").read_text() == lock.read_text()


@pytest.mark.parametrize("path", sorted(ROOT.glob("playbooks/**/*.yml")), ids=lambda path: path.stem)
def test_plays_do_not_take_the_strategy_from_the_users_settings(path):
    """Other strategies, such as `free`, do not honour `run_once`, and let one host run ahead of the others."""
    plays = [play for play in yaml.safe_load(path.read_text()) if "hosts" in play]
    assert [play.get("strategy") for play in plays] == ["ansible.builtin.linear"] * len(plays)


def test_run_once_is_honoured_whatever_the_users_strategy(tmp_path):
    """The check of the variables says its sentence once, though the inventory has four hosts."""
    inventory = tmp_path / "hosts.json"
    hosts = {"ansible_connection": "local", "dask_tls_days": "many"}
    group = {"hosts": {f"host{number}": hosts for number in range(4)}}
    inventory.write_text(json.dumps({"dask_scheduler": {"hosts": {"host0": {}}}, "dask_workers": group}))
    run = play("playbooks/status.yml", tmp_path, "-i", str(inventory), ANSIBLE_STRATEGY="free")
    assert run.returncode != 0
    assert "Using run_once with the free strategy is not currently supported" not in run.stdout + run.stderr
    assert (run.stdout + run.stderr).count(
        "Give a whole number, 1 or more"
    ) <= 2  # the message, and Ansible's summary of it
