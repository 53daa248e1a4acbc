#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_host
short_description: Plan a host's Dask services
version_added: "0.1.0"
description:
  - Shares a host's cores, memory and ports out to its workers, and checks that the host can run them. Fails with all that
    is in the way, each with its remedy.
  - Runs on the controller; what M(daskops.cluster.host_info) reported is all that it knows of the host.
author:
  - The daskops.cluster authors
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.read_only
options:
  info:
    description: What M(daskops.cluster.host_info) returned for the host, asked for O(settings.home), the scratch directories
      and interfaces of O(settings.pools), O(settings.paths), O(settings.devices) and the directory of
      O(settings.scheduler_file).
    type: dict
    required: true
  settings:
    description: What the host is to run.
    type: dict
    required: true
    suboptions:
      scheduler:
        description: Whether the host runs the scheduler.
        type: bool
        required: true
      worker:
        description: Whether the host runs workers.
        type: bool
        required: true
      alone:
        description: Whether it is the only host of the cluster.
        type: bool
        required: true
      scheduler_host:
        description: Host of the scheduler's address.
        type: str
        required: true
      interface:
        description: Value of C(dask_interface).
        type: str
        required: true
      bind_address:
        description: Value of C(dask_bind_address).
        type: str
        required: true
      home:
        description: Value of C(dask_home).
        type: path
        required: true
      user_home:
        description: Home directory of the user that the services run as.
        type: path
        required: true
      python:
        description: Value of C(dask_python).
        type: str
        required: true
      free_disk:
        description: Value of C(dask_free_disk).
        type: str
        required: true
      tls:
        description: Value of C(dask_tls).
        type: bool
        required: true
      firewall:
        description: Value of C(dask_firewall).
        type: str
        required: true
      scratch_any_filesystem:
        description: Value of C(dask_worker_scratch_any_filesystem).
        type: bool
        required: true
      paths:
        description: Value of C(dask_worker_paths).
        type: list
        elements: path
        required: true
      devices:
        description: Value of C(dask_worker_devices).
        type: list
        elements: path
        required: true
      scheduler_file:
        description: Value of C(dask_scheduler_file); empty for none.
        type: str
        required: true
      shutdown_token:
        description: What is known of C(dask_shutdown_token), which is a secret.
        type: str
        choices: [none, good, bad]
        required: true
      environment_variables:
        description: Value of C(dask_environment_variables).
        type: dict
        required: true
      modules:
        description: Preload modules and modules with routes by variable; files (C(.py)) must exist on the controller.
        type: dict
        required: true
      proxy:
        description: The proxy in front of the dashboard; empty for none.
        type: dict
        required: true
        suboptions:
          port:
            description: Value of C(dask_dashboard_proxy_port).
            type: int
          prefix:
            description: Value of C(dask_dashboard_proxy_prefix).
            type: str
          users:
            description: Names of those who have a password.
            type: list
            elements: str
          without_password:
            description: Those of them whose password is empty.
            type: list
            elements: str
          certificate:
            description: Value of C(dask_dashboard_proxy_certificate).
            type: path
          key:
            description: Value of C(dask_dashboard_proxy_key).
            type: path
      dask_scheduler_port:
        description: Port of the scheduler.
        type: int
        required: true
      dask_scheduler_dashboard_port:
        description: Port of the scheduler's dashboard.
        type: int
        required: true
      pools:
        description:
          - Settings by name of the pool of workers, as P(daskops.cluster.worker_pools#filter) completes them.
          - They mean what the variables C(dask_worker_...) of the role C(preflight) mean.
        type: dict
        required: true
      cores_reserve:
        description: Value of C(dask_worker_cores_reserve).
        type: int
        required: true
      memory_reserve:
        description: Value of C(dask_worker_memory_reserve).
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Look at the host
  daskops.cluster.host_info:
    home: /opt/dask
    user: dask
    paths: [/opt/dask, /var/lib/dask/scratch]
  register: host

- name: Plan two workers
  daskops.cluster.plan_host:
    info: "{{ host }}"
    settings:
      scheduler: false
      worker: true
      alone: false
      scheduler_host: 10.0.0.1
      interface: ""
      bind_address: ""
      home: /opt/dask
      user_home: /var/lib/dask
      python: python3
      free_disk: 2GiB
      tls: true
      firewall: none
      scratch_any_filesystem: false
      paths: []
      devices: []
      shutdown_token: none
      scheduler_file: ""
      environment_variables: {}
      modules: {dask_worker_preloads: [my_company.dask_monitor]}
      proxy: {}
      dask_scheduler_port: 8786
      dask_scheduler_dashboard_port: 8787
      pools:
        "":
          profile: numeric
          count: 2
          threads: auto
          memory: auto
          resources: {}
          environment_variables: {}
          arguments: []
          nanny: false
          lifetime: ""
          lifetime_stagger: ""
          cpus: ""
          numa_node: ""
          gpus: auto
          command: dask worker
          interface: ""
          scratch_directory: /var/lib/dask/scratch
          port: 8800
          dashboard_port: 8900
          nanny_port: 9000
      cores_reserve: 0
      memory_reserve: 1GiB
  register: plan
"""

RETURN = r"""
workers:
  description: The workers that the host is to run; empty where it runs none.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name that the worker registers with.
      type: str
    pool:
      description: Name of its pool; empty for that of a host without pools.
      type: str
    unit:
      description: Name of its systemd unit.
      type: str
    address:
      description: Where it listens.
      type: str
    cpus:
      description: The CPUs that it is kept to; empty for all.
      type: str
    numa_node:
      description: The NUMA node whose memory it prefers; null for none.
      type: int
    gpu:
      description: What C(CUDA_VISIBLE_DEVICES) calls its GPU; empty for none.
      type: str
    threads:
      description: Its threads.
      type: int
    memory_limit:
      description: Its memory limit in bytes.
      type: int
    memory_max:
      description: Bytes at which systemd ends it.
      type: int
    port:
      description: Its port.
      type: int
    dashboard_port:
      description: Port of its dashboard and HTTP routes.
      type: int
    nanny_port:
      description: Port of its nanny; null without one.
      type: int
  sample:
    - name: node1-1
      pool: ""
      unit: dask-worker@1.service
      address: 10.0.0.2
      cpus: ""
      numa_node: null
      gpu: ""
      threads: 4
      memory_limit: 8589934592
      memory_max: 9448928051
      port: 8800
      dashboard_port: 8900
      nanny_port: null
address:
  description: Where the host's services listen.
  type: str
  returned: always
  sample: 10.0.0.2
ports:
  description: The TCP ports that services of the host are to listen on.
  type: list
  elements: dict
  returned: always
  contains:
    port:
      description: The port.
      type: int
    unit:
      description: The systemd unit that listens.
      type: str
    variable:
      description: The variable that it follows from.
      type: str
    purpose:
      description: What it is for.
      type: str
    connects:
      description: Who connects to it.
      type: str
    clients:
      description: Whether these are clients, browsers or monitoring too; hosts of the cluster may connect to any port.
      type: bool
  sample:
    - port: 8800
      unit: dask-worker@1.service
      variable: dask_worker_port
      purpose: Dask
      connects: the scheduler, other workers
      clients: false
firewall:
  description: What is to filter these ports, the value of O(settings.firewall).
  type: str
  returned: always
msg:
  description: What is in the way and what to change, a line each.
  type: str
  returned: failure
"""
