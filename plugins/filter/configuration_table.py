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
    share a line, and the command lines, of which every service has its own, come last.
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


def configuration_table(hosts, defaults=False):
    """The lines of a table of what the services of ``hosts``, variables of hosts, have set."""
    found, silent = {}, []
    for host in hosts:
        name = host["inventory_hostname"]
        told = host.get("__dask_configuration", {})
        if "services" not in told:
            silent.append(f"{name}: not known, for the host could not be asked")
            continue
        silent += [f"{name} {unit}: not known, {why}" for unit, why in sorted(told["silent"].items())]
        for unit, about in sorted(told["services"].items()):
            service = f"{name} {unit.removesuffix('.service')}"
            for setting, (value, origin) in about["settings"].items():
                drifts = setting in about["drift"]
                if defaults or drifts or origin != "default":
                    said = f"{origin}, NOT ASKED FOR" if drifts else origin
                    key = (setting.startswith("--"), setting, json.dumps(value), said)
                    found.setdefault(key, []).append(service)
    lines = [
        (setting, value, origin, join(services)) for (dummy, setting, value, origin), services in sorted(found.items())
    ]
    return table(HEADER, lines) + silent


class FilterModule:
    """Filters about settings."""

    def filters(self):
        return {"configuration_table": configuration_table}
