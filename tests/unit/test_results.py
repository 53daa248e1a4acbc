# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of action plugins."""

from __future__ import annotations

import dataclasses

from ansible_collections.daskops.cluster.plugins.plugin_utils.results import failed_if, shown


def test_problems_fail_a_task_with_a_line_each():
    assert failed_if({"changed": False}, iter(["One.", "Two."])) == {
        "changed": False,
        "failed": True,
        "msg": "One.\nTwo.",
    }


def test_result_without_problems_is_unchanged():
    assert failed_if({"changed": False}, iter([])) == {"changed": False}


@dataclasses.dataclass(frozen=True)
class Warned:
    """A warning in the form of ansible-core 2.19."""

    text: str
    details: tuple[str, ...]


def test_messages_of_a_result_have_no_control_characters():
    result = {
        "msg": "evil \x1b[31mred\n\tindented",
        "warnings": ["a\rb", Warned(text="a\u202eb", details=("Zoë", "\x9b"))],
        "exception": "Traceback\n\x1b[2J",
        "other": "\x1b",
    }
    assert shown(result) == {
        "msg": "evil ?[31mred\n\tindented",
        "warnings": ["a?b", Warned(text="a?b", details=("Zoë", "?"))],
        "exception": "Traceback\n?[2J",
        "other": "\x1b",
    }
