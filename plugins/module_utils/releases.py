# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases on a host, as they were staged."""

from __future__ import annotations

import glob
import json
import os


def read_release(path):
    """What is needed to run a release again.

    Parameters
    ----------
    path : str
        Its directory, or a link to it.

    Returns
    -------
    dict
        ``id``, ``environment``, ``services`` (release by unit) and ``units`` (content by path below systemd's directory),
        both by kind; empty if there is none.
    """
    try:
        with open(os.path.join(path, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
    except FileNotFoundError:
        return {}
    services, units = {}, {}
    for name, about in manifest["services"].items():
        services.setdefault(about["kind"], {})[name] = about["release"]
    for kind in services:
        root = os.path.join(path, "systemd")
        files = glob.glob(f"{root}/dask-{kind}*") + glob.glob(f"{root}/dask-{kind}*/*")
        units[kind] = {os.path.relpath(file, root): read(file) for file in files if os.path.isfile(file)}
    return {"id": manifest["id"], "environment": manifest["environment"], "services": services, "units": units}


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()
