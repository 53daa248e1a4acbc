# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain

DOCUMENTATION = r"""
name: plain
short_description: A value whose texts are ordinary texts
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Decrypts inline C(!vault) texts in a value, also deep in lists and dictionaries. With ansible-core older than 2.19
    P(ansible.builtin.to_nice_yaml#filter) would write the encrypted text.
options:
  _input:
    description: Any value.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Write a configuration that may hold vaulted texts
  ansible.builtin.copy:
    content: "{{ configuration | daskops.cluster.plain | ansible.builtin.to_nice_yaml }}"
    dest: /etc/example.yaml
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The value.
  type: raw
"""


class FilterModule:
    """Filters about values."""

    def filters(self):
        return {"plain": plain}
