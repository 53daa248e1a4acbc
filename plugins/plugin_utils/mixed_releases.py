# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find hosts that run releases of different changes although they have the same settings. Pure functions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.module_utils.release_names import name_of

ByHost = Mapping[str, Mapping[str, Any]]

#: Settings that may differ between hosts and are not part of the digest that workers share.
OWN = {"dask_bind_address", "dask_interface", "dask_python"}


def mixed_releases(infos: ByHost, releases: ByHost, variables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence that names the hosts of each release, if they should all run the same one.

    The name of a worker's release begins with a digest, which is the same for all workers on hosts with the same settings.
    The digests differ after two simultaneous runs, or after a run that did not reach all hosts.

    Parameters
    ----------
    infos : dict
        Result of `host_info`, by host.
    releases : dict
        The new release by host. Other hosts keep their current one.
    variables : dict
        Variables by host. Only variables that begin with ``dask_`` are read.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    running = {host: found for host, info in infos.items() if (found := _release_of(info, releases.get(host)))}
    # Reading the variables of many hosts is slow, so read them only if there are several releases.
    if len({found[0] for found in running.values()}) < 2:
        return []
    by_settings: dict[Any, dict[str, list[tuple[str, float | None]]]] = {}
    by_python: dict[Any, dict[str, list[tuple[str, float | None]]]] = {}
    for host, (release, environment, changed) in running.items():
        python = _python_of(infos[host], variables[host])
        about = (host, changed)
        by_settings.setdefault((python, _settings_of(variables[host])), {}).setdefault(release, []).append(about)
        # The lock is the same for the whole cluster, even if other settings differ.
        by_python.setdefault(python, {}).setdefault(f"in environment {environment}", []).append(about)
    for groups in (by_settings, by_python):
        for group in groups.values():
            if len(group) > 1:
                listing = "; ".join(_describe(release, on) for release, on in sorted(group.items()))
                return [
                    f"Hosts with the same settings run releases of different changes: {listing}. There were two "
                    "simultaneous runs, or one did not reach all hosts. Run site.yml for all of them."
                ]
    return []


def _release_of(info: Mapping[str, Any], release: Mapping[str, Any] | None) -> tuple[str, str, float | None] | None:
    """Return the shared part of the release of a host's workers, their environment and the start time of the change.

    None if the host has no workers.
    """
    release = release or info.get("current") or {}
    services = sorted(release.get("services", {}).get("worker", {}).values())
    if not services or "python" not in info:
        return None
    same = release.get("id") == info.get("current", {}).get("id")
    return name_of(release), release["environment"], info["current"].get("staged") if same else None


def _python_of(info: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """Return the properties of a host and its interpreter on which its environment depends, as text."""
    python = {key: value for key, value in info["python"].items() if key != "executable"}
    # A host with a managed Python reports no interpreter.
    managed = "" if python else variables.get("dask_python")
    return json.dumps([python, managed, info.get("architecture")], sort_keys=True, default=str)


def _settings_of(variables: Mapping[str, Any]) -> str:
    """Return the settings that all hosts of one release have in common, as text."""
    names = sorted(name for name in variables if name.startswith("dask_") and name not in OWN)
    return json.dumps({name: variables[name] for name in names}, sort_keys=True, default=str)


def _describe(release: str, on: Sequence[tuple[str, float | None]]) -> str:
    """Return text such as ``3f2a91c04d5e on node1, node2 (change of 2026-11-28 14:00:00 UTC)``."""
    changes = {changed for dummy, changed in on if changed}
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(max(changes))) if changes else ""
    return f"{release} on {join([name for name, dummy in on])}{f' (change of {began} UTC)' if began else ''}"
