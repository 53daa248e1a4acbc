# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the status page, as a task of a playbook, and in status.yml if no host can be reached."""

from __future__ import annotations

import json

import pytest
from playbook_runs import HOSTS, ROOT, inventory, play
from test_status import RECORDING

INVENTORY = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    dask_scheduler: {hosts: {scheduler: }}
    dask_workers: {hosts: {worker1: , worker2: , worker3: }}
"""


@pytest.fixture
def write(tmp_path):
    """Return a function that runs the task with the recorded results, and returns the run."""

    def run(*options, **arguments):
        tasks = [
            {"ansible.builtin.set_fact": {"__dask_host": "{{ seen[inventory_hostname] }}"}},
            {
                "daskops.cluster.status_page": {
                    **{name: RECORDING[name] for name in ("plan", "health", "changes")},
                    **arguments,
                },
                "run_once": True,
            },
        ]
        plays = [{"hosts": "all", "gather_facts": False, "vars": {"seen": RECORDING["infos"]}, "tasks": tasks}]
        (tmp_path / "play.json").write_text(json.dumps(plays))
        return play(tmp_path / "play.json", tmp_path, inventory(tmp_path, INVENTORY), *options)

    return run


def test_both_files_are_written_and_check_mode_only_predicts(write, tmp_path):
    page, file = tmp_path / "status.html", tmp_path / "status.json"
    run = write("--check", "--diff", page=str(page), json=str(file))
    assert run.returncode == 0 and "changed=1" in run.stdout, run.stdout + run.stderr
    assert '+  "verdict": "unhealthy",' in run.stdout and "+<h2>Workers</h2>" in run.stdout
    assert not page.exists() and not file.exists()
    run = write(page=str(page), json=str(file))
    assert run.returncode == 0 and "changed=1" in run.stdout, run.stdout + run.stderr
    assert json.loads(file.read_text())["verdict"] == "unhealthy"
    assert "Connection timed out" in page.read_text()


def test_directory_that_does_not_exist(write, tmp_path):
    run = write(page=f"{tmp_path}/nowhere/status.html")
    said = f"dask_status_page: the directory {tmp_path}/nowhere does not exist on the controller. Create it."
    assert run.returncode != 0 and said in run.stdout + run.stderr


def test_file_that_cannot_be_written(write, tmp_path):
    (tmp_path / "status.json").mkdir()
    run = write(json=f"{tmp_path}/status.json")
    assert (
        run.returncode != 0
        and f"dask_status_json: {tmp_path}/status.json is not a regular file." in run.stdout + run.stderr
    )


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_status_yml_writes_the_page_before_it_fails(options, tmp_path):
    """No host can be reached, so the run fails. The page says so."""
    files = {"dask_status_page": tmp_path / "status.html", "dask_status_json": tmp_path / "status.json"}
    variables = [option for name, path in files.items() for option in ("-e", f"{name}={path}")]
    run = play(ROOT / "playbooks/status.yml", tmp_path, inventory(tmp_path, HOSTS), *variables, *options, timeout=60)
    assert run.returncode != 0 and "The state of the services on s1, w1, w2 is not known" in run.stdout
    assert [path.exists() for path in files.values()] == [not options] * 2, run.stdout + run.stderr
    if not options:
        status = json.loads(files["dask_status_json"].read_text())
        assert status["verdict"] == "unknown" and {host["state"] for host in status["hosts"]} == {"unreachable"}
        assert status["changes_unknown"] and status["changes"] == []
        assert status["written"] in files["dask_status_page"].read_text()


def test_status_yml_without_files_writes_none_and_plans_nothing(tmp_path):
    run = play(ROOT / "playbooks/status.yml", tmp_path, inventory(tmp_path, HOSTS), timeout=60)
    skipped = run.stdout.partition("TASK [daskops.cluster.health : Write the status page]")[2]
    assert run.returncode != 0 and skipped.lstrip(" *\n").startswith("skipping:"), run.stdout
