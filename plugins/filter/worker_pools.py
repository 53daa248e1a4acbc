# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: worker_pools
short_description: A host's pools of workers, with all of their settings
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Completes what the pools say with what the host says, and checks that nothing else is said.
  - A host without pools has one whose name is empty.
options:
  _input:
    description: Value of C(dask_worker_pools), settings by name of the pool.
    type: dict
    required: true
  overrides:
    description: Value of C(dask_worker_pool_overrides), which wins over the pools.
    type: dict
    required: true
  defaults:
    description: All settings that there are, with the host's values.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the threads of each pool
  ansible.builtin.debug:
    msg: "{{ pools | daskops.cluster.worker_pools({}, {'threads': 2, 'nanny': false, 'command': 'dask worker'}) }}"
  vars:
    pools:
      numeric: {threads: 4}
      other: {nanny: true}
"""

RETURN = r"""
_value:
  description: Every setting by name of the pool.
  type: dict
"""

import difflib
import re

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import meant, plain

PROFILES = ("numeric", "python", "mixed", "io", "gpu")
COMMANDS = ("dask worker", "dask cuda worker")
NAME = r"[a-z][a-z0-9_]{0,19}"


#: What a pool can say.
SETTINGS = (
    "profile",
    "count",
    "threads",
    "memory",
    "resources",
    "environment_variables",
    "arguments",
    "nanny",
    "lifetime",
    "lifetime_stagger",
    "cpus",
    "numa_node",
    "gpus",
    "command",
    "interface",
    "scratch_directory",
    "port",
    "dashboard_port",
    "nanny_port",
)

# The variables that these are called after.
VARIABLES = [f"dask_worker_{setting}" for setting in SETTINGS]

# Those that are no number or text.
DICTIONARIES = ("resources", "environment_variables")
LISTS = ("arguments",)
MAYBE_LISTS = ("gpus", "interface")
CHOICES = {"profile": PROFILES, "command": COMMANDS}


def _near(name, known):
    """What was probably meant, as the end of a sentence."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    if close:
        return f" Did you mean {close[0]}?"
    return f" There are {', '.join(known)}." if known else " It has none."


def is_plain(value):
    """Whether a value is a number or a text."""
    return isinstance(value, (str, int, float))


def wrong_value(where, key, value):
    """A sentence if a setting cannot have a value. ``where`` is what the user calls it."""
    if key in DICTIONARIES:
        if not isinstance(value, dict):
            yield f"{where} is no dictionary. Give names with their values."
    elif key in LISTS:
        if not isinstance(value, list) or not all(map(is_plain, value)):
            yield f"{where} is no list of words. Give one, also for a single value."
    elif not is_plain(value) and not (key in MAYBE_LISTS and isinstance(value, list) and all(map(is_plain, value))):
        yield f"{where} is empty, or no number and no text. Give one, or leave it out."
    elif value not in CHOICES.get(key, [value]):
        yield f"{where} is '{value}'.{_near(value, CHOICES[key])}"
    elif key == "nanny":
        try:
            boolean(value)
        except TypeError:
            yield f"{where} is '{value}'. Give true or false."


def _wrong_pools(variable, pools):
    """What is wrong with a dictionary of pools, one sentence each."""
    if not isinstance(pools, dict):
        yield f"{variable} is no dictionary. Give the settings of each pool below its name."
        return
    for name, about in pools.items():
        if not re.fullmatch(NAME, str(name)):
            yield (
                f"{variable} has '{name}', which is no name of a pool. Take up to 20 small letters, digits and _, a letter "
                "first."
            )
        elif not isinstance(about, dict):
            yield f"{variable}.{name} is no dictionary. Give the pool's settings, or {{}} for the host's."
        else:
            for key, value in about.items():
                where = f"{variable}.{name}.{key}"
                if key in SETTINGS:
                    yield from wrong_value(where, key, value)
                else:
                    setting = meant(f"dask_worker_{key}", VARIABLES).removeprefix("dask_worker_")
                    yield f"{where} is no setting of a pool.{_near(setting or key, SETTINGS)}"


def problems(pools, overrides):
    """What is wrong with ``dask_worker_pools`` and ``dask_worker_pool_overrides``, one sentence each."""
    found = [*_wrong_pools("dask_worker_pools", pools), *_wrong_pools("dask_worker_pool_overrides", overrides)]
    return found or [
        f"dask_worker_pool_overrides names {name}, which is no pool of this host.{_near(name, pools)}"
        for name in overrides
        if name not in pools
    ]


def _completed(settings):
    """The settings of one pool, true and false as such."""
    settings["nanny"] = boolean(settings["nanny"])
    if settings["command"] == "dask cuda worker":
        settings["nanny"] = True  # it has no choice
    return settings


def worker_pools(pools, overrides, defaults):
    """All settings by name of the pool; raises AnsibleFilterError where something else is said."""
    pools, overrides, defaults = plain(pools), plain(overrides), plain(defaults)
    found = problems(pools, overrides)
    found += [wrong for key, value in defaults.items() for wrong in wrong_value(f"dask_worker_{key}", key, value)]
    if found:
        raise AnsibleFilterError("\n".join(found))
    if not pools:
        return {"": _completed(dict(defaults))}
    return {name: _completed({**defaults, **about, **overrides.get(name, {})}) for name, about in pools.items()}


class FilterModule:
    """Filters about pools of workers."""

    def filters(self):
        return {"worker_pools": worker_pools}
