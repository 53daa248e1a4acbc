#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: take_cluster_lock
short_description: Take the lock of a cluster once
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.cluster_lock), which repeats it while another run holds the lock.
  - Takes the lock if it is free, has expired, or is held by this run.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.run_lock
attributes:
  check_mode:
    support: full
    description: Takes no lock.
  diff_mode:
    support: none
    description: The lock is not part of the host's configuration.
options:
  id:
    description: Name of the run.
    type: str
    required: true
  holder:
    description: The user, controller and command of the run, which other runs report.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Take the lock
  daskops.cluster.take_cluster_lock:
    id: ops1.4711.123456
    holder: {user: ada, controller: ops1, command: ansible-playbook site.yml}
"""

RETURN = r"""
held:
  description: Whether the run holds the lock.
  type: bool
  returned: success
holder:
  description: See RV(daskops.cluster.cluster_lock#module:holder).
  type: dict
  returned: when another run holds the lock
renew:
  description: See RV(daskops.cluster.cluster_lock#module:renew).
  type: str
  returned: when the run holds the lock
release:
  description: See RV(daskops.cluster.cluster_lock#module:release).
  type: str
  returned: when the run holds the lock
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.run_lock import DIRECTORY, LockError, RunLock


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "lease": {"type": "int", "default": 60},
            "directory": {"type": "path", "default": DIRECTORY},
            "id": {"type": "str", "required": True},
            "holder": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, held=False)
    lock = RunLock(module.params["id"], module.params["directory"])
    try:
        other = lock.acquire(module.params["holder"], module.params["lease"])
    except LockError as error:
        module.fail_json(msg=str(error))
    if other:
        module.exit_json(changed=False, held=False, holder=other)
    module.exit_json(changed=False, held=True, renew=lock.renew_command, release=lock.release_command)


if __name__ == "__main__":
    main()
