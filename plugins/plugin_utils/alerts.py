# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules for Prometheus. `tools/generate` also writes them into the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Values of the label ``job`` of the metrics of a scheduler and of workers.
SCHEDULER, WORKER = "dask-scheduler", "dask-worker"

#: Name of Prometheus' metric with the seconds after which a certificate causes a warning, and its place in expressions.
WARNING = "WARN_SECONDS"

OF_SCHEDULER, OF_WORKER = f'job="{SCHEDULER}"', f'job="{WORKER}"'
_ERRORS = f"dask_worker_task_errors_total{{{OF_WORKER}}}"


@dataclass(frozen=True)
class Alert:
    """An alert rule.

    Parameters
    ----------
    name : str
        Name of the alert.
    expression : str
        Condition, in the language of Prometheus.
    summary : str
        What is wrong, with Prometheus' templates for the labels and the value.
    remedy : str
        What to do.
    severity : str
        ``critical`` if clients are affected, else ``warning``.
    lasts : bool
        Whether the condition must last before the alert fires. Not for expressions about an event.
    """

    name: str
    expression: str
    summary: str
    remedy: str
    severity: str = "warning"
    lasts: bool = True


def growth(counter: str, window: str, up: str) -> str:
    """Return the expression of the growth of a counter of tasks in a window, by the name of the tasks.

    A counter begins with 1 or more, for which ``increase`` gives 0. So new counters of services that answered before the
    window are added. If a scrape failed then, the counter may have existed before.
    """
    new = f"{counter} unless {counter} offset {window} and on (job, instance) {up} offset {window} == 1"
    by = "sum by (cluster, task_prefix_name)"
    return f"{by} (increase({counter}[{window}])) > 0 or {by} ({new}) > 0"


#: Series of workers on standby or outside of their hours.
_STANDBY = f"daskops_scheduler_worker_standby{{{OF_SCHEDULER}}}"

#: The alerts. Those of one host name it by the label ``host``.
ALERTS = (
    Alert(
        "DaskSchedulerDown",
        f"up{{{OF_SCHEDULER}}} == 0",
        "The scheduler on {{ $labels.host }} does not answer",
        "Run status.yml, and read the journal: journalctl -u dask-scheduler.",
        "critical",
    ),
    Alert(
        "DaskSchedulerRestarted",
        f"changes(process_start_time_seconds{{{OF_SCHEDULER}}}[15m]) > 0",
        "The scheduler on {{ $labels.host }} was restarted, and lost its tasks",
        "If no run of a playbook restarted it, read the journal: journalctl -u dask-scheduler.",
        lasts=False,
    ),
    Alert(
        "DaskSchedulerPending",
        f"max by (cluster, host) (daskops_release_drift{{{OF_SCHEDULER}}}) > 0",
        "The scheduler on {{ $labels.host }} does not run the latest release of its host",
        "It had work when a run changed the cluster, or the run failed. Run site.yml when the scheduler is idle.",
    ),
    Alert(
        "DaskWorkerDown",
        # While the scheduler is down, the last state of the workers on standby counts.
        f"up{{{OF_WORKER}}} == 0 unless on (cluster, worker) ({_STANDBY} "
        f"or max_over_time({_STANDBY}[1d]) and on (cluster) up{{{OF_SCHEDULER}}} == 0)",
        "The worker {{ $labels.worker }} on {{ $labels.host }} does not answer",
        "Run status.yml, and read the journal of its unit. In maintenance, run monitoring.yml to remove its targets.",
    ),
    Alert(
        "DaskWorkersMissing",
        f"count by (cluster) (up{{{OF_WORKER}}}) > sum by (cluster) (dask_scheduler_workers{{{OF_SCHEDULER}}}) "
        # A scheduler without this collection has no such metric.
        f"+ (sum by (cluster) (daskops_scheduler_standby_workers{{{OF_SCHEDULER}}}) "
        f"or 0 * sum by (cluster) (dask_scheduler_workers{{{OF_SCHEDULER}}}))",
        "The scheduler has fewer workers than the {{ $value }} that are planned",
        "Run status.yml, which names the missing workers.",
        "critical",
    ),
    Alert(
        "DaskWorkersPaused",
        f'dask_scheduler_workers{{{OF_SCHEDULER}, state="paused"}} > 0',
        "{{ $value }} worker(s) are paused, because they are short of memory",
        "Give workers more memory or fewer threads, or use smaller partitions.",
    ),
    Alert(
        "DaskWorkersSilent",
        f"daskops_scheduler_heartbeat_age_maximum_seconds{{{OF_SCHEDULER}}} > 30",
        "A worker has sent no heartbeat for {{ $value | humanizeDuration }}",
        "Run status.yml, which names the silent workers.",
    ),
    Alert(
        "DaskWorkerRestarts",
        # Clients, the end of a lifetime and adaptive scaling restart workers on purpose, with success.
        f'sum without (result) (increase(daskops_restarts_total{{{OF_WORKER}, result="failure"}}[1h])) > 3',
        "The worker {{ $labels.worker }} on {{ $labels.host }} died {{ $value | humanize }} times in an hour",
        "Read the journal of its unit. Often, tasks need more memory than the limit.",
        lasts=False,
    ),
    Alert(
        "DaskTaskErrors",
        growth(_ERRORS, "5m", f"up{{{OF_WORKER}}}"),
        "Tasks {{ $labels.task_prefix_name }} fail",
        "Read the reports: journalctl DASK_EVENT=task-error.",
        lasts=False,
    ),
    Alert(
        "DaskTasksSuspicious",
        growth(f"dask_scheduler_tasks_suspicious_total{{{OF_SCHEDULER}}}", "15m", f"up{{{OF_SCHEDULER}}}"),
        "Workers died while they ran tasks {{ $labels.task_prefix_name }}",
        "Read the journals of the workers. The tasks may need more memory than the limit.",
        lasts=False,
    ),
    Alert(
        "DaskTasksWithoutWorker",
        f'dask_scheduler_tasks{{{OF_SCHEDULER}, state="no-worker"}} > 0',
        "{{ $value }} task(s) wait, because no worker can run them",
        "Start workers with the resources that these tasks need.",
    ),
    Alert(
        "DaskWorkerMemory",
        f'sum without (type) (dask_worker_memory_bytes{{{OF_WORKER}, type=~"managed|unmanaged"}}) '
        f"/ daskops_worker_memory_limit_bytes{{{OF_WORKER}}} > 0.9",
        "The worker {{ $labels.worker }} on {{ $labels.host }} uses {{ $value | humanizePercentage }} of its memory",
        "Give workers more memory or fewer threads, or use smaller partitions.",
    ),
    Alert(
        "DaskEventLoopSlow",
        # During a long block, scrapes fail.
        f"max_over_time(dask_scheduler_tick_duration_maximum_seconds{{{OF_SCHEDULER}}}[4m]) > 3 "
        f"or max_over_time(dask_worker_tick_duration_maximum_seconds{{{OF_WORKER}}}[4m]) > 3",
        "The event loop of {{ $labels.instance }} on {{ $labels.host }} is blocked for {{ $value | humanizeDuration }}",
        "Tasks that hold the GIL block a worker, and large graphs block a scheduler. Otherwise, the host is overloaded.",
    ),
    Alert(
        "DaskScratchFull",
        f"min by (cluster, host) (daskops_worker_scratch_free_bytes{{{OF_WORKER}}} "
        f"/ daskops_worker_scratch_size_bytes{{{OF_WORKER}}}) < 0.1",
        "{{ $value | humanizePercentage }} of the scratch disk of {{ $labels.host }} is free",
        "Free space there, or set dask_worker_scratch_directory to a larger file system.",
    ),
    Alert(
        "DaskCertificateExpires",
        f"min by (cluster, host) (daskops_certificate_not_after_timestamp_seconds) - time() < {WARNING}",
        "A certificate in use on {{ $labels.host }} expires in {{ $value | humanizeDuration }}",
        "Run site.yml, which renews certificates, or replace your own ones.",
    ),
    Alert(
        "DaskReleaseDrift",
        f'max by (cluster, host) (daskops_release_drift{{{OF_WORKER}, link="current"}}) > 0',
        "A worker on {{ $labels.host }} does not run the current release of its host",
        "Run site.yml, which restarts it.",
    ),
    Alert(
        "DaskReleasesDiffer",
        "count by (cluster) (sum by (cluster, release) (daskops_scheduler_workers)) > 1",
        "Workers run {{ $value }} different releases",
        "Finish the change: run site.yml for all hosts.",
    ),
    Alert(
        "DaskSettingsDrift",
        "max by (cluster, host) (daskops_drifted_settings) > 0",
        "A service on {{ $labels.host }} has settings that are not those of its release",
        "Run show_configuration.yml, which names them, and restart.yml.",
    ),
)


def expression_of(alert: Alert, warn_days: int) -> str:
    """Return the expression of an alert, with the time before its expiry when a certificate causes a warning."""
    return alert.expression.replace(WARNING, f"{warn_days} * 86400")


def rules(delay: int, interval: int, warn_days: int, alerts: Sequence[Alert] = ALERTS) -> dict[str, Any]:
    """Return the content of a rule file.

    Parameters
    ----------
    delay : int
        Seconds for which a condition must last.
    interval : int
        Seconds between two evaluations.
    warn_days : int
        Days before its expiry when a certificate causes a warning.
    alerts : sequence of Alert
        The alerts.
    """
    found = []
    for alert in alerts:
        rule: dict[str, Any] = {"alert": alert.name, "expr": expression_of(alert, warn_days)}
        if alert.lasts:
            rule["for"] = f"{delay}s"
        rule["labels"] = {"severity": alert.severity}
        rule["annotations"] = {"summary": alert.summary, "description": alert.remedy}
        found.append(rule)
    return {"groups": [{"name": "dask", "interval": f"{interval}s", "rules": found}]}
