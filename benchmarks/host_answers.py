# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result of `host_info` for a worker host with two pools of two workers each, for benchmarks without hosts."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import unbelievable

GIB = 1024**3
SYSTEM = {"free": 100 * GIB, "mount": "/", "type": "ext4", "writable": True, "exists": True}
PYTHON = {
    "executable": "/usr/bin/python3",
    "version": "3.11.2",
    "implementation": "cpython",
    "prefix": "/usr",
    "machine": "x86_64",
    "libc": ["glibc", "2.36"],
    "usable": True,
}
UNITS = [f"dask-worker@{name}.service" for name in ("big-1", "big-2", "small-1", "small-2")]


def host_info(number: int, environment: str, packages: dict[str, str]) -> dict[str, Any]:
    """Return the result of `host_info` for a host that runs the release of an earlier change.

    Parameters
    ----------
    number : int
        Number of the host, from 0 to 65,535, which determines its address and its machine.
    environment : str
        Id of the only environment on the host.
    packages : dict of str
        Version by package in that environment.
    """
    address = f"10.0.{number // 256}.{number % 256}"
    release = {
        "id": "3f2a91c04d5e",
        "environment": environment,
        "application": "",
        "label": "",
        "staged": 1700000000,
        "served": ["worker"],
        "services": {"worker": {unit: f"3f2a91c04d5e.{place}" for place, unit in enumerate(UNITS)}},
    }
    about = {"python": "3.11.2", "packages": dict(packages)}
    found: dict[str, Any] = {
        "changed": False,
        "cpus": list(range(64)),
        "cores": [[number, number + 32] for number in range(32)],
        "cpu_limit": 0,
        "nodes": [{"id": node, "cpus": list(range(32 * node, 32 * node + 32))} for node in (0, 1)],
        "gpus": [],
        "memory": 256 * GIB,
        "systemd": True,
        "selinux_type": "",
        "python": PYTHON,
        "architecture": "x86_64",
        "libc": PYTHON["libc"],
        "pythons": [],
        "changeable": "",
        "file_systems": {path: SYSTEM for path in ("/opt/dask", "/var/lib/dask/scratch")},
        "missing": [],
        "groups": {},
        "import_paths": {},
        "proxy": {"nginx": False, "port": 0, "confined": False},
        "listeners": [
            {"port": 22, "process": "sshd (process 1)", "unit": "ssh.service"},
            *(
                {"port": 8800 + place, "process": "python3 (process 9)", "unit": unit}
                for place, unit in enumerate(UNITS)
            ),
        ],
        "address": address,
        "worker_addresses": {},
        "client_addresses": [],
        "route": [address, "10.1.0.1"],
        "unresolved": "",
        "refused": "",
        "machine": f"{number:032x}",
        "firewall": {"foreign": [], "usable": [], "installed": [], "loaded": False, "cluster": []},
        "known": [],
        "running": release["services"]["worker"],
        "dashboard": "",
        "scheduler_environment": "",
        "serving": {},
        "current": {**release, "content": "0" * 12, "settled": ["worker"], "enabled": ["worker"]},
        "previous": release,
        "unfinished": 0,
        "account": {"home": "/var/lib/dask", "comment": "Dask", "at_home": True},
        "encrypted": True,
        "certificates": {"installed": {}, "loaded": {}},
        "authorities": [],
        "environments": {environment: about},
        "applications": {},
        "versions": [
            {"id": environment, "lock": "", **about, "releases": ["3f2a91c04d5e"], "labels": {}, "applications": {}}
        ],
        "environment_paths": {},
        "clock": [1700000000.0, 1700000000.5],
    }
    wrong = unbelievable(found)
    if wrong:
        raise ValueError(f"host_info does not return such values: {', '.join(wrong)}")
    found["clock"] = [-0.5, 0.5]  # the action plugin compares it with the controller's
    return found
