# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that runs what its variables say: the results of `host_info`, and an inventory."""

from __future__ import annotations

import json

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import members
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete, kinds_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.plan import (
    host_release,
    host_settings,
    plan_hosts,
    releases,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK, lock_file
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages
from wheels import PYTHON

GIB = 1024**3
SCHEDULER, WORKER = "dask-scheduler.service", "dask-worker@1.service"
GROUPS = {"dask_scheduler": ["s1"], "dask_workers": ["w1", "w2"]}
HOSTS = members(GROUPS)
#: Values that no result may show.
SECRETS = {
    "dask_shutdown_token": "hidden-shutdown-token",
    "dask_environment_variables": {"WORD": "hidden-word"},
    "dask_dashboard_proxy_users": {"ada": "hidden-password"},
}
VARIABLES = {
    "dask_scheduler_host": "10.0.0.1",
    "dask_worker_count": 1,
    "dask_firewall": "none",
    **SECRETS,
}
DIRECTORY = {"exists": True, "type": "ext4", "mount": "/", "free": 100 * GIB, "writable": True}


def bare(number):
    """Return the result of `host_info` for a host without an installation."""
    return {
        "cpus": [0, 1],
        "cores": [[0], [1]],
        "cpu_limit": 0,
        "nodes": [{"id": 0, "cpus": [0, 1]}],
        "gpus": [],
        "memory": 8 * GIB,
        "systemd": True,
        "selinux_type": "",
        "python": {**PYTHON, "usable": True, "changeable": ""},
        "architecture": "x86_64",
        "libc": PYTHON["libc"],
        "pythons": [],
        "file_systems": {path: DIRECTORY for path in ("/opt/dask", "/var/lib/dask/scratch")},
        "missing": [],
        "time_zones": {},
        "groups": {},
        "import_paths": {},
        "proxy": {"nginx": True, "port": 0, "confined": False},
        "listeners": [],
        "address": f"10.0.0.{number}",
        "worker_addresses": {},
        "client_addresses": [],
        "route": [],
        "firewall": {"usable": ["nftables"], "installed": [], "loaded": False, "cluster": [], "foreign": []},
        "current": {},
        "previous": {},
        "unfinished": 0,
        "known": [],
        "running": {},
        "dashboard": "",
        "scheduler_environment": "",
        "account": {"home": "/var/lib/dask", "comment": "Dask (daskops.cluster)", "at_home": True, "root": False},
        "encrypted": None,
        "environments": {},
        "applications": {},
        "environment_paths": {},
        "versions": [],
        "changeable": "",
        "clock": [-0.1, 0.1],
        "unresolved": "",
        "refused": "",
        "machine": f"{number}" * 32,
    }


def cluster_of(infos, **variables):
    values = {host: complete({**VARIABLES, **variables}) for host in HOSTS}
    return Cluster(GROUPS, HOSTS, values, infos, infos["s1"])


def settle(environment, packages):
    """Return the results of `host_info` for hosts that match `VARIABLES`."""
    infos = {host: bare(number) for number, host in enumerate(HOSTS, 1)}
    for info in infos.values():
        info["environments"] = {environment: {"id": environment, "python": PYTHON["version"], "packages": packages}}
    cluster, about = cluster_of(infos), {"id": environment, "prefixes": ["/usr"], "boot_python": ""}
    plans, problems = plan_hosts(cluster, HOSTS)
    assert problems == {}
    chosen, problems, lacking = releases(cluster, plans, dict.fromkeys(HOSTS, about), "", dict.fromkeys(HOSTS, ""))
    assert problems == [] and lacking == HOSTS
    for host, info in infos.items():
        values, kinds = cluster.values[host], kinds_of(host, GROUPS)
        settings = host_settings(values, info, cluster.addresses)
        content = host_release(settings, kinds, plans[host], about, "").content(values["dask_home"])
        release = {name: chosen[host][name] for name in ("id", "environment", "application", "label", "services")}
        info["current"] = {
            **release,
            "content": content,
            "staged": 7,
            "served": kinds,
            "settled": kinds,
            "enabled": kinds,
        }
        info["running"] = {unit: one for units in release["services"].values() for unit, one in units.items()}
        info["known"] = list(info["running"].values())
        info["encrypted"] = True
    return infos


def environment_of(python):
    """Return the packages of the default lock for an interpreter."""
    return Packages(read_lock(lock_file("default"))[0], read_lock(TOOLS_LOCK)[0], python, "controller")


ENVIRONMENT = environment_of(bare(1)["python"])
SETTLED = settle(ENVIRONMENT.id, ENVIRONMENT.versions)


def write_inventory(work):
    """Write an inventory with `VARIABLES` and hosts that cannot be reached, and return the option that names it."""
    own = {name: value for name, value in VARIABLES.items() if name != "dask_scheduler_host"}
    hosts = {host: {"ansible_host": f"10.0.0.{number}", "ansible_port": 1} for number, host in enumerate(HOSTS, 1)}
    children = {group: {"hosts": {host: hosts[host] for host in names}} for group, names in GROUPS.items()}
    (work / "inventory.json").write_text(json.dumps({"all": {"vars": own, "children": children}}))
    return f"--inventory={work}/inventory.json"
