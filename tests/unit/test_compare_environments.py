# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of the environments of hosts, as a task of a playbook."""

import json

import pytest
from playbook_runs import inventory, play

LOCAL = """
all:
  hosts: {localhost: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}}
"""


def compare(work, environments):
    """Run the task and return the run of the playbook."""
    tasks = [{"daskops.cluster.compare_environments": {"environments": environments}}]
    (work / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    return play(work / "play.yml", work, inventory(work, LOCAL))


def environment(**packages):
    return {"id": "e", "python": "3.11.2", "packages": packages}


@pytest.mark.parametrize("third", [environment(dask="1"), {}], ids=["equal", "not built in check mode"])
def test_equal_environments_are_accepted(third, tmp_path):
    run = compare(tmp_path, {"a": environment(dask="1"), "b": environment(dask="1"), "c": third})
    assert run.returncode == 0, run.stdout + run.stderr


def test_different_environment_fails_the_task(tmp_path):
    run = compare(tmp_path, {"a": environment(dask="1"), "b": environment(dask="1"), "c": environment(dask="2")})
    assert run.returncode != 0 and "c has other packages than the other hosts: dask 2 (others: 1)." in run.stdout
