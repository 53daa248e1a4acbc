# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the Python of each host: an interpreter that the host has, or a managed one. Pure functions.

A managed Python is a relocatable build of CPython that the controller ships. ``info`` is the result of `host_info` for a
host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import LOCK, kind_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import minor

#: Oldest Python version that current releases of Dask support.
OLDEST_PYTHON = (3, 10)

#: Value of ``dask_python`` that leaves the choice to the run.
AUTO = "auto"

#: Minor version of a new cluster whose hosts have different minor versions.
DEFAULT = "3.13"

#: Architectures of managed Pythons, and the oldest version of glibc with which they run.
MACHINES = ("x86_64", "aarch64")
OLDEST_GLIBC = (2, 17)

#: A version such as 3.13, 3.13.5, or a build of it, 3.13.5+20261129.
_VERSION = re.compile(r"3\.(\d+)(\.\d+(\+\d{8})?)?")


def is_version(value: object) -> bool:
    """Return whether a value of ``dask_python`` means a managed Python, and not an interpreter of the host."""
    return re.match(r"\d", str(value)) is not None


def is_valid(value: object) -> bool:
    """Return whether ``dask_python`` can have a value. In YAML, 3.10 without quotes is the number 3.1."""
    if not is_version(value):
        return isinstance(value, str)
    found = _VERSION.fullmatch(str(value))
    return found is not None and (3, int(found.group(1))) >= OLDEST_PYTHON


def own_python(value: object) -> str:
    """Return the name or path of the host's interpreter for a value of ``dask_python``; empty for a managed Python."""
    return "" if is_version(value) else "python3" if value == AUTO else str(value)


def numbers(version: str) -> tuple[int, ...]:
    """Return a version or a version of glibc as numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


@dataclass(frozen=True)
class Choice:
    """The Python of each host.

    Parameters
    ----------
    managed : dict of tuple of str
        The versions that are good for a host, the best one first, by host with a managed Python. An empty text means every
        version. Other hosts use an interpreter of their own.
    reason : str
        Why hosts whose ``dask_python`` is ``auto`` get a managed Python. Empty if they do not.
    """

    managed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""


def runs(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the environment of a host's current release, with ``python``, its full version; empty if there is none."""
    current = (info.get("current") or {}).get("environment", "")
    found: Mapping[str, Any] = info.get("environments", {}).get(current, {})
    return found


def choose(cluster: Cluster, unfit: Mapping[str, str]) -> Choice:
    """Return the Python of each host of a run.

    A version in ``dask_python`` means a managed Python, and a name or path an interpreter of the host. With ``auto``, hosts
    use their own Python if all of them have the same minor version and can use it, and a managed one otherwise. In a run
    without all hosts, they use the same kind as the scheduler's host, because the other hosts are not known.

    Parameters
    ----------
    cluster : Cluster
        The inventory, the variables and the state of the hosts.
    unfit : dict of str
        The reason by host, for hosts whose own Python cannot be used.
    """
    wanted = {host: str(cluster.values[host]["dask_python"]) for host in cluster.infos}
    managed = {host: (value,) for host, value in wanted.items() if is_version(value)}
    # A packed environment contains its Python, or was made for the Python of the hosts.
    undecided = [host for host, value in wanted.items() if value == AUTO and kind_of(cluster.values[host]) == LOCK]
    now = runs(cluster.scheduler_info or cluster.infos.get(cluster.asked_host, {}))
    own = {host: "" if host in unfit else minor(cluster.infos[host]["python"]["version"]) for host in undecided}
    if now and set(cluster.members) - set(cluster.infos):
        reason = "the cluster does" if now.get("managed_python") else ""
    else:
        reason = _difference(own)
    if not undecided or not reason:
        return Choice(managed)
    # With different minor versions, old and new workers could not read each other's tasks during the change.
    version = now.get("python", "")
    before = [minor(version)] if numbers(version)[:2] >= OLDEST_PYTHON else []
    versions = tuple(dict.fromkeys([*before, DEFAULT, ""]))
    return Choice({**managed, **dict.fromkeys(undecided, versions)}, reason)


def _difference(own: Mapping[str, str]) -> str:
    """Return why hosts cannot use their own Python, from the minor version of each, empty for none; empty if they can."""
    if len(set(own.values())) < 2 and "" not in own.values():
        return ""
    listed = ", ".join(f"{host} ({version or 'none'})" for host, version in sorted(own.items()))
    return f"hosts do not all have the same Python that Dask can use: {listed}"


def unsupported(choice: Choice, infos: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each host on which managed Pythons cannot run."""
    for host in choice.managed:
        machine, libc = infos[host]["architecture"], infos[host]["libc"]
        if machine not in MACHINES or libc[:1] != ["glibc"] or numbers(" ".join(libc[1:])) < OLDEST_GLIBC:
            yield (
                f"{host}: dask_python needs a managed Python, which exists only for {' and '.join(MACHINES)} with glibc "
                f"{'.'.join(map(str, OLDEST_GLIBC))} or newer, but the host has {machine} with {' '.join(libc) or 'none'}. "
                "Set dask_python to an interpreter of the host."
            )


def managed_python(home: str, name: str, version: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a managed Python on a host in the form of ``python`` of `host_info`.

    Parameters
    ----------
    home : str
        Directory of the collection on the host.
    name, version : str
        Its name and its full version.
    info : dict
        The host's result of `host_info`.
    """
    prefix = f"{home}/pythons/{name}"
    return {
        "executable": f"{prefix}/bin/python3",
        "version": version,
        "implementation": "cpython",
        "prefix": prefix,
        "machine": info["architecture"],
        "libc": info["libc"],
        "usable": True,
        "changeable": "",
        "managed": name,
    }


def with_managed(cluster: Cluster, chosen: Mapping[str, tuple[str, str]]) -> Cluster:
    """Return a cluster whose hosts have managed Pythons, by host: name and version."""
    infos = {
        host: {**info, "python": managed_python(cluster.values[host]["dask_home"], *chosen[host], info)}
        if host in chosen
        else info
        for host, info in cluster.infos.items()
    }
    return replace(cluster, infos=infos)
