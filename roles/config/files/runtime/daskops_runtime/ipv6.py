# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let services serve their HTTP routes at IPv6 addresses, which ``--dashboard-address`` of Dask does not accept."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from distributed import node

#: An IPv6 address with a port, such as ``[fd00::1]:8787``.
IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\]:(\d+)")

#: Dask's function. A module may be imported several times in one process.
_original: Callable[[Any], list[dict]] = getattr(node.clean_dashboard_address, "original", node.clean_dashboard_address)


def clean_dashboard_address(addresses: Any) -> list[dict[str, Any]]:
    """Return addresses and ports as Dask's function of this name does, also those of IPv6."""
    if not isinstance(addresses, str) or not IPV6.search(addresses):
        return _original(addresses)
    found: list[dict[str, Any]] = []
    for text in addresses.split(","):
        match = IPV6.fullmatch(text)
        found += [{"address": match[1], "port": int(match[2])}] if match else _original(text)
    return found


clean_dashboard_address.original = _original  # type: ignore[attr-defined]


def start() -> None:
    """Replace Dask's function, before a service starts its HTTP server."""
    node.clean_dashboard_address = clean_dashboard_address  # type: ignore[assignment]
