#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Plan what a run does to each host
version_added: "0.1.0"
description:
  - Decides, from the variables of all hosts and from what M(daskops.cluster.host_info) returned for them, what each host is
    to run and what has to be done for that. It fails with a sentence for each reason against it.
  - Fetches the packages that hosts lack, once, into an archive for M(daskops.cluster.environment).
  - Runs on the controller, which needs C(pip), for all hosts at once (C(run_once)). It changes no host.
  - Reads the results that the role preflight registers as C(__dask_host), and every variable of the collection. Of other
    variables, it reads C(ansible_host) and C(ansible_port). The result holds no secret.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Fetches packages in either mode, into the controller's cache; changes no host.
  diff_mode:
    support: none
    description: There is no change to show.
options:
  purpose:
    description:
      - What the run is for.
      - With V(change), hosts run what the variables say.
      - With V(start) and V(restart), hosts run their installed release. With V(rollback), they run the release from
        before the latest change.
      - With V(stop) and V(remove), services are stopped, for good or until they are started.
      - With V(show), services are planned and nothing is compared. With V(rotate),
        V(connect) and V(look), nothing is planned.
    type: str
    choices: [change, start, restart, rollback, stop, remove, rotate, connect, show, look]
    default: change
  scheduler_info:
    description: What M(daskops.cluster.host_info) returned for the scheduler's host, where it is not in the run.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Look at the host
  daskops.cluster.host_info:
  register: __dask_host

- name: Plan what the hosts run
  daskops.cluster.plan:
  run_once: true
  register: plan

- name: Show the workers of each host
  ansible.builtin.debug:
    msg: "{{ plan.hosts[inventory_hostname].workers | map(attribute='name') }}"
"""

RETURN = r"""
addresses:
  description:
    - Where the cluster is reached - C(scheduler), C(url) where the collection asks it, C(ca_path) with the certificates that
      are trusted there, C(dashboard) and C(proxy_path).
  type: dict
  returned: always
asked_host:
  description: The host from which the scheduler is asked.
  type: str
  returned: always
back:
  description: Whether the run is a rollback.
  type: bool
  returned: always
certificates:
  description:
    - The C(directory) on the controller for the CA and the certificates; C(scheduler_hosts), names and addresses that the
      scheduler's certificate must be for, besides those of its host; and C(dashboard_host), the name or address under which
      the dashboard is asked over HTTPS, empty if it is not.
  type: dict
  returned: always
change:
  description: When, in seconds since the epoch and by the controller's clock, the change began that the run belongs to.
  type: int
  returned: for the purpose V(change)
connection:
  description: What users need to connect to the cluster; for the purpose V(connect).
  type: dict
  returned: success
complete:
  description: Whether all worker hosts are in the run.
  type: bool
  returned: always
expected:
  description: The workers that the cluster should have, C(name) and C(release) of each, by host.
  type: dict
  returned: success
hint:
  description: What to look at if a worker does not come up.
  type: str
  returned: always
hosts:
  description: The plan of each host.
  type: dict
  returned: success
  contains:
    kinds:
      description: Kinds of its services, V(scheduler) and V(worker).
      type: list
      elements: str
    release:
      description: The release that it is to run, with C(id), C(environment), C(services) and C(units); empty for none.
      type: dict
    environment:
      description: Its environment, with C(id), C(python), C(lock), C(archive) and C(packages); for the purpose V(change).
      type: dict
    workers:
      description: The workers that it is to run; for the purposes V(change) and V(show).
      type: list
      elements: dict
    ports:
      description: The ports that its services listen on; for the purposes V(change) and V(show).
      type: list
      elements: dict
    address:
      description: The address that its services listen at; for the purposes V(change) and V(show).
      type: str
    firewall:
      description: What filters its ports; for the purposes V(change) and V(show).
      type: str
    interrupts:
      description: Whether a scheduler that serves is stopped.
      type: bool
    user:
      description: User that its services run as; for the purpose V(change).
      type: str
    scratch:
      description: Scratch directories of its workers; for the purpose V(remove).
      type: list
      elements: str
    networks:
      description: Who may connect, C(cluster) and C(clients), by family; for the purpose V(change).
      type: dict
    machine:
      description: What it has - C(cpus), C(memory), C(nodes), C(gpus); for the purpose V(show).
      type: dict
    ssh_port:
      description: Port that Ansible connects to; for the purpose V(show).
      type: int
    problems:
      description: Why it cannot run what its variables say, a sentence each; for the purpose V(show).
      type: list
      elements: str
groups:
  description: The C(name) of each host that needs something, and the C(groups) of the later plays for it.
  type: list
  elements: dict
  returned: success
lock:
  description: Path of the lock file on the controller.
  type: str
  returned: always
missing_packages:
  description: A sentence for each package that a feature in use lacks.
  type: list
  elements: str
  returned: unless the purpose is V(show)
mixed:
  description: A sentence if hosts with the same settings run releases of different changes.
  type: list
  elements: str
  returned: success
purpose:
  description: Value of O(purpose).
  type: str
  returned: always
rollback_report:
  description: The current and the target release of each host, in lines.
  type: list
  elements: str
  returned: for the purpose V(rollback)
scheduler:
  description: The scheduler's host; empty if another system runs the scheduler.
  type: str
  returned: always
scheduler_release:
  description: The release that the scheduler is to run; empty if its host is not in the run.
  type: str
  returned: success
scheduler_older:
  description: Whether an earlier run has left the scheduler with an older release than the workers.
  type: bool
  returned: success
serial:
  description: Value of C(dask_serial).
  type: raw
  returned: always
state:
  description: What services are to do, a value of O(daskops.cluster.services#module:state).
  type: str
  returned: always
"""
