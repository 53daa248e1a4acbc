# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the result of `doctor_info`, which a compromised host can forge. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import (
    ITEMS,
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


def _sizes(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and number(value[0]) and (value[1] == -1 or number(value[1]))


def _address(value: object) -> bool:
    return value != "" and address(value)


def _inodes(value: object) -> bool:
    return value == -1 or number(value)


#: Check by key of each trace of other installations.
TRACES: dict[str, Check] = {
    "conda": text(),
    "packages": text(),
    "system_configuration": text(),
    "configuration": text(),
    "units": text(),
    "processes": having(pid=number, user=text(), command=text()),
}

#: Check by key of the result.
CHECKS: dict[str, Check] = {
    "connections": listed(text()),
    "resolved": mapping(listed(_address)),
    "reverse": mapping(text()),
    "mtus": mapping(_sizes, address),
    "interfaces": listed(having(name=text(), up=flag, mtu=number, addresses=listed(address))),
    "limits": having(nr_open=number, pid_max=number, threads_max=number),
    "memory": having(total=number, swap=number, swap_used=number, overcommit=number, commit_free=number),
    "cgroups": having(version=number, memory=flag),
    "scratch": mapping(having(directory=text(), type=text(), free=number, inodes=_inodes, speed=number)),
    "synchronized": optional(flag),
    "selinux": having(mode=text("|enforcing|permissive"), tools=flag),
    "leftovers": having(**{name: listed(check) for name, check in TRACES.items()}),
    "gpus": having(devices=number, driver=text(), tool=text(), error=text()),
    "restarting": listed(text(r"dask-[\w@.:-]+")),
    "system": listed(text()),
    "journal": text(),
    "unanswered": listed(text()),
}

#: What replaces an invalid value, by key. Nothing is found in it.
EMPTY: dict[str, Any] = {
    "connections": [],
    "resolved": {},
    "reverse": {},
    "mtus": {},
    "interfaces": [],
    "limits": {"nr_open": 0, "pid_max": 0, "threads_max": 0},
    "memory": {"total": 0, "swap": 0, "swap_used": 0, "overcommit": 0, "commit_free": 0},
    "cgroups": {"version": 0, "memory": True},
    "scratch": {},
    "synchronized": None,
    "selinux": {"mode": "", "tools": False},
    "gpus": {"devices": 0, "driver": "", "tool": "", "error": ""},
    "restarting": [],
    "system": [],
    "journal": "",
    "unanswered": [],
}


def unbelievable(result: Mapping[str, Any]) -> list[str]:
    """Return the names of values that are missing or not allowed, sorted."""
    return sorted(name for name, check in CHECKS.items() if name not in result or not check(result[name]))


def without_unbelievable(result: Mapping[str, Any], connections: int) -> dict[str, Any]:
    """Return a result whose invalid values are empty. Their names are the value ``invalid``.

    A process on the host can cause an invalid value, and must not hide the others with it.

    Parameters
    ----------
    result : dict
        Result of `examine_host`.
    connections : int
        Number of connections that the host had to try.
    """
    invalid = unbelievable(result)
    if "connections" not in invalid and len(result["connections"]) != connections:
        invalid = ["connections", *invalid]
    empty = {**EMPTY, "leftovers": _valid_traces(result.get("leftovers"))}
    return {**result, **{name: empty[name] for name in invalid}, "invalid": invalid}


def _valid_traces(value: object) -> dict[str, list[Any]]:
    """Return the valid items of each kind of trace."""
    lists = {name: value.get(name) if isinstance(value, Mapping) else None for name in TRACES}
    return {
        name: [one for one in items[:ITEMS] if TRACES[name](one)] if isinstance(items, list) else []
        for name, items in lists.items()
    }
