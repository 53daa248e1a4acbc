# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_configuration
short_description: Merge configurations of Dask
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Merges mappings as Dask does. A later one wins, key by key; a list replaces a list.
  - What is no mapping never replaces one, so that a section that is empty in a later configuration changes nothing.
  - Keys are compared as Dask does, which takes a hyphen and an underscore for the same.
positional: _input
options:
  _input:
    description: Configurations, the weakest first.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Let the certificates of the cluster win over what users ask for
  ansible.builtin.set_fact:
    configuration: "{{ [defaults, dask_config, tls] | daskops.cluster.merge_configuration }}"
"""

RETURN = r"""
_value:
  description: One configuration.
  type: dict
"""


def merge_configuration(configurations):
    """One configuration of several, the last of which wins."""
    merged = {}
    for configuration in configurations:
        merged = _merge(merged, configuration or {})
    return merged


def _merge(old, new):
    """``old`` with what ``new`` says of the same keys."""
    merged = dict(old)
    names = {_canonical(key): key for key in old}
    for key, value in new.items():
        name = names.setdefault(_canonical(key), key)
        if isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value) if isinstance(value, dict) else merged[name]
        else:
            merged[name] = value
    return merged


def _canonical(key):
    return str(key).replace("_", "-")


class FilterModule:
    """Filters about Dask's configuration."""

    def filters(self):
        return {"merge_configuration": merge_configuration}
