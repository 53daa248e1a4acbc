# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluate the variables of an inventory with Ansible, and return them as plain values."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import members, scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import wrong_files
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import cannot_be_evaluated

try:
    from ansible.template import is_trusted_as_template
except ImportError:  # before ansible-core 2.19

    def is_trusted_as_template(value: str) -> bool:
        """Return whether Ansible evaluates the templates in a text."""
        return not getattr(value, "__UNSAFE__", False)


# Text without any of these contains no template.
MARKS = ("{{", "{%", "{#", "#jinja2:")

# Names through which a template can read variables that are not in its text.
INDIRECT = re.compile(r"\b(vars|varnames|lookup|query|q)\b")

# A template that consists only of the name of a variable, and a text that every version of Ansible returns unchanged.
REFERENCE = re.compile(r"\{\{ *([A-Za-z_]\w*) *\}\}")
NAME = re.compile(r"(?!(?i:true|false|none|null|yes|no|on|off|omit)$)[A-Za-z][\w.-]*")

# Ansible removes such a value from its dictionary or list.
OMITTED = re.compile(r"\bomit\b")


def plain(value: Any) -> Any:
    """Return a value with Python's types instead of Ansible's types for texts, numbers, dates, lists and dictionaries.

    YAML and JSON cannot write some of Ansible's types. With ansible-core older than 2.19, an inline ``!vault`` is not a
    string, but another object.
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, str) or getattr(value, "__ENCRYPTED__", False):
        return str(value)
    for kind in (bool, int, float):  # bool is an int
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, datetime.datetime):
        return datetime.datetime.combine(datetime.date(value.year, value.month, value.day), value.timetz())
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    return value


def templates(value: Any) -> list[Any]:
    """Return the parts of a value that Ansible must evaluate: strings with templates, and objects such as ``!vault``."""
    if isinstance(value, str):
        # Most values have neither character, and this is read for each value of each host.
        return [value] if ("{" in value or "#" in value) and any(mark in value for mark in MARKS) else []
    if isinstance(value, dict):
        return [found for pair in value.items() for inner in pair for found in templates(inner)]
    if isinstance(value, (list, tuple)):
        return [found for inner in value for found in templates(inner)]
    return [] if value is None or isinstance(value, (bool, int, float)) else [value]


def inputs(value: Any, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the variables on which a value depends, by name; None if its templates do not contain their names.

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
    """Return whether two values, not evaluated, certainly give the same result on their hosts."""
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other and not templates(one))


class Evaluation:
    """Evaluates variables of many hosts. A template that many hosts have from the same group is evaluated only once.

    A value without templates needs no evaluation. Ansible compiles a template at each evaluation, which takes 2 to 3 ms.
    With 1,000 hosts, a check would spend most of its time on this. Templates in dictionaries and lists are evaluated
    separately, because most of them are the same for all hosts, even if one of them contains the name of the host.

    Parameters
    ----------
    template : callable
        Evaluates a value with the variables of a host.
    """

    def __init__(self, template: Callable[[Any, Mapping[str, Any]], Any]) -> None:
        self._template = template
        # The variables on which a value depends, the value, and the result, by the identity of the value. The value is kept,
        # because otherwise another object could get its identity.
        self._done: dict[int, list[tuple[dict[str, Any], Any, Any]]] = {}

    def value(self, name: str, variables: Mapping[str, Any]) -> Any:
        """Return the value of a variable of a host. Raises `AnsibleError` if it cannot be evaluated."""
        raw = variables[name]
        found = templates(raw)
        if not found:
            return plain(raw)
        if isinstance(raw, (dict, list, tuple)) and not any(OMITTED.search(str(template)) for template in found):
            try:
                return self._container(raw, variables)
            except AnsibleError:
                pass  # evaluate the whole value, because the message for it has the place of the error
        return self._evaluated(raw, variables)

    def _container(self, raw: Any, variables: Mapping[str, Any]) -> Any:
        """Return the value of a dictionary or list, item by item. Ansible does not evaluate keys."""
        if isinstance(raw, dict):
            return {plain(key): self._container(inner, variables) for key, inner in raw.items()}
        if isinstance(raw, (list, tuple)):
            return [self._container(inner, variables) for inner in raw]
        return self._evaluated(raw, variables) if templates(raw) else plain(raw)

    def _evaluated(self, raw: Any, variables: Mapping[str, Any]) -> Any:
        """Return the value of a template, or of a value with templates, evaluated as a whole."""
        reference = REFERENCE.fullmatch(raw) if isinstance(raw, str) and is_trusted_as_template(raw) else None
        target = variables.get(reference.group(1)) if reference else None
        if isinstance(target, str) and NAME.fullmatch(target):
            return plain(target)
        follows_from = inputs(raw, variables)
        if follows_from is None:
            return plain(self._template(raw, variables))
        known = self._done.setdefault(id(raw), [])
        for before, dummy, result in known:
            if before.keys() == follows_from.keys() and all(_same(before[name], follows_from[name]) for name in before):
                return result
        result = plain(self._template(raw, variables))
        if len(known) < 8:  # a template with more results probably has another one for each host
            known.append((follows_from, raw, result))
        return result

    def values(
        self, names: Iterable[str], variables: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, AnsibleError]]:
        """Return values of a host's variables by name, and the errors of variables that cannot be evaluated.

        Evaluates no other variable, because an inventory may contain templates that are invalid here, secrets of other
        vaults, and slow lookups.
        """
        values, errors = {}, {}
        for name in names:
            try:
                values[name] = self.value(name, variables)
            except AnsibleError as error:
                errors[name] = error
        return values, errors


def evaluation_of(templar: Any) -> Evaluation:
    """Return an `Evaluation` with the templar of an action plugin."""
    own = templar.copy_with_new_env(available_variables={})

    def template(value: Any, variables: Mapping[str, Any]) -> Any:
        own.available_variables = variables
        return own.template(value)

    return Evaluation(template)


def variables_of(hosts: Iterable[str], hostvars: Any, task: Any = None) -> dict[str, dict[str, Any]]:
    """Return the variables of hosts, not evaluated, with ``hostvars``, which Ansible does not include.

    Parameters
    ----------
    hosts : iterable of str
        Names of the hosts.
    hostvars : HostVars
        The variable of this name.
    task : Task, optional
        A task: then the variables are those of this task on each host, with what the play, its roles, blocks and the task
        itself set. ``hostvars`` lacks these, and the variables of the task's own host do not tell where they come from. So
        they are collected by the object that collects the variables of each task.
    """
    names = dict.fromkeys(hosts)
    if task is None:
        return {host: {**hostvars.raw_get(host), "hostvars": hostvars} for host in names}
    manager, inventory, play = hostvars._variable_manager, hostvars._inventory, task.get_play()
    found = {}
    for host in names:
        found[host] = manager.get_vars(play=play, host=inventory.get_host(host), task=task, include_hostvars=False)
        found[host]["hostvars"] = hostvars
    return found


def host_infos(hosts: Iterable[str], hostvars: Any) -> dict[str, dict[str, Any]]:
    """Return the results of `host_info` by host, which the role preflight registers as ``__dask_host``."""
    return host_infos_in({host: hostvars.raw_get(host) for host in hosts})


def host_infos_in(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the result of `host_infos` from variables that were already read. Ansible takes 1 ms a host to read them."""
    return {host: own["__dask_host"] for host, own in variables.items() if own.get("__dask_host")}


def connection_names(hosts: Iterable[str], hostvars: Any) -> dict[str, str]:
    """Return the name or address with which Ansible connects to each host. A template is not evaluated, and gives ""."""
    found = {host: str(hostvars.raw_get(host).get("ansible_host") or host) for host in hosts}
    return {host: "" if templates(name) else name for host, name in found.items()}


def values_of(
    templar: Any,
    task: Any,
    task_vars: Mapping[str, Any],
    hosts: Iterable[str],
    collected: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the collection's variables by host, evaluated, with defaults and with their types.

    Parameters
    ----------
    templar : object
        The templar of an action plugin.
    task : Task or None
        The task of the action plugin; see `variables_of`.
    task_vars : dict
        Variables of the task.
    hosts : iterable of str
        Names of the hosts.
    collected : dict of dict, optional
        Result of `variables_of` for these hosts.

    Raises
    ------
    ValueError
        If variables cannot be evaluated or are invalid. The message has each variable and its host.
    """
    evaluation, found, problems = evaluation_of(templar), {}, []
    computed = computed_defaults(evaluation, task, task_vars)
    for host, variables in (collected or variables_of(hosts, task_vars["hostvars"], task)).items():
        values, errors = evaluation.values([name for name in SETTINGS if name in variables], variables)
        problems += [str(cannot_be_evaluated(f"{host}: {name}", name, str(error))) for name, error in errors.items()]
        problems += [
            f"{host}: {name} comes from the facts of this host, which its users may be able to set. Set it in the "
            "inventory, or with set_fact without cacheable."
            for name in sorted(SETTINGS.keys() & variables.get("ansible_facts", {}).keys())
        ]
        try:
            found[host] = complete(values)
        except ValueError as error:
            problems += [f"{host}: {line}" for line in str(error).splitlines()]
            continue
        found[host].update({name: value for name, value in computed.items() if found[host][name] == ""})
    if problems:
        raise ValueError("\n".join(problems))
    return found


def tls_files(templar: Any, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of ``dask_tls_files`` for a task.

    Action plugins read it here, because callback plugins can show the arguments of tasks.

    Raises
    ------
    ValueError
        If the value cannot be evaluated. Its error is left out, because it may contain secrets.
    """
    name = "dask_tls_files"
    try:
        found = evaluation_of(templar).value(name, task_vars) if name in task_vars else SETTINGS[name].default
    except AnsibleError as error:
        raise ValueError(str(cannot_be_evaluated(name, name, str(error)))) from None
    if not isinstance(found, dict):
        raise ValueError(str(next(wrong_files(found))))
    return found


def computed_defaults(evaluation: Evaluation, task: Any, task_vars: Mapping[str, Any]) -> dict[str, str]:
    """Return the defaults that depend on the inventory and the controller. The table of variables has "" for them."""
    groups, hostvars = task_vars["groups"], task_vars["hostvars"]
    scheduler = scheduler_of(groups)
    (first, *dummy) = [*members(groups), task_vars["inventory_hostname"]]
    about = variables_of([first], hostvars, task)[first]
    directory = about.get("inventory_dir") or about.get("playbook_dir") or os.getcwd()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    address = evaluation.value("ansible_host", about) if scheduler and about.get("ansible_host") else scheduler
    return {
        "dask_scheduler_host": str(address),
        "dask_tls_directory": os.path.join(directory, "dask-tls"),
        "dask_cache": os.path.join(cache, "daskops"),
        "dask_monitoring_directory": (
            "/etc/prometheus/dask" if groups.get("dask_monitoring") else os.path.join(directory, "dask-monitoring")
        ),
    }
