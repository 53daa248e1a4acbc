# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of ansible-playbook."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.run_command import command_line, only_looks


def test_command_names_playbooks_tags_and_limit_but_no_variables():
    options = {
        "args": ("/home/ada/cluster/site.yml", "daskops.cluster.restart"),
        "tags": ["config", "worker"],
        "skip_tags": ["health"],
        "subset": "worker1 worker2",
        "extra_vars": ("dask_shutdown_token=secret",),
    }
    assert command_line(options) == (
        "ansible-playbook site.yml daskops.cluster.restart --tags config,worker --skip-tags health --limit 'worker1 worker2'"
    )


def test_tags_that_select_everything_are_not_named():
    assert (
        command_line({"args": ("site.yml",), "tags": ["all"], "skip_tags": (), "subset": None})
        == "ansible-playbook site.yml"
    )


@pytest.mark.parametrize(
    "tags, looks",
    [(["all"], False), (["health"], True), (["health", "config"], False), (["health,worker"], False), ([], False)],
)
def test_only_tag_health_makes_no_changes(tags, looks):
    assert only_looks({"tags": tags}) is looks
