#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration_info
short_description: Return the settings of a host's running Dask services
version_added: "0.1.0"
description:
  - Reads the configuration of every running service, and the origin of each value, from the service's control socket.
    Only root and the services' account can use that socket.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  timeout:
    description: Seconds to wait for the complete answer of a service.
    type: float
    default: 5
seealso:
  - plugin: daskops.cluster.configuration_table
    plugin_type: filter
    description: Makes a table from the results of several hosts.
  - name: Configuration of Dask
    description: Files, environment variables and keys.
    link: https://docs.dask.org/en/stable/configuration.html
"""

EXAMPLES = r"""
- name: Read the configuration of the services
  daskops.cluster.configuration_info:
  register: configuration

- name: Show where a worker's threshold for spilling comes from
  ansible.builtin.debug:
    var: configuration.services['dask-worker@1.service'].settings['distributed.worker.memory.spill']
"""

RETURN = r"""
services:
  description: The answer of each running service, by unit.
  type: dict
  returned: always
  contains:
    settings:
      description:
        - Value and origin by key of Dask's configuration, and by option of the command line.
        - The origin is V(default), V(file) for the file of the service's release, the path of another file, the name of
          an environment variable, V(command line), or V(the process) for a value set at run time.
      type: dict
    drift:
      description: Keys whose value differs from the release's configuration.
      type: list
      elements: str
  sample:
    dask-worker@1.service:
      settings:
        distributed.worker.memory.spill: [0.7, file]
        --nthreads: ["4", command line]
      drift: []
silent:
  description: Error by unit, for services that did not answer.
  type: dict
  returned: always
  sample:
    dask-worker@2.service: no complete answer within 5 s
"""

import functools
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils import service_socket
from ansible_collections.daskops.cluster.plugins.module_utils.accounts import as_user
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_answers import from_settings, printable
from ansible_collections.daskops.cluster.plugins.module_utils.units import RUNTIME_DIRECTORIES, shown_services


def ask(path: str, timeout: float) -> dict[str, Any]:
    """Return the validated answer of a service at its socket."""
    return from_settings(service_socket.ask(path, "configuration", timeout))


def main() -> None:
    module = AnsibleModule(argument_spec={"timeout": {"type": "float", "default": 5}}, supports_check_mode=True)
    timeout = module.params["timeout"]
    services, silent = {}, {}
    for unit, shown in shown_services(module).items():
        if shown["ActiveState"] == "active":
            name = unit.replace(".service", "").replace("@", "-")
            directory = os.path.join(RUNTIME_DIRECTORIES, name)
            try:
                # The services' account owns the directory and could replace the socket with a link to another one.
                owner = os.stat(directory).st_uid
                path = os.path.join(directory, service_socket.SOCKET)
                services[unit] = as_user(owner, functools.partial(ask, path, timeout), timeout + 1)
            except (OSError, ValueError) as error:
                silent[unit] = printable(error)
    module.exit_json(changed=False, services=services, silent=silent)


if __name__ == "__main__":
    main()
