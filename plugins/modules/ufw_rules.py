#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ufw_rules
short_description: Open the ports of Dask in ufw
version_added: "0.1.0"
description:
  - Adds rules to ufw that let hosts of the cluster and clients connect to the ports of Dask on this host, and removes those
    of its own rules that are not needed any more. New rules come first, so a connection that is allowed before and after is
    allowed in between, too.
  - The rules have the comment C(daskops.cluster). Other rules are not changed.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports which rules would be added and removed.
  diff_mode:
    support: full
    description: Shows the collection's rules before and after.
options:
  state:
    description: Whether the rules exist. With V(absent), removes all rules of the collection.
    type: str
    choices: [present, absent]
    default: present
  ports:
    description: The ports of this host, each with C(port) and whether C(clients) may connect.
    type: list
    elements: dict
    default: []
  networks:
    description: Networks of the C(cluster) and of C(clients), each by family (C(ipv4) and C(ipv6)).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Open the ports of a worker
  daskops.cluster.ufw_rules:
    ports:
      - {port: 8800, clients: false}
      - {port: 8900, clients: true}
    networks:
      cluster: {ipv4: [10.0.0.0/24], ipv6: []}
      clients: {ipv4: [10.1.0.0/16], ipv6: []}
"""

RETURN = r"""
added:
  description: Number of added rules.
  type: int
  returned: success
removed:
  description: Number of removed rules.
  type: int
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import UFW_DEFAULTS, read, setting
from ansible_collections.daskops.cluster.plugins.module_utils.ufw import (
    COMMENT,
    FILES,
    Rule,
    own_rules,
    read_rules,
    wanted_rules,
)


def run(module: AnsibleModule, rule: Rule, delete: bool = False) -> None:
    """Add or remove a rule."""
    command = ["ufw", *(["delete"] if delete else []), *rule.words, *([] if delete else ["comment", COMMENT])]
    status, output, errors = module.run_command(command)
    if status != 0:
        said = errors.strip() or output.strip()
        module.fail_json(
            msg=f"{' '.join(command)} failed: {said}. Correct that, or set dask_firewall to another value."
        )


def shown(rules: list[Rule]) -> str:
    """Return rules as the lines of a diff."""
    return "".join(f"{' '.join(rule.words)}\n" for rule in sorted(rules))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "ports": {"type": "list", "elements": "dict", "default": []},
            "networks": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    known = read_rules(map(read, FILES))
    own, wanted = own_rules(known), []
    if module.params["state"] == "present":
        ipv6 = setting("IPV6", read(UFW_DEFAULTS)) == "yes"
        wanted = wanted_rules(module.params["ports"], module.params["networks"], ipv6)
    # A user's own rule that does the same stays the user's.
    added = [rule for rule in wanted if rule not in known]
    removed = [rule for rule in own if rule not in wanted]
    if not module.check_mode:
        for rule in added:
            run(module, rule)
        for rule in removed:
            run(module, rule, delete=True)
    after = [*(rule for rule in own if rule not in removed), *added]
    module.exit_json(
        changed=bool(added or removed),
        added=len(added),
        removed=len(removed),
        diff={"before_header": "ufw", "after_header": "ufw", "before": shown(own), "after": shown(after)},
    )


if __name__ == "__main__":
    main()
