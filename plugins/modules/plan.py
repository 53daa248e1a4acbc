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
  - Plans the release of each host and the changes that this host needs, from the variables of all hosts and the results of
    M(daskops.cluster.host_info). Fails with a sentence for each problem.
  - Fetches missing packages into an archive from which M(daskops.cluster.environment) builds an environment.
  - Runs on the controller, which needs C(pip), for all hosts at once (C(run_once)). Changes no host.
  - Reads the results that the role preflight registers as C(__dask_host), all variables of the collection, C(ansible_host)
    and C(ansible_port). The result contains no secrets.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
attributes:
  check_mode:
    support: full
    description: Fetches packages into the controller's cache in check mode, too. Changes no host.
  diff_mode:
    support: none
    description: The module changes nothing.
options:
  purpose:
    description:
      - Purpose of the run.
      - V(change) plans a release from the variables. V(start) and V(restart) use the release that is installed on the host.
        V(rollback) uses the release from before the latest change of the cluster.
      - V(stop) stops the services until they are started again. V(remove) removes them.
      - V(show) plans services for display only, and V(monitor) for the files of Prometheus. V(rotate), V(connect) and
        V(inspect) plan no services.
    type: str
    choices: [change, start, restart, rollback, stop, remove, rotate, connect, monitor, show, inspect]
    default: change
  scheduler_info:
    description: Result of M(daskops.cluster.host_info) for the scheduler's host, if that host is not in the run.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Inspect the host
  daskops.cluster.host_info:
  register: __dask_host

- name: Plan the services of the hosts
  daskops.cluster.plan:
  run_once: true
  register: plan

- name: Show the workers of each host
  ansible.builtin.debug:
    msg: "{{ plan.expected[inventory_hostname] | map(attribute='name') }}"
"""

RETURN = r"""
addresses:
  description:
    - Addresses of the cluster. C(scheduler) is the scheduler's address. C(url) is the base URL of its HTTP routes, and
      C(ca_path) is the file with the CA certificates for that URL. C(dashboard) and C(proxy_path) belong to the dashboard.
  type: dict
  returned: always
application:
  description: C(id) and C(packages) of the application; for the purpose V(change). The id is empty if there is none.
  type: dict
  returned: for the purpose V(change)
asked_host:
  description: The host that queries the scheduler.
  type: str
  returned: always
back:
  description: Whether the run is a rollback.
  type: bool
  returned: always
certificates:
  description:
    - C(directory) is the directory on the controller for the CA and the certificates.
    - C(scheduler_hosts) lists the names and addresses that the scheduler's certificate must have, besides those of its host.
    - C(dashboard_hosts) has the names and addresses in URLs of the dashboard that uses this certificate, each with the
      variable that determines it.
    - C(tls_choices) lists the different settings of C(distributed.comm.tls) by kind of service, each with a host and its
      variables.
    - C(made) says whether the collection makes the certificates, and C(joins) whether another system runs the scheduler.
    - C(days) and C(warn_days) are the variables C(dask_tls_days) and C(dask_tls_warn_days).
  type: dict
  returned: always
change:
  description: Start of the change to which the run belongs, in seconds since the epoch by the controller's clock.
  type: int
  returned: for the purpose V(change)
connection:
  description:
    - Addresses, certificates and versions that clients need to connect.
    - If the run removes the files of clients, only the address.
  type: dict
  returned: for the purpose V(connect), and for V(remove) if all hosts of the cluster are in the run
complete:
  description: Whether all worker hosts are in the run.
  type: bool
  returned: always
environments:
  description: The C(origin) and the C(packages) of each planned environment, by its id.
  type: dict
  returned: for the purpose V(change)
expected:
  description: The expected workers by host, each with C(name) and C(release).
  type: dict
  returned: success
hint:
  description: What to check, besides the journal, if a worker does not start.
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
      description:
        - The planned release, with its C(id), the ids of its C(environment) and C(application), its C(label), its
          C(services) - release by name of the unit, by kind - and C(trial), the services to try. Empty for none.
        - A task that needs the files of the release renders them again, or reads them on the host.
      type: dict
    environment:
      description:
        - What the host needs for its environment - C(python), C(prefixes), C(boot_python), C(archive), C(managed_python) and
          C(python_archive).
        - For the purpose V(change).
      type: dict
    application_archive:
      description: The archive of the application, if the host lacks it; for the purpose V(change).
      type: str
    workers:
      description: The planned workers; for the purpose V(show).
      type: list
      elements: dict
    ports:
      description:
        - The ports on which its services listen; for the purpose V(show), and with a managed firewall for the purpose
          V(change).
      type: list
      elements: dict
    address:
      description: The address at which its services listen; for the purpose V(show).
      type: str
    firewall:
      description: The firewall that filters its ports, a value of C(dask_firewall); for the purpose V(show).
      type: str
    interrupts:
      description:
        - Whether the run restarts a running scheduler, and therefore waits until the scheduler has no work.
        - False for the purposes V(stop) and V(remove), which drain the workers first.
      type: bool
    contact_host:
      description: Value of C(dask_worker_contact_host), if it is set.
      type: str
    proxy_host:
      description: The host's address as in a URL, with brackets for IPv6; for the scheduler's host.
      type: str
    unwanted_firewalls:
      description: Firewalls in which the collection has installed rules that the host should no longer have.
      type: list
      elements: str
    user:
      description: The user of its services; for the purpose V(change).
      type: str
    scratch:
      description: Scratch directories of its workers; for the purpose V(remove).
      type: list
      elements: str
    networks:
      description:
        - The networks that may connect, by address family, in C(cluster) for the cluster's hosts and C(clients) for clients.
        - For the purpose V(change), with a managed firewall.
      type: dict
    machine:
      description: Its hardware - C(cpus), C(memory), C(nodes), C(gpus); for the purpose V(show).
      type: dict
    ssh_port:
      description: Port to which Ansible connects; for the purpose V(show).
      type: int
    problems:
      description: A sentence for each reason why the host cannot run its planned services; for the purpose V(show).
      type: list
      elements: str
label:
  description: The label that releases are to have; empty for none.
  type: str
  returned: always
python:
  description:
    - Why hosts whose C(dask_python) is V(auto) get a managed Python. Empty if they do not, and for other purposes than
      V(show).
  type: str
  returned: always
lock:
  description: Path of the lock file on the controller.
  type: str
  returned: always
maintenance:
  description: The hosts of the run that are in maintenance (C(dask_maintenance)).
  type: list
  elements: str
  returned: success
missing_packages:
  description: A sentence for each used feature whose package is missing from the lock.
  type: list
  elements: str
  returned: unless the purpose is V(show)
drift:
  description:
    - A sentence for each environment outside of C(dask_home) that has other packages than the services were started with.
  type: list
  elements: str
  returned: success
monitoring:
  description:
    - What the role monitoring sets up, by host - the C(state), a value of C(dask_monitoring), the C(directory), the C(files)
      with their content, the C(names) of all files that a run may have written, the C(drop_ins) of systemd with their
      content, and the address of Prometheus (C(listen)).
    - For the purpose V(show), the C(ports) of each host on which the collection installs Prometheus.
  type: dict
  returned: for the purposes V(monitor) and V(show), and for V(remove) if all hosts of the cluster are in the run
mixed:
  description: A sentence if hosts with the same settings run releases of different changes.
  type: list
  elements: str
  returned: success
plays:
  description:
    - The hosts of each play that changes something, by name of the play.
    - The purpose V(change) has the plays C(build), C(stage), C(trial), C(firewall), C(proxy) and C(proxy_unwanted). Each
      purpose that starts services has the plays C(maintenance), C(scheduler), C(starting) and C(rolling).
    - C(installed) has the hosts of C(stage) on which the release is installed, because a later change was reverted. There,
      the run only notes that this change is over.
    - C(serial) is the value of C(dask_serial).
  type: dict
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
  description:
    - The planned release of the scheduler.
    - Empty if its host is not in the run, or if C(dask_summary_route) is false.
  type: str
  returned: success
scheduler_older:
  description: Whether an earlier run has left the scheduler with an older release than the workers.
  type: bool
  returned: success
state:
  description: State of the services, a value of O(daskops.cluster.services#module:state).
  type: str
  returned: always
"""
