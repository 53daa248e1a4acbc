# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's unit files, and the state of its units in systemd."""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
from typing import Any, Iterable, Mapping

from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import lines, read_text

SYSTEMD = "/etc/systemd/system"

#: Directory for the previous version of a unit file, until the unit stops. systemd prefers a unit's own file to that of its
#: template. A reboot empties the directory.
KEPT = "/run/systemd/system"

#: The unit that starts at boot and that starts the other units, by kind.
BOOT = {"scheduler": "dask-scheduler.service", "worker": "dask-workers.target"}

#: Template of the workers' units.
WORKER_TEMPLATE = "dask-worker@.service"

#: Parent of the directory that a unit has while it runs, ``dask-scheduler`` or ``dask-worker-INSTANCE``.
RUNTIME_DIRECTORIES = "/run"

#: Patterns of the collection's files below `SYSTEMD`, by kind. A run removes matching files that are no longer planned. It
#: does not change other files, such as an administrator's drop-in.
OURS = {
    "scheduler": ["dask-scheduler.service", "dask-scheduler-journal.socket", "dask-scheduler-journal@.service"],
    "worker": [
        WORKER_TEMPLATE,
        "dask-worker@*.service.d/daskops.conf",
        "dask-worker-hours@*.service",
        "dask-worker-hours@*.timer",
        "dask-worker-journal.socket",
        "dask-worker-journal@.service",
        "dask-workers.target",
    ],
}

#: Largest unit file that is read, in bytes. Those of the collection have 4 KiB.
LIMIT = 1024**2

UNIT = re.compile(r"dask-(scheduler|worker@(?:[a-z][a-z0-9_]*-)?\d+)\.service")


def kind_of(unit: str) -> str:
    """Return the kind of a unit, ``scheduler`` or ``worker``."""
    return "scheduler" if unit == "dask-scheduler.service" else "worker"


class SystemctlError(Exception):
    """systemctl failed. The message has the command and the error."""


def parse_properties(output: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit, by unit, from the output of ``systemctl show``.

    Units are separated by an empty line, and a property's value ends with its line. A service sets the text of its own
    ``StatusText``, which may contain any character except a line feed.
    """
    units = {}
    for block in output.split("\n\n"):
        properties = dict(line.split("=", 1) for line in lines(block.strip("\n")) if "=" in line)
        if properties.get("Id"):
            units[properties["Id"]] = properties
    return units


def show_units(module: Any, properties: list[str], names: list[str]) -> dict[str, dict[str, str]]:
    """Return properties of units from systemd.

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
        The values of ``properties`` as strings, by unit and property.

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
    """Return ``MainPID``, ``ActiveState`` and ``StatusText`` of each Dask service that systemd has loaded, by unit."""
    names = ["dask-scheduler.service", "dask-worker@*.service"]
    try:
        shown = show_units(module, ["MainPID", "ActiveState", "StatusText"], names)
    except SystemctlError:  # for example in a container without systemd
        return {}
    return {unit: properties for unit, properties in shown.items() if UNIT.fullmatch(unit)}


def unit_files(kind: str) -> dict[str, str]:
    """Return the content of the collection's files of a kind below `SYSTEMD`, by relative path."""
    files = {}
    for pattern in OURS[kind]:
        for path in glob.glob(os.path.join(SYSTEMD, pattern)):
            try:
                files[os.path.relpath(path, SYSTEMD)] = read_text(path, LIMIT)
            except (OSError, ValueError):  # not a file of the collection any more, so the run replaces it
                files[os.path.relpath(path, SYSTEMD)] = ""
    return files


def settings(text: str) -> list[str]:
    """Return the lines of a unit file that systemd reads, without comments and empty lines."""
    stripped = (line.strip() for line in lines(text))
    return [line for line in stripped if line and not line.startswith(("#", ";"))]


@functools.lru_cache(maxsize=4096)
def unit_digest(text: str) -> str:
    """Return a digest of the lines of a unit file that systemd reads, which does not depend on comments.

    Cached: most hosts of a cluster have the same unit files.
    """
    return hashlib.sha256("\n".join(settings(text)).encode()).hexdigest()[:12]


def unit_digests(files: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of each of ``files`` (content by relative path), by path."""
    return {path: unit_digest(content) for path, content in files.items()}


def triggers_of(files: Iterable[str]) -> list[str]:
    """Return the timers and sockets, which start other units, among paths of unit files, sorted."""
    return sorted(path for path in files if path.endswith((".socket", ".timer")))


def same_unit(unit: str, digests: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether a unit is the same in two sets of files (digests by relative path)."""
    nothing = unit_digest("")
    paths = [WORKER_TEMPLATE if kind_of(unit) == "worker" else unit, f"{unit}.d/daskops.conf"]
    return all(digests.get(path, nothing) == others.get(path, nothing) for path in paths)
