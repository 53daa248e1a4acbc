# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the collection that systemd reads."""

from __future__ import annotations

import glob
import os
import re

SYSTEMD = "/etc/systemd/system"

#: Where a unit's own directory is while it runs, ``dask-scheduler`` or ``dask-worker-INSTANCE``.
RUNTIME_DIRECTORIES = "/run"

#: The files below `SYSTEMD` that belong to a kind, so that those no longer planned are found and removed. What else lies
#: there, such as an administrator's own drop-in, is left alone.
OURS = {
    "scheduler": ["dask-scheduler.service"],
    "worker": ["dask-worker@.service", "dask-worker@*.service.d/daskops.conf", "dask-workers.target"],
}
UNIT = re.compile(r"dask-(scheduler|worker@(?:[a-z][a-z0-9_]*-)?\d+)\.service")


def kind_of(unit):
    """``scheduler`` or ``worker``."""
    return "scheduler" if unit == "dask-scheduler.service" else "worker"


def shown_services(module):
    """What systemd tells of the services that it knows: ``MainPID``, ``ActiveState`` and ``StatusText`` by unit."""
    properties = "--property=Id,MainPID,ActiveState,StatusText"
    output = module.run_command(["systemctl", "show", properties, "dask-scheduler.service", "dask-worker@*.service"])[1]
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines()) for block in output.strip().split("\n\n") if block
    ]
    return {block["Id"]: block for block in blocks}


def unit_files(kind):
    """Content of the files of a kind below `SYSTEMD`, by relative path."""
    files = {}
    for pattern in OURS[kind]:
        for path in glob.glob(os.path.join(SYSTEMD, pattern)):
            with open(path, encoding="utf-8") as file:
                files[os.path.relpath(path, SYSTEMD)] = file.read()
    return files


def settings(text):
    """What systemd reads of a file: its lines without comments."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", ";"))]


def same_unit(unit, files, others):
    """Whether a service is the same by two sets of files, contents by relative path."""
    paths = [path for path in OURS[kind_of(unit)] if path.endswith(".service")] + [f"{unit}.d/daskops.conf"]
    return all(settings(files.get(path, "")) == settings(others.get(path, "")) for path in paths)
