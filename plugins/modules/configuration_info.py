#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration_info
short_description: Ask a host's Dask services for their settings
version_added: "0.1.0"
description:
  - Asks every running service for its configuration and where each value came from, at the socket that is root's and the
    services' user's alone.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  timeout:
    description: Seconds that a service may take until its whole answer is there.
    type: float
    default: 5
"""

EXAMPLES = r"""
- name: Ask the services for their configuration
  daskops.cluster.configuration_info:
  register: configuration

- name: Show where a worker's threshold for spilling comes from
  ansible.builtin.debug:
    var: configuration.services['dask-worker@1.service'].settings['distributed.worker.memory.spill']
"""

RETURN = r"""
services:
  description: What each service that runs told, by its unit.
  type: dict
  returned: always
  contains:
    settings:
      description:
        - Value and origin by key of Dask's configuration, and by option of the command line.
        - The origin is V(default), V(file) for that of the service's release, the path of another file, an environment
          variable, whose value is not told, V(command line), or V(the process), which has set it itself.
      type: dict
    drift:
      description: Keys that are not as they were asked for.
      type: list
      elements: str
  sample:
    dask-worker@1.service:
      settings:
        distributed.worker.memory.spill: [0.7, file]
        --nthreads: ["4", command line]
      drift: []
silent:
  description: Units whose services gave no answer, and why.
  type: dict
  returned: always
  sample: {}
"""

import functools
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils import service_socket
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_settings, printable
from ansible_collections.daskops.cluster.plugins.module_utils.units import RUNTIME_DIRECTORIES, shown_services


def ask(path, timeout):
    """What a service answers at its socket, checked."""
    return from_settings(service_socket.ask(path, "configuration", timeout))


def main():
    module = AnsibleModule(argument_spec={"timeout": {"type": "float", "default": 5}}, supports_check_mode=True)
    timeout, services, silent = module.params["timeout"], {}, {}
    for unit, shown in shown_services(module).items():
        if shown["ActiveState"] == "active":
            name = unit.replace(".service", "").replace("@", "-")
            directory = os.path.join(RUNTIME_DIRECTORIES, name)
            try:
                # The socket is in a directory of the services' user, who could put a link to another socket there.
                owner = os.stat(directory).st_uid
                path = os.path.join(directory, service_socket.SOCKET)
                services[unit] = as_user(owner, functools.partial(ask, path, timeout), timeout + 1)
            except (OSError, ValueError) as error:
                silent[unit] = printable(error)
    module.exit_json(changed=False, services=services, silent=silent)


if __name__ == "__main__":
    main()
