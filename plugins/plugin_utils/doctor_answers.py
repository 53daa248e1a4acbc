# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the result of `doctor_info`, which a compromised host can forge. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import (
    Check,
    address,
    flag,
    having,
    listed,
    mapping,
    number,
    optional,
    text,
)

_PATHS = listed(text())


def _pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(number, value))


def _inodes(value: object) -> bool:
    return value == -1 or number(value)


#: Check by key of the result.
CHECKS: dict[str, Check] = {
    "connections": listed(text()),
    "resolved": mapping(listed(address)),
    "reverse": mapping(text()),
    "mtus": mapping(_pair, address),
    "interfaces": listed(having(name=text(), up=flag, mtu=number, addresses=listed(address))),
    "limits": having(nr_open=number, pid_max=number, threads_max=number),
    "memory": having(total=number, swap=number, swap_used=number, overcommit=number, commit_free=number),
    "cgroups": having(version=number, memory=flag),
    "scratch": mapping(having(directory=text(), type=text(), free=number, inodes=_inodes, speed=number)),
    "synchronized": optional(flag),
    "selinux": having(mode=text("|enforcing|permissive"), tools=flag),
    "leftovers": having(
        conda=_PATHS,
        packages=_PATHS,
        system_configuration=_PATHS,
        configuration=_PATHS,
        units=_PATHS,
        processes=listed(having(pid=number, user=text(), command=text())),
    ),
    "gpus": having(devices=number, driver=text(), tool=text(), error=text()),
    "restarting": listed(text(r"dask-[\w@.:-]+")),
    "system": listed(text()),
    "journal": text(),
}


def unbelievable(result: Mapping[str, Any]) -> list[str]:
    """Return the names of values that are missing or not allowed, sorted."""
    return sorted(name for name, check in CHECKS.items() if name not in result or not check(result[name]))
