# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write YAML and Markdown, for `generate` and `reference`."""

from __future__ import annotations

import re
from typing import Any

import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import Setting


class Dumper(yaml.SafeDumper):
    """YAML as ansible-lint wants it: lists are indented, choices are on one line, empty text has double quotes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    quoted = not value or "{{" in value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


def _choices(dumper: yaml.SafeDumper, value: tuple[str, ...]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


Dumper.add_representer(str, _text)
Dumper.add_representer(tuple, _choices)


def to_yaml(value: Any, width: float = 120) -> str:
    """Return a value as YAML, in the given order."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, width=width, allow_unicode=True)


def markdown(text: str) -> str:
    """Convert a text from the markup of Ansible's documentation to Markdown."""
    return re.sub(r"\b[CEMOV]\(([^)]*)\)", r"`\1`", text)


def shown(setting: Setting) -> str:
    """Return a default as a page shows it."""
    if setting.shown_default:
        return setting.shown_default
    return f"`{to_yaml(setting.default).splitlines()[0]}`" if setting.default != "" else "none"


def kind(setting: Setting) -> str:
    """Return the type of a variable as a page shows it."""
    if setting.choices:
        return " or ".join(f"`{choice}`" for choice in setting.choices)
    return f"{setting.type} of {setting.elements}" if setting.elements else setting.type


def table(rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table with aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows = [rows[0], tuple("-" * width for width in widths), *rows[1:]]
    return "".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |\n" for row in rows
    )
