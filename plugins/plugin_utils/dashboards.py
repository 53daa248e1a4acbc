# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards for Grafana, as JSON models that users import or provision.

A dashboard has selectors for the data source and the cluster. Panels are two in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Selectors in expressions.
CLUSTER = 'cluster="$cluster"'
HOST = f'{CLUSTER}, host="$host"'
SCHEDULER, WORKER = f'job="dask-scheduler", {CLUSTER}', f'job="dask-worker", {CLUSTER}'

#: Width of the grid, and height of a panel.
WIDTH, HEIGHT = 24, 8

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """A panel with lines over time.

    Parameters
    ----------
    title : str
    expressions : dict of str
        Expression by text of the legend, with Grafana's templates for labels.
    unit : str
        Grafana's name of the unit.
    stacked : bool
        Whether values are shown as a sum.
    """

    title: str
    expressions: dict[str, str]
    unit: str = "short"
    stacked: bool = False


#: The panels by the name and the title of the dashboard.
DASHBOARDS: dict[tuple[str, str], Sequence[Panel]] = {
    ("dask-cluster", "Dask cluster"): (
        Panel("Workers", {"{{state}}": f"dask_scheduler_workers{{{SCHEDULER}}}"}, stacked=True),
        Panel("Tasks", {"{{state}}": f'dask_scheduler_tasks{{{SCHEDULER}, state!="released"}}'}, stacked=True),
        Panel("Clients", {"clients": f"dask_scheduler_clients{{{SCHEDULER}}}"}),
        Panel(
            "Services that do not answer",
            {
                "{{job}}": f"count by (job) (up{{{CLUSTER}}} == 0 unless on (worker) "
                f"daskops_scheduler_worker_standby{{{SCHEDULER}}}) or 0 * count by (job) (up{{{CLUSTER}}})"
            },
        ),
        Panel(
            "Workers by release", {"{{release}} {{label}}": f"daskops_scheduler_workers{{{SCHEDULER}}}"}, stacked=True
        ),
        Panel(
            "Services to restart",
            {"{{job}}": f"sum by (job) (max without (link) (daskops_release_drift{{{CLUSTER}}}))"},
        ),
        Panel(
            "Event loop of the scheduler",
            {"longest tick": f"dask_scheduler_tick_duration_maximum_seconds{{{SCHEDULER}}}"},
            "s",
        ),
        Panel("CPU of the scheduler", {"CPUs": f"rate(process_cpu_seconds_total{{{SCHEDULER}}}[5m])"}),
        Panel("Memory of the scheduler", {"resident": f"process_resident_memory_bytes{{{SCHEDULER}}}"}, "bytes"),
        Panel(
            "Time until certificates expire",
            {"{{host}}": f"min by (host) (daskops_certificate_not_after_timestamp_seconds{{{CLUSTER}}}) - time()"},
            "s",
        ),
    ),
    ("dask-workers", "Dask workers"): (
        Panel("Threads", {"{{pool}}": f"sum by (pool) (dask_worker_threads{{{WORKER}}})"}, stacked=True),
        Panel(
            "Running tasks",
            {"{{pool}}": f'sum by (pool) (dask_worker_tasks{{{WORKER}, state="executing"}})'},
            stacked=True,
        ),
        Panel("CPU", {"{{worker}}": f"rate(process_cpu_seconds_total{{{WORKER}}}[5m])"}),
        Panel("Event loop", {"{{worker}}": f"dask_worker_tick_duration_maximum_seconds{{{WORKER}}}"}, "s"),
        Panel("Latency to the scheduler", {"{{worker}}": f"dask_worker_latency_seconds{{{WORKER}}}"}, "s"),
        Panel(
            "Silence of a worker", {"longest": f"daskops_scheduler_heartbeat_age_maximum_seconds{{{SCHEDULER}}}"}, "s"
        ),
        Panel(
            "Restarts in an hour",
            {"{{worker}} {{result}}": f"increase(daskops_restarts_total{{{WORKER}}}[1h]) > 0"},
        ),
        Panel("Draining", {"{{worker}}": f"daskops_worker_drain_duration_seconds{{{WORKER}}}"}, "s"),
        Panel(
            "Received from other workers",
            {"{{worker}}": f"rate(dask_worker_transfer_incoming_count_total{{{WORKER}}}[5m])"},
            "cps",
        ),
        Panel(
            "Sent to other workers",
            {"{{worker}}": f"rate(dask_worker_transfer_outgoing_bytes_total{{{WORKER}}}[5m])"},
            "Bps",
        ),
    ),
    ("dask-tasks", "Dask tasks"): (
        Panel(
            "Computing, by kind of task",
            {"{{task_prefix_name}}": f"rate(dask_scheduler_tasks_compute_seconds_total{{{SCHEDULER}}}[5m])"},
            stacked=True,
        ),
        Panel(
            "Transfers, by kind of task",
            {"{{task_prefix_name}}": f"rate(dask_scheduler_tasks_transfer_seconds_total{{{SCHEDULER}}}[5m])"},
            stacked=True,
        ),
        Panel(
            "Results, by kind of task",
            {"{{task_prefix_name}}": f"dask_scheduler_tasks_output_bytes{{{SCHEDULER}}}"},
            "bytes",
        ),
        Panel(
            "Waiting tasks", {"{{state}}": f'dask_scheduler_tasks{{{SCHEDULER}, state=~"waiting|queued|no-worker"}}'}
        ),
        Panel(
            "Failed tasks",
            {
                "{{task_prefix_name}}": "sum by (task_prefix_name) "
                f"(increase(dask_worker_task_errors_total{{{WORKER}}}[5m]))"
            },
        ),
        Panel(
            "Tasks whose worker died",
            {"{{task_prefix_name}}": f"increase(dask_scheduler_tasks_suspicious_total{{{SCHEDULER}}}[5m])"},
        ),
    ),
    ("dask-memory", "Dask memory"): (
        Panel(
            "Memory of all workers",
            {"{{type}}": f"sum by (type) (dask_worker_memory_bytes{{{WORKER}}})"},
            "bytes",
            True,
        ),
        Panel(
            "Part of the limit",
            {
                "{{worker}}": f'sum without (type) (dask_worker_memory_bytes{{{WORKER}, type=~"managed|unmanaged"}}) '
                f"/ daskops_worker_memory_limit_bytes{{{WORKER}}}"
            },
            "percentunit",
        ),
        Panel("Spilled to disk", {"{{worker}}": f'dask_worker_memory_bytes{{{WORKER}, type="spilled"}}'}, "bytes"),
        Panel("Paused workers", {"paused": f'dask_scheduler_workers{{{SCHEDULER}, state="paused"}}'}),
        Panel(
            "Free space for spilling",
            {"{{host}}": f"min by (host) (daskops_worker_scratch_free_bytes{{{WORKER}}})"},
            "bytes",
        ),
        Panel(
            "Time for garbage collection",
            {"{{worker}}": f"rate(dask_worker_gc_collection_seconds_total{{{WORKER}}}[5m])"},
            "percentunit",
        ),
    ),
    ("dask-host", "Dask host"): (
        Panel("Services that answer", {"{{job}} {{worker}}": f"up{{{HOST}}}"}),
        Panel("CPU", {"{{job}} {{worker}}": f"rate(process_cpu_seconds_total{{{HOST}}}[5m])"}, stacked=True),
        Panel("Memory", {"{{job}} {{worker}}": f"process_resident_memory_bytes{{{HOST}}}"}, "bytes", True),
        Panel("Tasks", {"{{worker}} {{state}}": f"dask_worker_tasks{{{HOST}}}"}, stacked=True),
        Panel("Open files", {"{{job}} {{worker}}": f"process_open_fds{{{HOST}}}"}),
        Panel(
            "Free space for spilling",
            {"free": f"min(daskops_worker_scratch_free_bytes{{{HOST}}})"},
            "bytes",
        ),
        Panel(
            "Restarts in an hour",
            {"{{job}} {{worker}} {{result}}": f"increase(daskops_restarts_total{{{HOST}}}[1h]) > 0"},
        ),
        Panel("Drifted settings", {"{{job}} {{worker}}": f"daskops_drifted_settings{{{HOST}}}"}),
    ),
}


def selector(name: str, query: str) -> dict[str, Any]:
    """Return a selector with the values of a query."""
    return {"name": name, "type": "query", "datasource": DATA_SOURCE, "query": query, "refresh": 2, "sort": 1}


def panel(index: int, about: Panel) -> dict[str, Any]:
    """Return the model of a panel, whose number determines its place."""
    custom = {"fillOpacity": 10, "stacking": {"mode": "normal" if about.stacked else "none"}}
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": about.title,
        "datasource": DATA_SOURCE,
        "gridPos": {"x": index % 2 * WIDTH // 2, "y": index // 2 * HEIGHT, "w": WIDTH // 2, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": about.unit, "min": 0, "custom": custom}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": DATA_SOURCE, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(about.expressions.items())
        ],
    }


def dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return the model of a dashboard."""
    selectors = [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        selector("cluster", 'label_values(up{job="dask-scheduler"}, cluster)'),
    ]
    if any("$host" in expression for about in panels for expression in about.expressions.values()):
        selectors.append(selector("host", f"label_values(up{{{CLUSTER}}}, host)"))
    return {
        "uid": name,
        "title": title,
        "tags": ["dask"],
        "schemaVersion": 38,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": selectors},
        "links": [{"type": "dashboards", "title": "Dask", "tags": ["dask"], "includeVars": True, "keepTime": True}],
        "panels": [panel(index, about) for index, about in enumerate(panels)],
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the models of all dashboards, by name."""
    return {name: dashboard(name, title, panels) for (name, title), panels in DASHBOARDS.items()}
