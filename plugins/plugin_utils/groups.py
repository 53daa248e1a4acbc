# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's groups that this collection reads, and those that were probably meant to be one of them."""

from __future__ import annotations

import difflib
import re

#: The groups that this collection reads.
GROUPS = ("dask_scheduler", "dask_workers", "dask_clients")

# Words that other tools and people use for the hosts of a group.
WORDS = {
    "dask_scheduler": ("scheduler", "schedulers", "master", "head"),
    "dask_workers": ("worker", "workers", "nodes", "compute"),
    "dask_clients": ("client", "clients"),
}


def _plain(name):
    """A group's name in the form that ours have."""
    return re.sub(r"\W+", "_", str(name)).lower()


def misspelt(name):
    """The group of ours that a name is a misspelling of; empty if it is none."""
    plain = _plain(name)
    for group in GROUPS:
        similar = difflib.SequenceMatcher(None, plain, group).ratio() >= 0.9
        # A longer name, as of a second cluster's group dask_workers_b, is meant.
        if name != group and (plain in (group, f"{group}s") or (similar and group not in plain)):
            return group
    return ""


def synonym(name):
    """The group of ours whose hosts a name probably stands for; empty if it stands for none."""
    words = {word: group for group, words in WORDS.items() for word in words}
    return misspelt(name) or words.get(_plain(name).removeprefix("dask_"), "")


def problems(groups, wanted, playing):
    """What is wrong with the groups, one sentence each.

    Parameters
    ----------
    groups : dict of list of str
        Hosts by group.
    wanted : list of str
        The groups that the playbook works on, or ``localhost``, which is in no group.
    playing : collection of str
        The hosts that ``--limit`` leaves.
    """
    ours = {host for group in GROUPS for host in groups.get(group, [])}
    required = [group for group in ("dask_scheduler", "dask_workers") if not groups.get(group)]
    for name, hosts in groups.items():
        meant = misspelt(name)
        stray = [host for host in hosts if host not in ours]
        if meant and stray and len(required) < 2:
            yield (
                f"The group {name} ({', '.join(stray)}) is none of daskops.cluster. Did you mean {meant}? Rename it, or put "
                "its hosts into a group of another name if they are not to be part of the cluster."
            )
    if len(required) == 2:
        meant = {name: synonym(name) for name, hosts in groups.items() if hosts and name not in GROUPS}
        hints = "".join(
            f" The group {name} was probably meant to be {group}." for name, group in meant.items() if group
        )
        yield (
            "The inventory has no host in the groups dask_scheduler and dask_workers. Put one Linux host into the first, "
            f"and at least one host into the second.{hints}"
        )
    elif not any(host in playing for group in wanted for host in groups.get(group, [group])):
        if wanted == ["localhost"]:
            yield (
                "--limit leaves out localhost, for whose account client.yml works while the group dask_clients is empty, so "
                "there is nothing to do. Add localhost to --limit, or leave --limit out."
            )
        else:
            of = f"the {'groups' if len(wanted) > 1 else 'group'} {' and '.join(wanted)}"
            yield f"--limit leaves no host of {of}, so there is nothing to do. Correct it."
