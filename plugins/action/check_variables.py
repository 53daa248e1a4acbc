# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check each variable of the inventory on its own, on the controller, before anything is computed from it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.filter.worker_pools import SETTINGS, is_plain, wrong_value
from ansible_collections.daskops.cluster.plugins.filter.worker_pools import problems as wrong_pools
from ansible_collections.daskops.cluster.plugins.plugin_utils.groups import GROUPS
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import evaluate, meant, variables_of

SPECIFICATION = Path(__file__).parents[2] / "roles/preflight/meta/argument_specs.yml"

# The smallest and the largest whole number, which a specification cannot say. Ports have bounds of their own.
BOUNDS = {
    "dask_health_timeout": (0, None),
    "dask_keep_releases": (1, None),
    "dask_lock_timeout": (0, None),
    "dask_open_files": (256, None),
    "dask_process_limit": (64, None),
    "dask_scheduler_idle_timeout": (0, None),
    "dask_start_timeout": (1, None),
    "dask_tls_days": (1, 3650),
    "dask_tls_warn_days": (0, 900),
    "dask_watchdog_timeout": (1, None),
    "dask_windows_scheduler_max_workers": (1, None),
    "dask_worker_cores_reserve": (0, None),
    "dask_worker_drain_timeout": (0, None),
}
PORTS = (1, 65535)


def bounds(name):
    """The smallest and the largest value of a whole number."""
    return PORTS if name.endswith("_port") else BOUNDS[name]


def is_serial(value):
    """Whether Ansible makes batches of a value, none of which is empty."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(re.fullmatch(r"[1-9]\d*|[1-9]\d?%|100%", str(one)) for one in values)


def wanted(name, about, value):
    """What to give instead of a value that a variable cannot have; empty if it can.

    Parameters
    ----------
    name : str
        Name of the variable.
    about : dict
        What the argument specification says of it.
    value : object
        Its value.
    """
    kind = about["type"]
    if name == "dask_serial":
        return "" if is_serial(value) else "a number of hosts from 1 on, a percentage like 20%, or a list of these"
    if kind == "int":
        smallest, largest = bounds(name)
        if re.fullmatch(r"-?\d+", str(value)) and smallest <= int(str(value)) <= (largest or int(str(value))):
            return ""
        return f"a whole number, {smallest} {'or more' if largest is None else f'to {largest}'}"
    if kind == "bool":
        try:
            boolean(value)
        except TypeError:
            return "true or false"
        return ""
    if kind == "dict":
        return "" if isinstance(value, dict) else "a dictionary, {} for an empty one"
    if kind == "list":
        plain = about["elements"] == "str"
        if isinstance(value, list) and not (plain and not all(map(is_plain, value))):
            return ""
        return f"a list{' of texts' if plain else ''}, also for a single value"
    if "choices" in about:
        return "" if value in about["choices"] else f"one of {', '.join(about['choices'])}"
    return "" if kind == "raw" or is_plain(value) else "a number or a text"


def cannot_be_evaluated(name, error, about):
    """What is wrong with a variable whose value Ansible cannot evaluate."""
    # The message shows the template, which may hold a secret.
    why = "" if about.get("no_log") else f": {' '.join(str(error).split())}".rstrip(".")
    facts = " Facts (ansible_...) are not gathered by these playbooks." if "ansible_" in why else ""
    return f"cannot be evaluated{why}.{facts} Correct the template, or give the password of its vault."


def wrong_variables(values, errors, options):
    """What is wrong with the variables of one host, one sentence each, and the name of the variable that it is about."""
    for name, error in errors.items():
        yield name, cannot_be_evaluated(name, error, options[name])
    for name, value in values.items():
        setting = name.removeprefix("dask_worker_")
        if name not in options:
            near = meant(name, options)
            hint = f"Did you mean {near}?" if near else "Remove it; the README lists the variables there are."
            yield name, f"is no variable of daskops.cluster. {hint}"
        elif value is None:
            yield name, "is empty. Give it a value, or leave it out."
        elif name in ("dask_worker_pools", "dask_worker_pool_overrides"):
            continue
        elif instead := wanted(name, options[name], value):
            # Secrets are in no message.
            is_what = "is something else" if options[name].get("no_log") else f"is '{value}'"
            yield name, f"{is_what}. Give {instead}."
        elif setting in SETTINGS:
            yield from ((name, sentence.removeprefix(f"{name} ")) for sentence in wrong_value(name, setting, value))


def wrong_pools_of(values):
    """The same of a host's pools of workers: what two variables say together."""
    pools, overrides = (values.get(f"dask_worker_pool{kind}", {}) for kind in ("s", "_overrides"))
    for sentence in wrong_pools(pools, overrides):
        where, dummy, what = sentence.partition(" ")
        yield where, what


def problems(hostvars, options, playing):
    """What is wrong with variables, one sentence each, however many hosts have them.

    Parameters
    ----------
    hostvars : dict of Mapping
        Variables by host, of which only those that begin with ``dask_`` are read.
    options : dict
        The collection's variables, by name, as an argument specification has them.
    playing : collection of str
        The hosts of the run. What another would make of pools that are set for these alone is of no interest.
    """
    found = {}
    for host, variables in hostvars.items():
        values, errors = evaluate(variables, options)
        pools = wrong_pools_of(values) if host in playing else []
        for where, what in [*wrong_variables(values, errors, options), *pools]:
            found.setdefault((where, what), []).append(host)
    for (where, what), hosts in sorted(found.items()):
        whose = "all hosts" if len(hosts) == len(hostvars) > 1 else ", ".join(sorted(hosts))
        yield f"{where}, set for {whose}, {what}"


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        options = yaml.safe_load(SPECIFICATION.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
        hosts = [host for group in GROUPS for host in task_vars["groups"].get(group, [])]
        variables = variables_of(hosts, task_vars, self._templar)
        found = problems(variables, options, task_vars["ansible_play_hosts_all"])
        return refuse(result, found)
