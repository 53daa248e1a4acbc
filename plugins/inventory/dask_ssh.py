# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dask_ssh
short_description: Hosts of a hostfile of dask ssh
version_added: "0.1.0"
author:
  - The daskops.cluster authors (@daskops)
description:
  - Reads a file with names of hosts, as C(dask ssh --hostfile) does, into the groups C(dask_scheduler) and C(dask_workers).
  - The options have the names of the options of C(dask ssh).
  - The name of the file with these options must end with C(dask_ssh.yml) or C(dask_ssh.yaml).
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [daskops.cluster.dask_ssh]
  hostfile:
    description:
      - File with the names or addresses of hosts, separated by white space. Repeated names count once, because batch systems
        write a line for each slot. C(#) starts a comment.
      - A relative path is relative to the file with these options. C(~) and environment variables such as C($PBS_NODEFILE)
        are replaced.
    type: str
    required: true
  scheduler:
    description: Host of the scheduler. Without it, the first host of O(hostfile).
    type: str
    default: ""
  scheduler_works:
    description:
      - Whether the scheduler's host also has workers, as with C(dask ssh). A single host always has both.
      - A worker that needs all of the memory can then affect the scheduler.
    type: bool
    default: false
  ssh_username:
    description: User that Ansible logs in as; C(ansible_user).
    type: str
  ssh_port:
    description: Port of SSH; C(ansible_port).
    type: int
  ssh_private_key:
    description: Private key for SSH; C(ansible_ssh_private_key_file).
    type: str
  scheduler_port:
    description: Port of the scheduler; C(dask_scheduler_port).
    type: int
  nworkers:
    description: Number of workers on each host; C(dask_worker_count). Without it, the collection divides the host.
    type: int
  nthreads:
    description: Number of threads of each worker; C(dask_worker_threads). Without it, the collection divides the CPUs.
    type: int
  memory_limit:
    description: Memory limit of each worker, such as V(4GiB) or V(0.5); C(dask_worker_memory).
    type: str
  local_directory:
    description: Directory to which workers spill data; C(dask_worker_scratch_directory).
    type: str
  remote_python:
    description: Interpreter on the hosts, or a version of Python; C(dask_python).
    type: str
seealso:
  - name: dask ssh
    description: The command of Dask that starts a cluster for as long as it runs.
    link: https://docs.dask.org/en/stable/deploying-ssh.html
"""

EXAMPLES = r"""
# hosts.dask_ssh.yml, for: dask ssh --hostfile hosts.txt --ssh-username ada --nworkers 4
plugin: daskops.cluster.dask_ssh
hostfile: hosts.txt
ssh_username: ada
nworkers: 4
---
# In a job of PBS, with the scheduler on the login node.
plugin: daskops.cluster.dask_ssh
hostfile: $PBS_NODEFILE
scheduler: login1
"""

import difflib
import os
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.names import PREFIX, SIMILAR, instead, meant
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import to_bool
from ansible_collections.daskops.cluster.plugins.plugin_utils.hostfiles import (
    HostfileError,
    divide,
    is_host,
    read_hosts,
)

#: Variable of each option, by the group that has it.
VARIABLES = {
    "all": {
        "ssh_username": "ansible_user",
        "ssh_port": "ansible_port",
        "ssh_private_key": "ansible_ssh_private_key_file",
        "scheduler_port": "dask_scheduler_port",
        "remote_python": "dask_python",
    },
    "dask_workers": {
        "nworkers": "dask_worker_count",
        "nthreads": "dask_worker_threads",
        "memory_limit": "dask_worker_memory",
        "local_directory": "dask_worker_scratch_directory",
    },
}


def _remedy(name: str, known: list[str]) -> str:
    """Return what to do about an unknown option, which may be one of dask ssh that this plugin does not have."""
    if explanation := instead(f"{PREFIX}{name}"):
        return f"Remove it. {explanation}"
    options = {variable: option for some in VARIABLES.values() for option, variable in some.items()}
    variable = meant(f"{PREFIX}{name}", SETTINGS)
    near = next(iter(difflib.get_close_matches(name, known, 1, SIMILAR)), "") or options.get(variable, "")
    if near:
        return f"Did you mean {near}?"
    return f"Set the variable {variable} instead." if variable else f"The options are {', '.join(known)}."


class InventoryModule(BaseInventoryPlugin):
    """Inventory of the hosts in a file."""

    NAME = "daskops.cluster.dask_ssh"

    def verify_file(self, path: str) -> bool:
        """Return whether a file can have options of this plugin."""
        return bool(super().verify_file(path)) and path.endswith(("dask_ssh.yml", "dask_ssh.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts, their groups and their variables to the inventory."""
        super().parse(inventory, loader, path, cache)
        given = self._read_config_data(path)
        known = list(self.get_options())
        for name in given:
            if name not in known:
                remedy = _remedy(str(name), known)
                raise AnsibleParserError(f"{path}: {name} is not an option of this plugin. {remedy}")
        hostfile = os.path.expanduser(os.path.expandvars(self.get_option("hostfile")))
        hostfile = os.path.join(os.path.dirname(os.path.abspath(path)), hostfile)
        scheduler = self.get_option("scheduler")
        if scheduler and not is_host(scheduler):
            raise AnsibleParserError(
                f"scheduler: {scheduler!r} is not the name of a host. Write its name or its address."
            )
        # Ansible reads other words as false.
        works = to_bool(given.get("scheduler_works", False))
        if works is None:
            raise AnsibleParserError(
                f"scheduler_works: {given['scheduler_works']!r} is not true or false. Write one of the two."
            )
        try:
            # Editors on Windows write a byte order mark.
            with open(hostfile, encoding="utf-8-sig") as file:
                hosts = read_hosts(file.read())
        except (OSError, ValueError) as error:
            raise AnsibleParserError(f"hostfile: {hostfile} cannot be read: {error}. Correct the path.") from error
        except HostfileError as error:
            raise AnsibleParserError(f"hostfile: {hostfile}: {error}") from error
        first, workers = divide(hosts, scheduler, works)
        for group, members in {"dask_scheduler": [first], "dask_workers": workers}.items():
            inventory.add_group(group)
            for host in members:
                inventory.add_host(host, group=group)
        for group, variables in VARIABLES.items():
            for option, variable in variables.items():
                value = self.get_option(option)
                if value is not None:
                    inventory.set_variable(group, variable, value)
