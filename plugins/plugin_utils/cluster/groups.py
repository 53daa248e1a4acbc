# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the inventory's groups, and find groups whose name is probably misspelt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem

#: Groups of the inventory that this collection reads.
GROUPS = ("dask_scheduler", "dask_workers", "dask_clients", "dask_monitoring")

# Names of the groups in other tools.
WORDS = {
    "dask_scheduler": ("scheduler", "schedulers", "master", "head"),
    "dask_workers": ("worker", "workers", "nodes", "compute"),
    "dask_clients": ("client", "clients"),
    "dask_monitoring": ("monitor", "monitors", "prometheus"),
}


Groups = Mapping[str, list[str]]


def scheduler_of(groups: Groups) -> str:
    """Return the scheduler's host; empty if another system runs the scheduler."""
    return next(iter(groups.get("dask_scheduler", [])), "")


def members(groups: Groups) -> list[str]:
    """Return all hosts of the cluster, the scheduler's host first."""
    return list(dict.fromkeys([*groups.get("dask_scheduler", []), *groups.get("dask_workers", [])]))


def asked_host(groups: Groups, playing: Collection[str]) -> str:
    """Return the host that queries the scheduler: the scheduler's host or, if another system runs it, a worker host."""
    workers = groups.get("dask_workers", [])
    return scheduler_of(groups) or next(host for host in [*(w for w in workers if w in playing), *workers])


def _plain(name: str) -> str:
    """Return the name of a group in lower case, with ``_`` for other characters."""
    return re.sub(r"\W+", "_", str(name)).lower()


def misspelt(name: str) -> str:
    """Return the group of this collection of which ``name`` is a misspelling; empty if there is none."""
    plain = _plain(name)
    for group in GROUPS:
        similar = difflib.SequenceMatcher(None, plain, group).ratio() >= 0.9
        # A longer name is not a misspelling: dask_workers_b may be the group of a second cluster.
        if name != group and (plain in (group, f"{group}s") or (similar and group not in plain)):
            return group
    return ""


def synonym(name: str) -> str:
    """Return the group of this collection that another name probably means; empty if there is none."""
    words = {word: group for group, words in WORDS.items() for word in words}
    return misspelt(name) or words.get(_plain(name).removeprefix("dask_"), "")


def hints(groups: Groups, missing: Collection[str]) -> str:
    """Return sentences about groups that were probably meant to be one of the missing groups, each after a space."""
    meant = {name: synonym(name) for name, hosts in groups.items() if hosts and name not in GROUPS}
    return "".join(
        f" The group {name} was probably meant to be {group}." for name, group in meant.items() if group in missing
    )


def _stray(groups: Groups) -> Iterator[Problem]:
    """Yield the problems of groups with a misspelt name whose hosts are in no group, or that leave the right one empty."""
    ours = {host for group in GROUPS for host in groups.get(group, [])}
    for name, hosts in groups.items():
        # Without dask_, the group may belong to another project.
        meant = synonym(name) if name not in GROUPS and _plain(name).startswith("dask_") else misspelt(name)
        stray = [host for host in hosts if host not in ours or not groups.get(meant)]
        if stray and meant:
            yield Problem(
                f"The group {name} ({', '.join(stray)})",
                "is not a group of daskops.cluster",
                f"Did you mean {meant}? Rename the group. If its hosts do not belong to the cluster, give it a "
                "name that is less similar.",
            )


def problems(groups: Mapping[str, list[str]], connects: bool, playing: Collection[str]) -> list[Problem]:
    """Return the problems of the groups.

    Parameters
    ----------
    groups : dict of list of str
        Hosts by group.
    connects : bool
        Whether the run writes or removes the files with which clients connect.
    playing : collection of str
        Hosts of the run, after ``--limit``.
    """
    members = [*groups.get("dask_scheduler", []), *groups.get("dask_workers", [])]
    if not members:
        return [
            Problem(
                "The inventory",
                "has no host in the groups dask_scheduler and dask_workers",
                f"Put one Linux host into the first group, and at least one host into the second.{hints(groups, GROUPS)}",
            )
        ]
    return [
        *_stray(groups),
        *(_limited_clients(groups, members[0], playing) if connects else _limited(members, playing)),
    ]


def _limited(members: list[str], playing: Collection[str]) -> Iterator[Problem]:
    """Yield a problem if ``--limit`` leaves no host of the cluster."""
    if not set(members) & set(playing):
        yield Problem(
            "--limit",
            "leaves no host of the groups dask_scheduler and dask_workers, so there is nothing to do",
            "Correct it.",
        )


def _limited_clients(groups: Mapping[str, list[str]], inspected: str, playing: Collection[str]) -> Iterator[Problem]:
    """Yield a problem if ``--limit`` leaves no account of clients, or excludes the host that has the connection."""
    clients = groups.get("dask_clients", [])
    if not clients and "localhost" not in playing:
        yield Problem(
            "--limit",
            "excludes localhost. While the group dask_clients is empty, client.yml works only on localhost, so there is "
            "nothing to do",
            "Add localhost to --limit, or omit --limit.",
        )
    elif clients and not set(clients) & set(playing):
        yield Problem("--limit", "leaves no host of the group dask_clients, so there is nothing to do", "Correct it.")
    elif inspected not in playing:
        yield Problem(
            "--limit",
            f"excludes {inspected}, from which the run reads the connection",
            f"Add {inspected} to --limit.",
        )
