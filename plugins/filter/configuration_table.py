# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: configuration_table
short_description: A table of the settings of running services
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Lists what M(daskops.cluster.configuration_info) told of several hosts. Services with the same value from the same origin
    share a line. Below stands the command line of each.
options:
  _input:
    description: Variables of the hosts, with what was told as C(__dask_configuration).
    type: list
    elements: dict
    required: true
  defaults:
    description: Whether to list Dask's own defaults, too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the configuration
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | map('extract', hostvars) | daskops.cluster.configuration_table }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

import json

from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.tables import table

HEADER = ("setting", "value", "from", "of")

# Longer values are cut: they are lists of modules mostly, and whoever wants all of one asks the module.
LONGEST = 50


def shown(value):
    """A value as YAML would have it, near enough for people."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def names(services, everyone):
    """Who has a setting, in few words."""
    workers = {service for service in everyone if "dask-worker@" in service}
    if set(services) == everyone and len(everyone) > 1:
        return "all services"
    if set(services) == workers and len(workers) > 1:
        return "all workers"
    return join(services)


def configuration_table(hosts, defaults=False):
    """The lines of a table of what the services of ``hosts``, variables of hosts, have set."""
    found, lines, silent, everyone = {}, [], [], set()
    for host in hosts:
        name = host["inventory_hostname"]
        told = host.get("__dask_configuration", {})
        if "services" not in told:
            silent.append(f"{name}: not known, for the host could not be asked")
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
                    said = f"{origin}, NOT ASKED FOR" if setting in about["drift"] else origin
                    found.setdefault((setting, shown(value), said), []).append(service)
            lines.append(f"{service}: {' '.join(filter(None, arguments))}")
    rows = [(*about, names(services, everyone)) for about, services in sorted(found.items())]
    return table(HEADER, rows) + lines + silent


class FilterModule:
    """Filters about settings."""

    def filters(self):
        return {"configuration_table": configuration_table}
