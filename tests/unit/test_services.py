# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change of a host's services, which connects only to a host that needs it."""

import json

import pytest
from playbook_runs import play
from settled_hosts import SETTLED, write_inventory


@pytest.mark.parametrize(("name", "reached"), [(SETTLED["w1"]["current"]["id"], False), ("another", True)])
def test_only_a_host_that_does_not_run_the_release_is_reached(tmp_path, name, reached):
    release = {**SETTLED["w1"]["current"], "id": name}
    plan = {"purpose": "restart", "hosts": {"w1": {"release": release}}}
    tasks = [
        {"ansible.builtin.set_fact": {"__dask_host": SETTLED["w1"]}},
        {"daskops.cluster.services": {"home": "/opt/dask", "kind": "worker", "plan": plan}},
    ]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "w1", "gather_facts": False, "tasks": tasks}]))
    done = play(tmp_path / "play.json", tmp_path, write_inventory(tmp_path))
    assert ("UNREACHABLE" in done.stdout) is reached, done.stdout + done.stderr
    assert (done.returncode == 0) is not reached
