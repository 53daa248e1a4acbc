# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a host that an earlier version of the collection has provisioned.

That version kept state in modification times, in extra links of a release, and in the text of rendered files. Only this file
reads that state. The next run writes ``history.json``, complete manifests and the file of firewall peers, and later runs
read only these.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Iterable, Mapping

from ansible_collections.daskops.cluster.plugins.module_utils.units import unit_digests
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

#: Largest rendered file that is read, in bytes.
LIMIT = 16 * 1024**2


def old_history(home: str) -> dict[str, dict[str, Any]]:
    """Return the history from the modification time and the links of each release, in the form of ``history.json``."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(home), "releases", "*")):
        try:
            staged = int(os.stat(os.path.join(path, "manifest.json")).st_mtime)
        except OSError:
            continue
        found[os.path.basename(path)] = {
            "staged": staged,
            "previous": _target(os.path.join(path, "previous")),
            "served": _marks(path, "served"),
            "tried": _marks(path, "tried"),
        }
    return found


def old_build_time(environment: str) -> int:
    """Return the time when an environment was built, from the modification time of its description; 0 if there is none."""
    try:
        return int(os.stat(os.path.join(environment, "environment.json")).st_mtime)
    except OSError:
        return 0


def completed_manifest(release: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with the keys that an earlier version did not write, read from the release's rendered files.

    Parameters
    ----------
    release : str
        Directory of the release.
    manifest : dict
        Manifest of the release, with ``services``.
    """
    if manifest.keys() >= {"application", "dashboard", "label", "ports", "tls", "units"}:
        return dict(manifest)
    kinds = sorted({about["kind"] for about in manifest["services"].values()})
    texts = [_read(os.path.join(release, kind, "dask_configuration.yaml")) for kind in kinds]
    return {
        "application": "",
        "dashboard": "",
        "label": "",
        "ports": {
            unit: _ports(_read(os.path.join(release, "services", f"{unit}.env"))) for unit in manifest["services"]
        },
        "tls": any("require-encryption: true" in text for text in texts),
        "units": {kind: unit_digests(_unit_files(os.path.join(release, "systemd"), kind)) for kind in kinds},
        **manifest,
    }


def old_peers(rules: Iterable[str]) -> list[str]:
    """Return the networks of the cluster's hosts in a comment of firewall rules; empty if there is none."""
    comment = re.search(r"Hosts of the cluster:([0-9a-f.:/ ]*)", "".join(map(_read, rules)))
    return comment.group(1).split() if comment else []


def old_proxy_port(site: str) -> int:
    """Return the port in a site of nginx; 0 if there is none."""
    listens = re.search(r"listen [0-9.:]*?(\d+) ssl", _read(site))
    return int(listens.group(1)) if listens else 0


def _target(link: str) -> str:
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return ""


def _marks(release: str, use: str) -> dict[str, int]:
    """Return the time when each link ``USE-KIND`` was made, in seconds since the epoch, by kind."""
    links = [link for link in glob.glob(os.path.join(glob.escape(release), f"{use}-*")) if os.path.islink(link)]
    return {os.path.basename(link).partition("-")[2]: int(os.lstat(link).st_mtime) for link in links}


def _ports(environment: str) -> list[int]:
    return sorted({int(port) for port in re.findall(r"(?:-port |--dashboard-address \S+:)(\d+)", environment)} - {0})


def _unit_files(root: str, kind: str) -> dict[str, str]:
    paths = glob.glob(f"{glob.escape(root)}/dask-{kind}*") + glob.glob(f"{glob.escape(root)}/dask-{kind}*/*")
    return {os.path.relpath(path, root): _read(path) for path in paths if os.path.isfile(path)}


def _read(path: str) -> str:
    try:
        return read_text(path, LIMIT)
    except (OSError, ValueError):
        return ""
