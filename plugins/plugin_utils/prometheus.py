# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for Prometheus and Grafana: targets, scrape configuration, rules, dashboards, and the CA. Pure functions.

None of them has a key or a password. Scraping needs only the certificate of the CA.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from ansible_collections.daskops.cluster.plugins.module_utils.monitoring import CONFIGURATION, owner_line
from ansible_collections.daskops.cluster.plugins.plugin_utils.alerts import SCHEDULER, WORKER, rules
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import WILDCARDS, host_of, in_url
from ansible_collections.daskops.cluster.plugins.plugin_utils.dashboards import dashboards

HEADER = "# Written by monitoring.yml of daskops.cluster, which overwrites changes.\n"

RULES, GRAFANA = "dask-rules.yml", "grafana"


def address_of(worker: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """Return the address under which other hosts reach a worker, without a port."""
    address = worker["contact_host"] or worker["address"]
    # The address from which the host connects to the scheduler.
    return str(info["route"][0] if address in WILDCARDS and info["route"] else address)


def targets(plans: Mapping[str, Any], infos: Mapping[str, Any], scheduler: str, url: str) -> dict[str, Any]:
    """Return the targets, as groups of ``file_sd_configs`` without the cluster, by job.

    Parameters
    ----------
    plans, infos : dict of dict
        Result of `plan_host` and of `host_info` by host.
    scheduler : str
        Name of the scheduler's host; empty if another system runs the scheduler.
    url : str
        URL of the scheduler's dashboard for clients.
    """
    of_workers = [
        {
            "targets": [f"{in_url(address_of(worker, infos[host]))}:{worker['dashboard_port']}"],
            "labels": {"host": host, "pool": worker["pool"], "worker": worker["name"]},
        }
        for host, plan in plans.items()
        for worker in plan["workers"]
    ]
    of_scheduler = [{"targets": [urlsplit(url).netloc], "labels": {"host": scheduler or host_of(url), "pool": ""}}]
    return {SCHEDULER: of_scheduler, WORKER: of_workers}


def scrape_jobs(about: Mapping[str, Any], values: Mapping[str, Any], directory: str) -> list[dict[str, Any]]:
    """Return the scrape configurations of both jobs.

    Parameters
    ----------
    about : dict
        The cluster: ``targets``, ``url`` (of the dashboard), ``tls``, ``proxy`` and ``proxy_certificate`` (whether the proxy
        has a certificate of its own).
    values : dict
        Variables of the monitoring host.
    directory : str
        Prefix of the paths of files.
    """
    name, url = values["dask_monitoring_cluster"], urlsplit(about["url"])
    prefix = f"{directory}dask-{name}-"
    jobs = []
    for job in about["targets"]:
        of_scheduler = job == SCHEDULER
        scheme = url.scheme if of_scheduler else "https" if about["tls"] else "http"
        found: dict[str, Any] = {
            # Names of jobs must be unique. The targets have another label `job`, which is the same for all clusters.
            "job_name": f"{job}-{name}",
            "scrape_interval": f"{values['dask_monitoring_interval']}s",
            "scheme": scheme,
        }
        if of_scheduler:
            found["metrics_path"] = f"{url.path.removesuffix('/status').rstrip('/')}/metrics"
        if scheme == "https" and about["tls"] and not (of_scheduler and about["proxy_certificate"]):
            found["tls_config"] = {"ca_file": f"{prefix}ca.pem"}
        if of_scheduler and about["proxy"]:
            found["basic_auth"] = {
                "username": values["dask_monitoring_proxy_user"],
                "password_file": f"{prefix}password",
            }
        found["file_sd_configs"] = [{"files": [f"{prefix}{'scheduler' if of_scheduler else 'workers'}.json"]}]
        jobs.append(found)
    return jobs


def listen_address(values: Mapping[str, Any]) -> str:
    """Return the address and the port at which an installed Prometheus listens."""
    address, port = values["dask_monitoring_address"], values["dask_monitoring_port"]
    return f"{in_url(address)}:{port}"


def node_exporter_address(values: Mapping[str, Any]) -> str:
    """Return the address and the port at which an installed node exporter listens."""
    port = values["dask_monitoring_node_exporter_port"]
    return f"127.0.0.1:{port}"


def drop_ins(values: Mapping[str, Any], scheduler: str) -> dict[str, str]:
    """Return the drop-ins of the units of an installed Prometheus and node exporter, by path below systemd's directory.

    ``scheduler`` is the address by which the cluster is recognized; see `owner_line`.
    """
    owner = owner_line(values["dask_monitoring_cluster"], scheduler)
    options = {
        # The one by which the collection recognizes its services comes last, because files are removed in this order.
        "prometheus-node-exporter": f"--web.listen-address={node_exporter_address(values)}",
        "prometheus": f"--config.file={values['dask_monitoring_directory']}/{CONFIGURATION} "
        f"--web.listen-address={listen_address(values)}",
    }
    return {
        f"{name}.service.d/daskops.conf": f"{HEADER}{owner}# More options can be in ARGS in /etc/default/{name}.\n"
        f"[Service]\nExecStart=\nExecStart=/usr/bin/{name} $ARGS {more}\n"
        for name, more in options.items()
    }


def configuration(values: Mapping[str, Any], jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the configuration of a Prometheus that the collection installs."""
    own = {"prometheus": listen_address(values), "node": node_exporter_address(values)}
    interval = f"{values['dask_monitoring_interval']}s"
    found: dict[str, Any] = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [RULES],
        "scrape_configs": [
            *jobs,
            *({"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in own.items()),
        ],
    }
    if values["dask_monitoring_alertmanagers"]:
        managers = list(values["dask_monitoring_alertmanagers"])
        found["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": managers}]}]}
    return found


def as_yaml(content: Mapping[str, Any], owner: str = "") -> str:
    """Return a document as text, with its keys in their order. ``owner`` is that of `owner_line`; "" for shared files."""
    return f"{HEADER}{owner}{yaml.safe_dump(dict(content), sort_keys=False, width=1000)}"


def as_json(content: Any) -> str:
    """Return a document as text."""
    return f"{json.dumps(content, indent=1)}\n"


def files(about: Mapping[str, Any], values: Mapping[str, Any], warn_days: int, absolute: bool) -> dict[str, str]:
    """Return the content of each file by its path in the directory.

    Parameters
    ----------
    about : dict
        See `scrape_jobs`; also ``authorities``, the certificates of the CAs, and ``scheduler``, the address by which the
        cluster is recognized.
    values : dict
        Variables of the monitoring host.
    warn_days : int
        Days before its expiry when a certificate causes a warning.
    absolute : bool
        Whether the scrape configuration has absolute paths. Prometheus looks for others beside the configuration.
    """
    name = values["dask_monitoring_cluster"]
    labeled = {
        job: [{**one, "labels": {"job": job, "cluster": name, **one["labels"]}} for one in groups]
        for job, groups in about["targets"].items()
    }
    directory = f"{values['dask_monitoring_directory']}/" if absolute else ""
    owner = owner_line(name, about["scheduler"])
    delay, interval = values["dask_monitoring_delay"], values["dask_monitoring_interval"]
    found = {
        f"dask-{name}-scheduler.json": as_json(labeled[SCHEDULER]),
        f"dask-{name}-workers.json": as_json(labeled[WORKER]),
        f"dask-{name}-scrape.yml": as_yaml({"scrape_configs": scrape_jobs(about, values, directory)}, owner),
        RULES: as_yaml(rules(delay, interval, warn_days)),
    }
    if about["authorities"]:
        found[f"dask-{name}-ca.pem"] = "".join(f"{one.rstrip()}\n" for one in about["authorities"])
    if values["dask_monitoring"] == "prometheus":
        found[CONFIGURATION] = as_yaml(configuration(values, scrape_jobs(about, values, directory)), owner)
    for title, model in dashboards().items():
        found[f"{GRAFANA}/{title}.json"] = as_json(model)
    return found


def file_names(values: Mapping[str, Any]) -> list[str]:
    """Return the paths in the directory of all files that `files` may return."""
    prefix = f"dask-{values['dask_monitoring_cluster']}-"
    own = [f"{prefix}{name}" for name in ("scheduler.json", "workers.json", "scrape.yml", "ca.pem")]
    return [*own, RULES, CONFIGURATION, *(f"{GRAFANA}/{name}.json" for name in dashboards())]
