# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of action plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import TEXT_LIMIT, is_printable, printable

#: Keys of a result whose texts Ansible prints as they are.
PRINTED = ("msg", "warnings", "deprecations", "exception")


def failed_if(result: dict[str, Any], problems: Iterable[object]) -> dict[str, Any]:
    """Return ``result``. If there are ``problems``, it is failed and its message has a line for each of them."""
    lines = list(map(str, problems))
    if lines:
        result.update(failed=True, msg="\n".join(lines))
    return result


def shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result in which the texts that Ansible prints have no control characters. Hosts wrote some of the texts."""
    return {name: _printable(value) if name in PRINTED else value for name, value in result.items()}


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value if is_printable(value) else printable(value, TEXT_LIMIT)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_printable, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # since ansible-core 2.19
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _printable(one) for name, one in fields.items()})
    return value
