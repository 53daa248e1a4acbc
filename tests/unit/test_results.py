# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of action plugins that found problems."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if


def test_problems_fail_a_task_with_a_line_each():
    assert failed_if({"changed": False}, iter(["One.", "Two."])) == {
        "changed": False,
        "failed": True,
        "msg": "One.\nTwo.",
    }


def test_result_without_problems_is_unchanged():
    assert failed_if({"changed": False}, iter([])) == {"changed": False}
