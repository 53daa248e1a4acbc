# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the collection that systemd reads."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Any, Mapping

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import lines, read_text

SYSTEMD = "/etc/systemd/system"

#: Where a unit is kept as it was until it stops. Its files come before those of a template; they go with a reboot.
KEPT = "/run/systemd/system"

#: The unit that the system starts at boot, and that starts the others, by kind.
BOOT = {"scheduler": "dask-scheduler.service", "worker": "dask-workers.target"}

#: Where a unit's own directory is while it runs, ``dask-scheduler`` or ``dask-worker-INSTANCE``.
RUNTIME_DIRECTORIES = "/run"

#: The files below `SYSTEMD` that belong to a kind, so that those no longer planned are found and removed. What else lies
#: there, such as an administrator's own drop-in, is left alone.
OURS = {
    "scheduler": ["dask-scheduler.service"],
    "worker": ["dask-worker@.service", "dask-worker@*.service.d/daskops.conf", "dask-workers.target"],
}

#: Bytes of a unit file. Those of the collection have 4 KiB.
LIMIT = 1024**2

UNIT = re.compile(r"dask-(scheduler|worker@(?:[a-z][a-z0-9_]*-)?\d+)\.service")


def kind_of(unit: str) -> str:
    """``scheduler`` or ``worker``."""
    return "scheduler" if unit == "dask-scheduler.service" else "worker"


class SystemctlError(Exception):
    """systemctl failed; the message says with which command and why."""


def parse_properties(output: str) -> dict[str, dict[str, str]]:
    """Properties by unit, from the output of ``systemctl show``.

    Blocks are divided by an empty line, and a property's value ends with its line. A service chooses the text of its own
    ``StatusText``, which may hold anything but a line feed.
    """
    units = {}
    for block in output.split("\n\n"):
        properties = dict(line.split("=", 1) for line in lines(block.strip("\n")) if "=" in line)
        if properties.get("Id"):
            units[properties["Id"]] = properties
    return units


def show_units(module: Any, properties: list[str], names: list[str]) -> dict[str, dict[str, str]]:
    """Return what systemd tells of units.

    Parameters
    ----------
    module : AnsibleModule
        Runs the command.
    properties : list of str
        Names of the properties.
    names : list of str
        Names of units, or patterns for those that systemd has loaded.

    Returns
    -------
    dict of dict
        All of ``properties`` by unit, each a text.

    Raises
    ------
    SystemctlError
        If systemctl fails.
    """
    command = ["systemctl", "show", f"--property=Id,{','.join(properties)}", *names]
    status, output, errors = module.run_command(command)
    if status != 0:
        raise SystemctlError(f"{' '.join(command)} failed: {errors.strip()}")
    blank = dict.fromkeys(properties, "")
    return {unit: {**blank, **shown} for unit, shown in parse_properties(output).items()}


def shown_services(module: Any) -> dict[str, dict[str, str]]:
    """Return what systemd tells of the services that it knows: ``MainPID``, ``ActiveState`` and ``StatusText`` by unit."""
    names = ["dask-scheduler.service", "dask-worker@*.service"]
    try:
        shown = show_units(module, ["MainPID", "ActiveState", "StatusText"], names)
    except SystemctlError:  # as in a container without systemd
        return {}
    return {unit: properties for unit, properties in shown.items() if UNIT.fullmatch(unit)}


def unit_files(kind: str) -> dict[str, str]:
    """Return content of the files of a kind below `SYSTEMD`, by relative path."""
    files = {}
    for pattern in OURS[kind]:
        for path in glob.glob(os.path.join(SYSTEMD, pattern)):
            try:
                files[os.path.relpath(path, SYSTEMD)] = read_text(path, LIMIT)
            except (OSError, ValueError):  # not a file of the collection's any more: it is replaced
                files[os.path.relpath(path, SYSTEMD)] = ""
    return files


def settings(text: str) -> list[str]:
    """Return what systemd reads of a file: its lines without comments."""
    stripped = (line.strip() for line in lines(text))
    return [line for line in stripped if line and not line.startswith(("#", ";"))]


def unit_digest(text: str) -> str:
    """Return a short name of what systemd reads of a file, the same whatever its comments say."""
    return hashlib.sha256("\n".join(settings(text)).encode()).hexdigest()[:12]


def unit_digests(files: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of each of ``files``, content by relative path."""
    return {path: unit_digest(content) for path, content in files.items()}


def same_unit(unit: str, digests: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether a service is the same by two sets of files, digests by relative path."""
    nothing = unit_digest("")
    paths = [path for path in OURS[kind_of(unit)] if path.endswith(".service")] + [f"{unit}.d/daskops.conf"]
    return all(digests.get(path, nothing) == others.get(path, nothing) for path in paths)
