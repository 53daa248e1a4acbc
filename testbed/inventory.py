#!/usr/bin/env python3
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection variables of the group testbed: an inventory to add with -i to the one that lists the hosts.

It is a script because it needs the path of the checkout, independent of the working directory and the playbook, and because
all readers of the inventory (Ansible, Molecule, testinfra) need plain values.
"""

import json
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

VARIABLES = {
    "ansible_user": "ops",
    "ansible_ssh_private_key_file": str(CHECKOUT / ".cache" / "testbed" / "id_ed25519"),
    "ansible_ssh_common_args": f"-F {CHECKOUT / 'testbed' / 'ssh_config'}",
    "ansible_pipelining": True,
    "ansible_become": True,
    "ansible_python_interpreter": "/usr/bin/python3",
    "dask_tls_directory": str(CHECKOUT / ".cache" / "testbed" / "tls-{{ testbed_name }}"),
    "testbed_cache": str(CHECKOUT / ".cache" / "testbed"),
}

print(json.dumps({"testbed": {"vars": VARIABLES}, "_meta": {"hostvars": {}}}))
