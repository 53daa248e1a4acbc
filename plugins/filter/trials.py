# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: trials
short_description: The services that hosts try before a release is activated
version_added: "0.1.0"
author:
  - The daskops.cluster authors
description:
  - Of the services whose release never served, chooses the scheduler, and one worker for each pool with other settings.
    Hosts whose workers have the same settings do not all try them.
  - Leaves out pools with GPUs, whose workers would take a GPU's memory from those that run.
options:
  _input:
    description: Variables of the hosts, after the role C(config) has run for them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Choose the hosts that try the release
  ansible.builtin.set_fact:
    trials: "{{ ansible_play_hosts | map('extract', hostvars) | daskops.cluster.trials }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: C(scheduler), a flag, and C(workers), a list of units, by host; hosts that try nothing are left out.
  type: dict
"""

from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import where

SCHEDULER = "dask-scheduler.service"


def trials(hosts):
    """What each of ``hosts``, variables of hosts, tries: ``scheduler`` and ``workers`` by name of the host."""
    found, known = {}, set()
    for host in hosts:
        release = host.get("__dask_release") or {}
        untried = set(release.get("untried") or [])
        if not untried:
            continue
        workers = host["__dask_plan"]["workers"]
        gpus = {worker["pool"] for worker in workers if worker["gpu"]}
        chosen = []
        for worker in workers:
            unit, pool = worker["unit"], worker["pool"]
            if unit not in untried or pool in gpus:
                continue
            shared = release["services"]["worker"][unit].partition(".")[0]
            key = (shared, pool, release["settings"].get(where(pool, "")), worker["nanny_port"] is not None)
            if key not in known:
                known.add(key)
                chosen.append(unit)
        if SCHEDULER in untried or chosen:
            found[host["inventory_hostname"]] = {"scheduler": SCHEDULER in untried, "workers": chosen}
    return found


class FilterModule:
    """Filters about what a release is tried with."""

    def filters(self):
        return {"trials": trials}
