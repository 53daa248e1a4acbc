# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a service in its environment, and a release that is not the planned one."""

import json

import pytest
from daskops_runtime.release import get_label, get_release, get_resources
from playbook_runs import failure, play
from settled_hosts import SETTLED, write_inventory


@pytest.mark.parametrize(
    ("variables", "name", "label", "resources"),
    [
        ({}, None, None, []),
        ({"DASKOPS_RELEASE": "", "DASKOPS_RELEASE_LABEL": ""}, None, None, []),
        ({"DASKOPS_RELEASE": "3f2a.7b21", "DASKOPS_RELEASE_LABEL": "v1.4"}, "3f2a.7b21", "v1.4", []),
        ({"DASKOPS_RELEASE": "3f2a.7b21", "DASKOPS_RELEASE_RESOURCES": "1"}, "3f2a.7b21", None, ["release:3f2a"]),
        (
            {"DASKOPS_RELEASE": "3f2a.7b21", "DASKOPS_RELEASE_RESOURCES": "1", "DASKOPS_RELEASE_LABEL": "v1.4"},
            "3f2a.7b21",
            "v1.4",
            ["release:3f2a", "release:v1.4"],
        ),
        ({"DASKOPS_RELEASE_RESOURCES": "1"}, None, None, []),
    ],
)
def test_process_has_the_release_of_its_environment(variables, name, label, resources, monkeypatch):
    for variable in ("DASKOPS_RELEASE", "DASKOPS_RELEASE_LABEL", "DASKOPS_RELEASE_RESOURCES"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert (get_release(), get_label(), get_resources()) == (name, label, resources)


def test_release_with_variables_that_change_is_rejected(tmp_path):
    arguments = {"plan": "{{ found }}", "environment_built": False}
    tasks = [
        {"ansible.builtin.set_fact": {"__dask_host": "{{ infos[inventory_hostname] }}"}, "vars": {"infos": SETTLED}},
        {"daskops.cluster.plan": {}, "run_once": True, "register": "found"},
        {"daskops.cluster.release": arguments, "when": "inventory_hostname == 'w1'"},
    ]
    # The time in nanoseconds.
    changing = {"dask_worker_config": {"user": {"began": "{{ lookup('ansible.builtin.pipe', 'date +%s%N') }}"}}}
    plays = [{"hosts": "dask_scheduler:dask_workers", "gather_facts": False, "vars": changing, "tasks": tasks}]
    (tmp_path / "play.json").write_text(json.dumps(plays))
    # The hosts cannot be reached: the task fails before it connects.
    message = failure(play(tmp_path / "play.json", tmp_path, write_inventory(tmp_path)))
    assert message.startswith("w1: the release differs from the planned one")
    assert message.endswith("Set fixed values in the inventory.")
