#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Let one run at a time change a cluster
version_added: "0.1.0"
description:
  - Takes the lock of the cluster on one of its hosts, which is the same host for every run. Waits while another run holds
    the lock, and fails after O(timeout) seconds. The message names the user, controller, command and start time of the
    other run.
  - While C(ansible-playbook) runs, a process on the controller renews the lock over the same connection. It releases the
    lock when C(ansible-playbook) ends for any reason. If the controller is lost, the lock expires after O(lease) seconds.
  - If the host cannot be reached for more than O(lease) seconds, another run may take over the lock. Then the process
    interrupts this run. If the host was rebooted, the process takes the lock again.
  - Warns, and takes no lock, if the host cannot be reached.
  - Does nothing in check mode, and with C(--tags health).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.run_lock
attributes:
  check_mode:
    support: full
    description: Takes no lock, and ignores the lock of another run.
  diff_mode:
    support: none
    description: The lock is not part of the host's configuration.
options:
  inspect:
    description:
      - Whether to inspect the host in the same remote command, if it is a host of the play. Then
        M(daskops.cluster.host_info) returns this result and executes nothing on this host.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the end of another run.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Take the lock of the cluster
  daskops.cluster.cluster_lock:
    timeout: 600
  delegate_to: scheduler.example.org
  run_once: true
"""

RETURN = r"""
info:
  description: Result of M(daskops.cluster.host_info) for the host.
  type: dict
  returned: if the lock is held and the host was inspected
held:
  description: Whether this run holds the lock.
  type: bool
  returned: always
holder:
  description: The run that holds the lock, if it is another one.
  type: dict
  returned: when another run holds the lock
  contains:
    user: {description: Its user on the controller., type: str, sample: ada}
    controller: {description: Host name of its controller., type: str, sample: ops1}
    command: {description: "Its playbooks, tags and limits.", type: str, sample: ansible-playbook site.yml --limit worker1}
    since: {description: "When it took the lock, in UTC by the host's clock.", type: str, sample: "2026-11-28 14:03:12"}
    seconds: {description: Seconds since it took the lock., type: int, sample: 95}
renew:
  description: Shell command that renews the lock. It fails if another run has the lock.
  type: str
  returned: when this run holds the lock
release:
  description: Shell command that releases the lock.
  type: str
  returned: when this run holds the lock
"""
