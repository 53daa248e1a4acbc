# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a plan about monitoring: what `monitoring.yml` sets up on each host, and what prevents it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import WILDCARDS, is_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_plan import bad_path
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe
from ansible_collections.daskops.cluster.plugins.plugin_utils.prometheus import (
    GRAFANA,
    RULES,
    drop_ins,
    file_names,
    files,
    listen_address,
    targets,
)

#: Group of the hosts that get the files for Prometheus. While it is empty, the controller gets them.
GROUP = "dask_monitoring"

#: Addresses to which only the host itself can connect.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def wants_files(cluster: Cluster) -> bool:
    """Return whether any host is to have the files."""
    return any(values["dask_monitoring"] != "absent" for values in cluster.monitoring.values())


def monitoring(cluster: Cluster, plans: Mapping[str, Any], authorities: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the role monitoring sets up on each host.

    Parameters
    ----------
    cluster : Cluster
        The inventory and the variables.
    plans : dict of dict
        Result of `plan_host` by host of the cluster. Empty if no host is to have the files.
    authorities : list of str
        Certificates of the CAs.
    """
    common, url = cluster.common, cluster.addresses["dashboard"]
    about = {
        "targets": targets(plans, cluster.infos, cluster.scheduler, url),
        "url": url,
        "tls": common["dask_tls"],
        "proxy": common["dask_dashboard_proxy"],
        "proxy_certificate": bool(common["dask_dashboard_proxy"] and common["dask_dashboard_proxy_certificate"]),
        "authorities": authorities,
        "scheduler": identity(cluster),
    }
    found = monitoring_to_remove(cluster)
    for host, values in cluster.monitoring.items():
        if values["dask_monitoring"] != "absent":
            absolute = host in cluster.groups.get(GROUP, [])
            found[host].update(
                state=values["dask_monitoring"],
                files=files(about, values, common["dask_tls_warn_days"], absolute),
                advice=advice(values) if values["dask_monitoring"] == "files" else "",
            )
    return found


def advice(values: Mapping[str, Any]) -> str:
    """Return what to do with the files, for a Prometheus that the collection did not install."""
    directory, cluster = values["dask_monitoring_directory"], values["dask_monitoring_cluster"]
    return (
        f"The files are in {directory}. In the configuration of Prometheus, add dask-{cluster}-scrape.yml to "
        f"scrape_config_files and {RULES} to rule_files. Grafana reads the dashboards from {GRAFANA}."
    )


def identity(cluster: Cluster) -> str:
    """Return the address of the scheduler without its protocol, by which the files of a cluster are recognized."""
    return cluster.addresses["scheduler"].rpartition("://")[2]


def monitoring_to_remove(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return what the role monitoring removes from each host."""
    return {
        host: {
            "state": "absent",
            "directory": values["dask_monitoring_directory"],
            "listen": listen_address(values),
            "cluster": values["dask_monitoring_cluster"],
            "scheduler": identity(cluster),
            "drop_ins": drop_ins(values, identity(cluster)),
            "names": file_names(values),
            "files": {},
            "advice": "",
        }
        for host, values in cluster.monitoring.items()
    }


def monitoring_ports(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return the ports of each host on which the collection installs Prometheus."""
    found = {}
    for host, values in cluster.monitoring.items():
        if values["dask_monitoring"] == "prometheus" and host in cluster.groups.get(GROUP, []):
            services = {
                "dask_monitoring_port": ("prometheus", values["dask_monitoring_address"] in LOOPBACK),
                "dask_monitoring_node_exporter_port": ("prometheus-node-exporter", True),
            }
            found[host] = {
                "ports": [
                    describe(int(values[name]), name, f"{unit}.service", local)
                    for name, (unit, local) in services.items()
                ]
            }
    return found


def targets_left_out(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if hosts of the cluster were not inspected, whose metrics would not be read any more."""
    unknown = [host for host in cluster.playing if host not in cluster.infos]
    if unknown:
        yield (
            f"{', '.join(unknown)}: the host could not be inspected, so Prometheus would not read its metrics any more. Run "
            "the playbook again when the host can be reached, or set dask_maintenance for it."
        )
    left_out = [host for host in cluster.members if host not in cluster.playing]
    if left_out:
        yield (
            f"--limit excludes {', '.join(left_out)}, so Prometheus would not read the metrics of these hosts any more. "
            "Omit --limit. For hosts that are off, set dask_maintenance."
        )


def without_monitoring_host(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence if Prometheus cannot be installed, because the inventory does not say where."""
    wanted = [values["dask_monitoring"] for values in cluster.monitoring.values()]
    if "prometheus" in wanted and not cluster.groups.get(GROUP):
        yield (
            "dask_monitoring is prometheus, but the group dask_monitoring has no host. Put the host on which Prometheus is "
            "to run into this group."
        )


def wrong_places(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence for each directory and address that cannot be in the unit of Prometheus on a host of the group."""
    for host in cluster.groups.get(GROUP, []) if cluster.monitoring else []:
        values = cluster.monitoring[host]
        yield from bad_path(host, "dask_monitoring_directory", values["dask_monitoring_directory"])
        address = values["dask_monitoring_address"]
        if address not in WILDCARDS and not is_host(address):
            yield (
                f"{host}: dask_monitoring_address is '{address}'. Give a name or an address, without a protocol, a port and "
                "brackets."
            )


def without_proxy_user(cluster: Cluster) -> Iterator[str]:
    """Yield a sentence for each host whose Prometheus could not log in at the dashboard's proxy."""
    if not cluster.common["dask_dashboard_proxy"]:
        return
    users = cluster.values[cluster.scheduler]["dask_dashboard_proxy_users"]
    for host, values in cluster.monitoring.items():
        user = values["dask_monitoring_proxy_user"]
        if user not in users and values["dask_monitoring"] != "absent":
            yield (
                f"{host}: dask_monitoring_proxy_user is '{user}', which is not in dask_dashboard_proxy_users. Prometheus "
                "reads the metrics of the scheduler through the proxy. Set it to a user of the proxy."
            )
