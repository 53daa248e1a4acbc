# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of the cluster as a module takes it on a host."""

import pytest
from ansible_collections.daskops.cluster.plugins.modules import take_cluster_lock
from module_runs import answer_of


@pytest.fixture
def take(tmp_path):
    """Return a function that takes the lock for a run."""

    def run(name, **arguments):
        holder = {"user": "ada", "controller": "ops1", "command": "ansible-playbook site.yml"}
        return answer_of(take_cluster_lock, id=name, holder=holder, directory=str(tmp_path / "lock"), **arguments)

    return run


def test_second_run_gets_the_name_of_the_first(take):
    first = take("one")
    assert first["held"] and {"renew", "release"} <= set(first)
    second = take("two")
    assert second["held"] is False and second["holder"]["user"] == "ada" and "renew" not in second
    assert take("one")["held"]


def test_check_mode_takes_no_lock(take):
    assert take("one", _ansible_check_mode=True)["held"] is False
    assert take("two")["held"]
