#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_cluster
short_description: Compare a cluster's hosts and fetch their packages
version_added: "0.1.0"
description:
  - Checks that all hosts have the same minor version of Python, names the environment that each is to run, and fetches the
    packages of those that hosts lack, once, into an archive for M(daskops.cluster.environment).
  - Runs on the controller, which needs C(pip), and asks no host anything, so one host of the play is enough (C(run_once)).
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
  hosts:
    description: What M(daskops.cluster.host_info) returned, by host.
    type: dict
    required: true
  others:
    description: Likewise, hosts that are no part of the run and that these must go with.
    type: dict
    default: {}
  plans:
    description: The workers that M(daskops.cluster.plan_host) planned, by host.
    type: dict
    required: true
  scheduler:
    description:
      - The scheduler's host, which must have one that runs if the run starts workers and not the scheduler; empty for a
        scheduler that somebody else runs.
    type: str
    default: ""
  scheduler_info:
    description: What M(daskops.cluster.host_info) returned for O(scheduler), where it is none of O(hosts).
    type: dict
    default: {}
  scheduler_address:
    description: Address of a scheduler that somebody else runs; empty for none.
    type: str
    default: ""
  scheduler_platform:
    description: What the scheduler runs on.
    type: str
    choices: [linux, windows]
    required: true
  windows_scheduler_max_workers:
    description: The most workers that may be planned for a scheduler on Windows.
    type: int
    required: true
  lock:
    description: Lock file on the controller, in requirements form with hashes.
    type: path
    required: true
  tools_lock:
    description: Lock file of C(uv), which builds environments, and C(fastjsonschema), which checks configuration.
    type: path
    required: true
  source:
    description: Whether the archive holds all packages (V(controller)), or hosts fetch for themselves (V(index)).
    type: str
    choices: [controller, index]
    required: true
  index_url:
    description: Package index to fetch from; empty for the one that pip is set up with.
    type: str
    required: true
  cache:
    description: Directory on the controller that keeps the archives.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Compare the hosts and fetch the packages they lack
  daskops.cluster.plan_cluster:
    hosts: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'host'))) }}"
    plans: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, ['plan', 'workers']))) }}"
    scheduler_platform: linux
    windows_scheduler_max_workers: 100
    lock: requirements.txt
    tools_lock: tools.txt
    source: controller
    index_url: ""
    cache: /home/admin/.cache/daskops
  run_once: true
  register: cluster
"""

RETURN = r"""
environments:
  description: The environment of each host, by host.
  type: dict
  returned: success
  contains:
    id:
      description: Its id, which says all that goes into it.
      type: str
    python:
      description: Path of the interpreter to build it with.
      type: str
    lock:
      description: SHA-256 of the lock, in hexadecimal.
      type: str
    archive:
      description: Archive on the controller to build it from; empty where the host has it.
      type: str
    packages:
      description: Version by package.
      type: dict
  sample:
    node1:
      id: 0f3c5e9a7b1d
      python: /usr/bin/python3
      lock: 1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014
      archive: ""
hint:
  description: What to look at if workers do not reach the scheduler, a line each; empty if nothing is known.
  type: str
  returned: always
change:
  description: When the change began, in seconds since the epoch; that of an earlier run, if this one continues it.
  type: int
  returned: success
msg:
  description: What is wrong with the hosts or the lock, and what to change, a line each.
  type: str
  returned: failure
"""
