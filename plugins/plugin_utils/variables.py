# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of an inventory, evaluated by Ansible, as plain values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError

# Text without any of these is no template.
MARKS = ("{{", "{%", "{#", "#jinja2:")

# What reads variables whose names do not have to stand in the template.
INDIRECT = re.compile(r"\b(vars|varnames|lookup|query|q)\b")


def plain(value: Any) -> Any:
    """A value without the types that Ansible has for texts, lists and dictionaries.

    An inline ``!vault`` is an object of its own, which is no text, with ansible-core older than 2.19.
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, str) or getattr(value, "__ENCRYPTED__", False) else value


def templates(value: Any) -> list[Any]:
    """What Ansible has to evaluate in a value: texts with templates, and objects such as an inline ``!vault``."""
    if isinstance(value, str):
        return [value] if any(mark in value for mark in MARKS) else []
    if isinstance(value, dict):
        return [found for pair in value.items() for inner in pair for found in templates(inner)]
    if isinstance(value, (list, tuple)):
        return [found for inner in value for found in templates(inner)]
    return [] if value is None or isinstance(value, (bool, int, float)) else [value]


def inputs(value: Any, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The variables that a value follows from, by name; None if they cannot be told from its templates.

    Parameters
    ----------
    value : object
        A value, not evaluated.
    variables : dict
        Variables of a host, not evaluated.
    """
    found: dict[str, Any] = {}
    unread = [value]
    while unread:
        for template in templates(unread.pop()):
            if not isinstance(template, str):
                continue
            if INDIRECT.search(template):
                return None
            for name in re.findall(r"[A-Za-z_]\w*", template):
                if name in variables and name not in found:
                    found[name] = variables[name]
                    unread.append(variables[name])
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two values that are not evaluated surely have the same value on their hosts."""
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other and not templates(one))


class Evaluation:
    """Evaluates variables of many hosts, each template once for all hosts that have it from the same group.

    Without templates a value needs no evaluation. Evaluating the same template for each of 1,000 hosts takes most of the
    time of a check (2 to 3 ms for each, as Ansible compiles it each time).

    Parameters
    ----------
    template : callable
        Evaluates a value with the variables of a host.
    """

    def __init__(self, template: Callable[[Any, Mapping[str, Any]], Any]) -> None:
        self._template = template
        # By the identity of a value: what it follows from, the value itself, and the result. The value must be kept, as
        # another object could otherwise get its identity.
        self._done: dict[int, list[tuple[dict[str, Any], Any, Any]]] = {}

    def value(self, name: str, variables: Mapping[str, Any]) -> Any:
        """The value of one variable of a host; raises `AnsibleError` where it cannot be evaluated."""
        raw = variables[name]
        if not templates(raw):
            return plain(raw)
        follows_from = inputs(raw, variables)
        if follows_from is None:
            return plain(self._template(raw, variables))
        known = self._done.setdefault(id(raw), [])
        for before, dummy, result in known:
            if before.keys() == follows_from.keys() and all(_same(before[name], follows_from[name]) for name in before):
                return result
        result = plain(self._template(raw, variables))
        if len(known) < 8:  # A template that differs from host to host is not worth looking for.
            known.append((follows_from, raw, result))
        return result

    def values(
        self, names: Iterable[str], variables: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, AnsibleError]]:
        """Values of a host's variables by name, and the errors of those that cannot be evaluated.

        No other variable is evaluated. An inventory may hold templates that are only valid elsewhere, secrets of other
        vaults, and lookups that take long.
        """
        values, errors = {}, {}
        for name in names:
            try:
                values[name] = self.value(name, variables)
            except AnsibleError as error:
                errors[name] = error
        return values, errors


def evaluation_of(templar: Any) -> Evaluation:
    """An `Evaluation` with the templar of an action plugin."""
    own = templar.copy_with_new_env(available_variables={})

    def template(value: Any, variables: Mapping[str, Any]) -> Any:
        own.available_variables = variables
        return own.template(value)

    return Evaluation(template)


def variables_of(hosts: Iterable[str], hostvars: Any) -> dict[str, dict[str, Any]]:
    """Variables by host, not evaluated, and with ``hostvars``, which Ansible leaves out there."""
    return {host: {**hostvars.raw_get(host), "hostvars": hostvars} for host in dict.fromkeys(hosts)}
