# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: configuration_table
short_description: Return a table of the settings of running services
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Lists the results of M(daskops.cluster.configuration_info) for several hosts. Services with the same value from the same
    origin share a line. The command line of each service follows the table.
options:
  _input:
    description: Result of M(daskops.cluster.configuration_info), by host.
    type: dict
    required: true
  _hosts:
    description: Names of the hosts. For a host without a result, the table says that it could not be reached.
    type: list
    elements: str
    required: true
  defaults:
    description: Whether to list also the settings that have Dask's default.
    type: bool
    default: false
positional: _hosts
seealso:
  - module: daskops.cluster.configuration_info
    description: Returns the settings of one host.
  - plugin: daskops.cluster.by_host
    plugin_type: filter
    description: Collects the results of several hosts.
"""

EXAMPLES = r"""
- name: Show the configuration
  ansible.builtin.debug:
    msg: >-
      {{ ansible_play_hosts | daskops.cluster.by_host(hostvars, 'configuration')
         | daskops.cluster.configuration_table(ansible_play_hosts) }}
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
  sample:
    - "setting                          value  from  of"
    - "distributed.worker.memory.spill  0.7    file  node1 dask-worker@1"
    - "node1 dask-worker@1: --nthreads 4"
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

HEADER = ("setting", "value", "from", "of")

# Longer values are cut, in characters. Most of them are lists of modules. The module's result has the complete values.
LONGEST = 50


def shown(value: object) -> str:
    """Return a value as JSON of at most `LONGEST` characters. A string has no quotes."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def names(services: Sequence[str], everyone: Set[str]) -> str:
    """Return the services that have a setting as text, such as ``all workers``."""
    workers = {service for service in everyone if "dask-worker@" in service}
    if set(services) == everyone and len(everyone) > 1:
        return "all services"
    if set(services) == workers and len(workers) > 1:
        return "all workers"
    return join(services)


def configuration_table(
    answers: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], defaults: bool = False
) -> list[str]:
    """Return the lines of the table; ``answers`` has the results of the module, by host."""
    found: dict[tuple[str, str, str], list[str]] = {}
    lines, silent, everyone = [], [], set()
    for name in hosts:
        told = answers.get(name, {})
        if "services" not in told:
            silent.append(f"{name}: not known, because the host could not be reached")
            continue
        silent += [f"{name} {unit}: not known, {why}" for unit, why in sorted(told["silent"].items())]
        for unit, about in sorted(told["services"].items()):
            service = f"{name} {unit.removesuffix('.service')}"
            everyone.add(service)
            arguments = []
            for setting, (value, origin) in about["settings"].items():
                if origin == "command line":
                    arguments += [setting, value]
                elif defaults or setting in about["drift"] or origin != "default":
                    said = f"{origin}, DIFFERS FROM THE RELEASE" if setting in about["drift"] else origin
                    found.setdefault((setting, shown(value), said), []).append(service)
            lines.append(f"{service}: {' '.join(filter(None, arguments))}")
    rows = [(*about, names(services, everyone)) for about, services in sorted(found.items())]
    return table(HEADER, rows) + lines + silent


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"configuration_table": configuration_table}
