# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the tags of playbooks, and the tags of a run that no playbook has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from ansible.playbook import Playbook
from ansible.playbook.block import Block
from ansible.utils.collection_loader._collection_finder import _get_collection_playbook_path

COLLECTION = Path(__file__).resolve().parents[2]

#: Tags with a special meaning in Ansible.
SPECIAL = ("all", "always", "never", "tagged", "untagged")

# Those that may select no task at all, apart from tasks that always run.
_SELECTIVE = frozenset({"never", "tagged", "untagged"})

#: Tags that Molecule skips in every playbook, also if the playbook does not have them. The last one is for ``idempotence``.
MOLECULE = ("notest", "molecule-notest", "molecule-idempotence-notest")

# The tags of included tasks are unknown until the tasks run.
INCLUDES = ("include_role", "include_tasks")


def _tasks(blocks: Iterable[Block]) -> Iterator[Any]:
    """Yield the tasks of blocks and of nested blocks."""
    for block in blocks:
        for task in [*block.block, *block.rescue, *block.always]:
            if isinstance(task, Block):
                yield from _tasks([task])
            else:
                yield task


def _is_ours(task: Any) -> bool:
    """Return whether a task is in a file of this collection."""
    return COLLECTION in Path(task.get_path().rpartition(":")[0] or "/").resolve().parents


def tags_of(paths: Iterable[str], loader: Any, variable_manager: Any) -> tuple[set[str], bool]:
    """Return the tags of playbooks.

    Parameters
    ----------
    paths : list of str
        Playbooks in the forms that ``ansible-playbook`` accepts: paths, or names of playbooks in collections.
    loader : ansible.parsing.dataloader.DataLoader
    variable_manager : ansible.vars.manager.VariableManager

    Returns
    -------
    tuple of (set of str, bool)
        The tags, with those special tags of Ansible that select one of the tasks, and whether the set is complete. Tags of
        tasks that a task of the user includes at run time are unknown.
    """
    found: set[str] = set()
    complete = True
    for path in paths:
        resource = _get_collection_playbook_path(path)
        playbook = Playbook.load(resource[1] if resource else path, variable_manager=variable_manager, loader=loader)
        for play in playbook.get_plays():
            found.update(play.tags)
            for task in _tasks(play.compile()):
                action = task.action.rpartition(".")[2]
                found.update(task.tags or (["untagged"] if action != "meta" else []))
                if action in INCLUDES and not _is_ours(task):
                    complete = False
    tagged = {"tagged"} if found.difference(SPECIAL) else set()
    return found.difference(["all", "always"]) | tagged, complete


def unknown_tags(known: Set[str], options: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield a sentence for each requested tag that no playbook of the run has, or that selects no task.

    Parameters
    ----------
    known : set of str
        The tags of the playbooks, as `tags_of` returns them.
    options : dict of list of str
        The requested tags, by command-line option.
    """
    names = sorted(known - set(SPECIAL))
    for option, tags in options.items():
        there_are = f"There are {', '.join(names)}." if names else f"It has no tags. Omit {option}."
        allowed = {*known, *SPECIAL, *(MOLECULE if option == "--skip-tags" else ())}
        for tag in tags:
            if tag not in allowed:
                near = difflib.get_close_matches(tag, names, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                yield f"{option}: this playbook has no tag '{tag}'.{hint} {there_are}"
        if option == "--tags" and _SELECTIVE.issuperset(tags) and known.isdisjoint(tags):
            for tag in tags:
                yield f"{option}: '{tag}' selects no task of this playbook. {there_are}"
