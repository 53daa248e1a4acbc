# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, in runs of `ansible-inventory`."""

import json
import os
import subprocess
import sys

import pytest
from playbook_runs import ROOT


@pytest.fixture
def listed(tmp_path):
    """Return a function that runs `ansible-inventory` with options of the plugin and a hostfile."""

    def run(options, hosts="node1\nnode2\nnode2\nnode3\n", name="hosts.dask_ssh.yml", **environment):
        (tmp_path / "hosts.txt").write_text(hosts)
        (tmp_path / name).write_text(json.dumps({"plugin": "daskops.cluster.dask_ssh", **options}))
        settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
        return subprocess.run(
            [sys.executable, "-m", "ansible", "inventory", "-i", tmp_path / name, "--list"],
            cwd=ROOT,
            env={**os.environ, **settings, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def hosts_of(run):
    """Return the members of the groups and the variables of hosts."""
    assert run.returncode == 0, run.stderr
    inventory = json.loads(run.stdout)
    members = [inventory[group]["hosts"] for group in ("dask_scheduler", "dask_workers")]
    return (*members, inventory["_meta"]["hostvars"])


def test_hostfile_as_it_is(listed):
    scheduler, workers, variables = hosts_of(listed({"hostfile": "hosts.txt"}))
    assert (scheduler, workers, variables) == (["node1"], ["node2", "node3"], {})


def test_hostfile_with_a_byte_order_mark(listed):
    scheduler, workers, dummy = hosts_of(listed({"hostfile": "hosts.txt"}, hosts="\ufeffnode1\nnode2\n"))
    assert (scheduler, workers) == (["node1"], ["node2"])


def test_options_of_dask_ssh(listed):
    options = {
        "scheduler": "login1", "ssh_username": "ada", "ssh_port": 2222, "ssh_private_key": "~/.ssh/dask",
        "scheduler_port": 9786, "nworkers": 4, "nthreads": 2, "memory_limit": "4GB", "local_directory": "/scratch",
        "remote_python": "3.12",
    }  # fmt: skip
    scheduler, workers, variables = hosts_of(listed({"hostfile": "$SOMEWHERE/hosts.txt", **options}, SOMEWHERE="."))
    assert (scheduler, workers) == (["login1"], ["node1", "node2", "node3"])
    connection = {
        "ansible_user": "ada", "ansible_port": 2222, "ansible_ssh_private_key_file": "~/.ssh/dask",
        "dask_scheduler_port": 9786, "dask_python": "3.12",
    }  # fmt: skip
    worker = {
        "dask_worker_count": 4, "dask_worker_threads": 2, "dask_worker_memory": "4GB",
        "dask_worker_scratch_directory": "/scratch",
    }  # fmt: skip
    assert variables == {"login1": connection, **{host: {**connection, **worker} for host in workers}}


def test_scheduler_with_workers(listed):
    scheduler, workers, dummy = hosts_of(listed({"hostfile": "hosts.txt", "scheduler_works": True}))
    assert (scheduler, workers) == (["node1"], ["node1", "node2", "node3"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hostfile": "missing.txt"}, "missing.txt cannot be read: "),
        ({"hostfile": "hosts.txt", "scheduler": "a b"}, "scheduler: 'a b' is not the name of a host"),
        ({"hostfile": "hosts.txt", "nworkers": "many"}, "nworkers"),
        ({}, "hostfile"),
        ({"hostfile": "hosts.txt", "nthread": 4}, "nthread is not an option of this plugin. Did you mean nthreads?"),
        ({"hostfile": "hosts.txt", "nprocs": 4}, "nprocs is not an option of this plugin. Did you mean nworkers?"),
        (
            {"hostfile": "hosts.txt", "nanny_port": 9000},
            "nanny_port is not an option of this plugin. Set the variable dask_worker_nanny_port instead.",
        ),
        (
            {"hostfile": "hosts.txt", "log_directory": "/x"},
            "log_directory is not an option of this plugin. Remove it. Services write to the journal: journalctl -u",
        ),
        ({"hostfile": "hosts.txt", "scheduler_works": "maybe"}, "scheduler_works: 'maybe' is not true or false."),
        ({"hostfile": "hosts.txt", "xyz": 4}, "xyz is not an option of this plugin. The options are "),
    ],
)
def test_wrong_options_are_rejected(options, message, listed):
    run = listed(options)
    assert run.returncode != 0 and message in run.stderr


def test_wrong_hostfile_is_rejected(listed):
    run = listed({"hostfile": "hosts.txt"}, hosts="node1 slots=4\n")
    assert run.returncode != 0
    assert "hosts.txt: line 1 has 'slots=4', which is not the name of a host." in run.stderr


def test_options_are_in_a_file_of_their_own_name(listed):
    run = listed({"hostfile": "hosts.txt"}, name="hosts.yml")
    assert run.returncode != 0 and "dask_ssh" in run.stderr
