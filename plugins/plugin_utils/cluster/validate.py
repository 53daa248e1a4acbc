# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of variables and pools of workers against the table of variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.hours import HoursError, parse_hours
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.names import PREFIX, hint, instead, meant
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import MACHINES, is_valid
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import (
    POOL_PREFIX,
    POOL_SETTINGS,
    SETTINGS,
    Setting,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import VARIABLE as FILES
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import wrong_files

POOLS = "dask_worker_pools"
OVERRIDES = "dask_worker_pool_overrides"

# Values that Ansible converts to true and to false.
TRUE = frozenset({"y", "yes", "on", "1", "true", "t", 1})
FALSE = frozenset({"n", "no", "off", "0", "false", "f", 0})


#: Pattern of the label of a release, which becomes part of the name of a resource.
LABEL = r"([A-Za-z0-9][A-Za-z0-9._+-]{0,62})?"

#: Pattern of the name of a cluster, which becomes part of file names.
CLUSTER = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"

#: Pattern of the name of an account: useradd accepts it, or it is that of an account of a domain.
ACCOUNT = r"[A-Za-z_][A-Za-z0-9_.-]{0,31}(@[A-Za-z0-9.-]{1,64})?"

#: Pattern of a umask that keeps all permissions of the owner of a file, and removes the write permission of other accounts.
UMASK = r"0?0[0-7][2367]"


def is_plain(value: Any) -> bool:
    """Return whether a value is a number or a string."""
    return isinstance(value, (str, int, float))


def to_bool(value: Any) -> bool | None:
    """Return a value as a bool by Ansible's rules; None if it is not one. In an INI inventory, ``true`` is a string."""
    if not is_plain(value):
        return None
    word = value.strip().lower() if isinstance(value, str) else value
    return True if word in TRUE else False if word in FALSE else None


def is_serial(value: Any) -> bool:
    """Return whether Ansible accepts a value as ``serial`` and no batch is empty."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(re.fullmatch(r"[1-9]\d*|[1-9]\d?%|100%", str(one)) for one in values)


def is_sha256_by_machine(value: Any) -> bool:
    """Return whether a value is a dictionary with the SHA-256 of a file for architectures of managed Pythons."""
    return isinstance(value, dict) and all(
        machine in MACHINES and re.fullmatch(r"[0-9a-f]{64}", str(sha256)) for machine, sha256 in value.items()
    )


def is_label(value: Any) -> bool:
    """Return whether a value is a label or empty. Floats are not valid, because YAML changes them: 1.10 becomes 1.1."""
    whole = isinstance(value, (str, int)) and not isinstance(value, bool)
    return whole and re.fullmatch(LABEL, str(value)) is not None


def is_whole_number(setting: Setting, value: Any) -> bool:
    """Return whether a value is a whole number within the bounds of a variable."""
    if not re.fullmatch(r"-?\d{1,20}", str(value)):  # int() rejects texts of more than 4300 digits
        return False
    number = int(str(value))
    return (setting.minimum is None or setting.minimum <= number) and (
        setting.maximum is None or number <= setting.maximum
    )


def expected(setting: Setting, value: Any) -> str:
    """Return a description of the valid values of a variable; empty if ``value`` is valid."""
    if setting.name == "dask_serial":
        good, kind = is_serial(value), "a number of hosts, 1 or more, a percentage like 20%, or a list of these"
    elif setting.name == "dask_python":
        good = is_valid(value)
        kind = (
            "auto, an interpreter's name or path, or a version in quotes, '3.10' or newer (3.10 without quotes is 3.1)"
        )
    elif setting.name == "dask_python_sha256":
        good, kind = is_sha256_by_machine(value), "a dictionary with 64 hexadecimal digits for x86_64 and for aarch64"
    elif setting.name == "dask_release_label":
        good = is_label(value)
        kind = (
            "up to 63 letters, digits and the characters . _ + -, starting with a letter or digit, in quotes if they look "
            "like a number or a date"
        )
    elif setting.name == "dask_monitoring_cluster":
        good = is_plain(value) and re.fullmatch(CLUSTER, str(value)) is not None
        kind = "up to 40 letters, digits and the characters _ and -, starting with a letter or digit"
    elif setting.name == "dask_user":
        # Every client of the cluster can run code as this account.
        good = isinstance(value, str) and value != "root" and re.fullmatch(ACCOUNT, value) is not None
        kind = (
            "the name of an account other than root, with whose permissions tasks of all users run: up to 32 letters, "
            "digits and the characters . _ -, starting with a letter or _"
        )
    elif setting.name == "dask_umask":
        # Quotes are needed, because YAML reads 0022 as the number 18.
        good = isinstance(value, str) and re.fullmatch(UMASK, value) is not None
        kind = (
            'three or four octal digits in quotes, such as "0002", with 0 for the user, and 2, 3, 6 or 7 as the last digit, '
            "so that services keep their permissions and not all accounts can write"
        )
    elif setting.type == "int":
        limit = "or more" if setting.maximum is None else f"to {setting.maximum}"
        good, kind = is_whole_number(setting, value), f"a whole number, {setting.minimum} {limit}"
    elif setting.type == "bool":
        good, kind = to_bool(value) is not None, "true or false"
    elif setting.type == "dict":
        good, kind = isinstance(value, dict), "a dictionary ({} for an empty one)"
    elif setting.type == "list" and setting.elements == "str":
        good = isinstance(value, list) and all(map(is_plain, value))
        kind = "a list of strings, also for a single value"
    elif setting.type == "list":
        good, kind = isinstance(value, list), "a list, also for a single value"
    elif setting.type == "raw":
        good = all(map(is_plain, value if isinstance(value, list) else [value]))
        kind = "a number, a string, or a list of these"
    elif setting.choices:
        good, kind = value in setting.choices, f"one of {', '.join(setting.choices)}"
    else:
        # YAML reads no and off as false.
        good = is_plain(value) and not (isinstance(value, bool) and setting.scope != "pool")
        kind = "a number or a string"
    return "" if good else kind


def wrong_hours(where: str, value: Any) -> Iterator[Problem]:
    """Yield the problem of invalid hours of workers."""
    try:
        parse_hours(value)
    except HoursError as error:
        yield Problem(where, error.wrong, f"{error.remedy}.")


def _shown(value: Any) -> str:
    """Return a value for a message: only the first line of a text."""
    first, *others = str(value).strip().splitlines() or [""]
    return f"{first}..." if others else str(value)


def wrong_value(where: str, setting: Setting, value: Any) -> Iterator[Problem]:
    """Yield the problem of an invalid value of a variable or of a setting of a pool."""
    if value is None:
        yield Problem(where, "is empty", "Give it a value, or remove it.")
    elif setting.name == FILES:
        yield from wrong_files(value)
    elif setting.name == "dask_worker_hours":
        yield from wrong_hours(where, value)
    elif kind := expected(setting, value):
        # Do not show secrets in messages.
        if setting.type == "dict" and isinstance(value, str) and "\n" in value:
            yield Problem(
                where,
                "is text" if setting.secret else f"is text ({_shown(value)})",
                "Give a dictionary: remove the | before the text, or add | from_yaml to the lookup.",
            )
        else:
            yield Problem(where, "has an invalid value" if setting.secret else f"is '{_shown(value)}'", f"Give {kind}.")


def _instead_of_setting(key: str) -> str:
    """Return what to write instead of an unknown setting of a pool."""
    name = f"{POOL_PREFIX}{key.removeprefix(POOL_PREFIX).removeprefix(PREFIX)}"
    variable = next((known for known in (key, name) if known in SETTINGS), "") or meant(name, SETTINGS)
    setting = variable.removeprefix(POOL_PREFIX)
    if variable and setting not in POOL_SETTINGS:
        return f"Set the variable {variable}, which applies to all pools."
    return hint(key, POOL_SETTINGS, setting)


def _wrong_pools(variable: str, pools: Any) -> Iterator[Problem]:
    """Yield the problems of a dictionary of pools."""
    # A pool may contain secrets, so messages show only the values of settings that are not secret.
    if not isinstance(pools, dict):
        yield Problem(variable, "is not a dictionary", "Give the settings of each pool below its name.")
        return
    for name, about in pools.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", str(name)):
            remedy = "Use up to 20 lower-case letters, digits and _, starting with a letter."
            yield Problem(variable, f"has '{name}', which is not a valid name of a pool", remedy)
        elif not isinstance(about, dict):
            yield Problem(
                f"{variable}.{name}", "is not a dictionary", "Give the pool's settings, or {} for the host's."
            )
        else:
            for key, value in about.items():
                where = f"{variable}.{name}.{key}"
                if key in POOL_SETTINGS:
                    yield from wrong_value(where, POOL_SETTINGS[key], value)
                else:
                    yield Problem(where, "is not a setting of a pool", _instead_of_setting(str(key)))


def wrong_pools(pools: Any, overrides: Any) -> list[Problem]:
    """Return the problems of a host's ``dask_worker_pools`` and ``dask_worker_pool_overrides``."""
    return [*_wrong_pools(POOLS, pools), *_wrong_pools(OVERRIDES, overrides)] or [
        Problem(OVERRIDES, f"has {name}, which is not a pool of this host", hint(name, pools))
        for name in overrides
        if name not in pools
    ]


def wrong_defaults(defaults: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the settings that apply to all pools of a host, by name of the setting in a pool."""
    return [
        problem
        for key, value in defaults.items()
        if key in POOL_SETTINGS
        for problem in wrong_value(POOL_SETTINGS[key].name, POOL_SETTINGS[key], value)
    ]


def cannot_be_evaluated(where: str, name: str, error: str) -> Problem:
    """Return the problem of a variable that Ansible cannot evaluate."""
    # The error may show the template, which may contain a secret.
    why = "" if SETTINGS[name].secret else f": {' '.join(error.split())}".rstrip(".")
    facts = "Facts (ansible_...) are not gathered by these playbooks. " if "ansible_" in why else ""
    remedy = f"{facts}Correct the template, or give the password of its vault."
    return Problem(where, f"cannot be evaluated{why}", remedy)


def _wrong_variable(name: str, value: Any) -> Iterator[Problem]:
    """Yield the problem of one variable."""
    if name not in SETTINGS:
        near = meant(name, SETTINGS)
        everything = "'ansible-doc -t role daskops.cluster.preflight' lists all variables."
        remedy = f"Did you mean {near}?" if near else f"Remove it. {instead(name) or everything}"
        yield Problem(name, "is not a variable of daskops.cluster", remedy)
    elif value is None or name not in (POOLS, OVERRIDES):
        yield from wrong_value(name, SETTINGS[name], value)


def wrong_variables(values: Mapping[str, Any], errors: Mapping[str, str], with_pools: bool = True) -> Iterator[Problem]:
    """Yield the problems of the variables of one host.

    Parameters
    ----------
    values : dict
        Values by name, of all variables with the collection's prefix.
    errors : dict of str
        The reason by name, for variables that cannot be evaluated.
    with_pools : bool
        Whether to check the pools, too.
    """
    for name, error in errors.items():
        yield cannot_be_evaluated(name, name, error)
    for name, value in values.items():
        yield from _wrong_variable(name, value)
    if with_pools:
        pools, overrides = values.get(POOLS, {}), values.get(OVERRIDES, {})
        if pools is not None and overrides is not None:
            yield from wrong_pools(pools, overrides)


def problems(hosts: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]], playing: Collection[str]) -> list[str]:
    """Return the problems of all hosts' variables, without duplicates, each with the names of its hosts.

    Parameters
    ----------
    hosts : dict of (dict, dict)
        Values and errors by host; see `wrong_variables`.
    playing : collection of str
        Hosts of the run. The pools of other hosts are not checked, because a run may set pools that do not match the
        overrides of other hosts.
    """
    found: dict[Problem, list[str]] = {}
    for host, (values, errors) in hosts.items():
        for problem in dict.fromkeys(wrong_variables(values, errors, host in playing)):
            found.setdefault(problem, []).append(host)
    return [str(_of_hosts(problem, found[problem], len(hosts))) for problem in sorted(found)]


def _of_hosts(problem: Problem, having: Iterable[str], number: int) -> Problem:
    """Return a problem with the hosts that have it."""
    having = sorted(having)
    whose = "all hosts" if len(having) == number > 1 else ", ".join(having)
    return Problem(f"{problem.where}, set for {whose},", problem.wrong, problem.remedy)
