# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of action plugins, which validates the arguments of a task against the documentation of the module."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.plugin_utils.results import shown
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain

COLLECTION = "daskops.cluster"
_PLUGINS = f"ansible_collections.{COLLECTION}.plugins"
#: Keys of a documented option that have the same name and meaning for ArgumentSpecValidator.
_KEYS = ("type", "elements", "required", "choices", "default", "aliases")
#: Keys of a result with which Ansible changes variables, hosts and groups. No module of this collection returns them, but a
#: compromised host could, and then it would set variables of other hosts.
_ACTED_ON = ("ansible_facts", "ansible_stats", "add_host", "add_group")


def _loaded(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def documentation(module: str) -> dict[str, Any]:
    """Return the documentation of a module, with the options and attributes of the collection's fragments."""
    about = _loaded(importlib.import_module(f"{_PLUGINS}.modules.{module}").DOCUMENTATION)
    for fragment in about.get("extends_documentation_fragment", []):
        if not fragment.startswith(f"{COLLECTION}."):
            continue
        name, dummy, part = fragment.removeprefix(f"{COLLECTION}.").partition(".")
        source = importlib.import_module(f"{_PLUGINS}.doc_fragments.{name}").ModuleDocFragment
        added = _loaded(getattr(source, part.upper() or "DOCUMENTATION"))
        for key in ("options", "attributes"):
            about[key] = {**added.get(key, {}), **about.get(key, {})}
    return about


def spec_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the argument spec of documented options.

    Paths get the type str. Most of them belong to a host, where ``~`` and environment variables differ from those of the
    controller.
    """
    spec = {}
    for name, about in options.items():
        spec[name] = {key: about[key] for key in _KEYS if key in about}
        for key in ("type", "elements"):
            if about.get(key) == "path":
                spec[name][key] = "str"
        if "suboptions" in about:
            spec[name]["options"] = spec_of(about["suboptions"])
    return spec


@functools.cache
def argument_spec(module: str) -> dict[str, Any]:
    """Return the argument spec of a module, from its documentation."""
    return spec_of(documentation(module).get("options", {}))


def validate(spec: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments with their documented types and defaults, and the problems of invalid arguments.

    ArgumentSpecValidator copies every argument. To save time, this function neither copies nor converts dictionaries without
    documented keys. Such a dictionary can have the results of `host_info` for all hosts of a large cluster.
    """
    whole = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, Mapping) and spec.get(name, {}).get("type") == "dict" and "options" not in spec[name]
    }
    rest = {name: {} if name in whole else plain(value) for name, value in arguments.items()}
    result = ArgumentSpecValidator(spec).validate(rest)
    problems = [
        f"unsupported arguments: {error.msg}" if isinstance(error, UnsupportedError) else error.msg
        for error in result.errors.errors
    ]
    return {**result.validated_parameters, **whole}, [problem.rstrip(".") for problem in problems]


class Action(ActionBase):
    """Base class of action plugins whose arguments are documented in the module of the same name.

    Subclasses are named ``ActionModule`` and define `act`.
    """

    _supports_check_mode = True

    #: Name of the module, without the collection.
    module = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the documentation when the class is created.

        Ansible loads the class before it forks a process for each host, so each run reads the documentation once.
        """
        super().__init_subclass__(**kwargs)
        if cls.__name__ == "ActionModule":  # base classes of several plugins have no module
            cls.module = cls.__module__.rpartition(".")[2]
            argument_spec(cls.module)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments, call `act`, and return its result. Ansible calls this method."""
        result = super().run(tmp, task_vars)
        arguments, problems = validate(argument_spec(self.module), self._task.args)
        if problems:
            name = f"{COLLECTION}.{self.module}"
            msg = f"{name}: {'; '.join(problems)}. Correct the task. 'ansible-doc {name}' describes the arguments."
            return {**result, "failed": True, "msg": msg}
        return {**result, **shown(self.act(arguments, task_vars or {}))}

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Perform the task, and return its result.

        Parameters
        ----------
        arguments : dict
            All documented arguments, with the documented types. None for a missing argument without a default.
        task_vars : dict
            Variables of the host.
        """
        raise NotImplementedError

    def execute(self, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Execute a module of this collection on the host, and return its result.

        Its arguments differ from those of the task, unless it has the same name. Arguments that are None are omitted, so
        that the module's default applies. The only fact in the result is the interpreter that Ansible has found.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        result: dict[str, Any] = self._execute_module(
            module_name=f"{COLLECTION}.{module}", module_args=given, task_vars=task_vars
        )
        result = {name: value for name, value in result.items() if name not in _ACTED_ON}
        if self._discovered_interpreter_key:
            result["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return result
