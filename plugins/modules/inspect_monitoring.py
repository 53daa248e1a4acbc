#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inspect_monitoring
short_description: Find the monitoring on a host, and which of it belongs to other clusters
version_added: "0.1.0"
description:
  - Fails if a run would overwrite files of another cluster, or a Prometheus that the collection did not set up.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.attributes.read_only
options:
  directory:
    description: The directory of the files.
    type: path
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  scheduler:
    description: Address of its scheduler, without a protocol.
    type: str
    required: true
  state:
    description: Value of C(dask_monitoring).
    type: str
    choices: [files, prometheus, absent]
    required: true
  names:
    description: Paths in the directory of all files that the run may write or remove.
    type: list
    elements: str
    required: true
  services:
    description: Whether Prometheus can be installed on this host. It cannot on the controller.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Find the files and Prometheus
  daskops.cluster.inspect_monitoring:
    directory: /etc/prometheus/dask
    cluster: main
    scheduler: 10.0.0.1:8786
    state: files
    names: [dask-main-scrape.yml, dask-rules.yml]
    services: true
"""

RETURN = r"""
absent:
  description: The names of O(names) that belong to no other cluster.
  type: list
  elements: str
  returned: success
remove_prometheus:
  description: Whether the collection set up Prometheus for this cluster, and O(state) is another one than V(prometheus).
  type: bool
  returned: success
programs:
  description: Whether Prometheus and the node exporter are installed.
  type: dict
  returned: success
  sample: {prometheus: true, prometheus-node-exporter: false}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.monitoring import DROP_IN, inspect
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported

#: Exists while Prometheus starts at boot.
ENABLED = "/etc/systemd/system/multi-user.target.wants/prometheus.service"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "cluster": {"type": "str", "required": True},
            "scheduler": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["files", "prometheus", "absent"], "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "services": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    services, state = given.pop("services"), given["state"]
    with reported(module, "inspecting the monitoring"):
        found = inspect(**given, drop_in=DROP_IN if services else "")
    if state == "prometheus" and os.path.lexists(ENABLED) and not os.path.exists(DROP_IN):
        found.problems.append(
            "dask_monitoring is prometheus, but a Prometheus that the collection did not set up starts at boot. Set "
            "dask_monitoring to files and add the files to its configuration, or disable prometheus.service."
        )
    if found.problems:
        module.fail_json(msg="\n".join(found.problems))
    programs = {name: os.path.exists(f"/usr/bin/{name}") for name in ("prometheus", "prometheus-node-exporter")}
    module.exit_json(absent=found.absent, remove_prometheus=found.remove_prometheus, programs=programs)


if __name__ == "__main__":
    main()
