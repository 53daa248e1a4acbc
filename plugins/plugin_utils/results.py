# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of action plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def failed_if(result: dict[str, Any], problems: Iterable[object]) -> dict[str, Any]:
    """Return ``result``. If there are ``problems``, it is failed and its message has a line for each of them."""
    lines = list(map(str, problems))
    if lines:
        result.update(failed=True, msg="\n".join(lines))
    return result
