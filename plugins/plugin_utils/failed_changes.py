# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out whether a change failed and to which release its hosts are reverted, and report it. Pure functions.

Results are results of tasks as Ansible registers them. The result of a skipped or failed task may lack keys of the module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.release_names import name_of

SCHEDULER = "dask-scheduler.service"

Result = Mapping[str, Any]


def failure_message(result: Result) -> str:
    """Return the message of a failed task."""
    said = str(result.get("msg") or "").strip()
    if not said or said.startswith("MODULE FAILURE"):
        # If a module ended with a traceback, the last line names the error.
        last = str(result.get("module_stderr") or result.get("module_stdout") or "").strip().splitlines()[-1:]
        said = " ".join([said.splitlines()[0] if said else "it failed without a message", *last])
    return said


def problem_of(host: str, result: Result | None) -> str:
    """Return a sentence with the host and its failure; empty if the task succeeded."""
    if not result:
        return f"{host}: the task returned no result."
    if result.get("unreachable"):
        return f"{host} cannot be reached any more. {failure_message(result)}".strip()
    if result.get("failed"):
        return f"{host}: {failure_message(result)}"
    return ""


def gate_problem(kind: str, answer: Result) -> str:
    """Return why the health check after a change failed; empty if it passed.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    answer : dict
        Result of `cluster_health`. A check without a verdict has failed.
    """
    verdict, detail = answer.get("verdict"), answer.get("detail")
    if answer.get("unreachable") or answer.get("failed") or verdict is None:
        return f"The health of the cluster could not be checked, so this change counts as failed. {failure_message(answer)}"
    # Under load, some schedulers report only the number of their workers. Such a scheduler serves.
    serves = kind == "scheduler" and verdict == "unknown" and detail not in (None, "none")
    if verdict in ("healthy", "degraded") or serves:
        return ""
    return failure_message(answer)


def workers_to_return(before: Result, after: Result, host: str, info: Result, release: Result) -> list[str]:
    """Return the workers that must register again with a restarted scheduler before the workers change.

    These are the workers that were registered and that systemd restarts. If the scheduler's address or its version of
    distributed has changed, there are none, because workers may have to change first. On the scheduler's own host, systemd
    already starts services from the new release, so only workers that the release does not change are expected.

    Parameters
    ----------
    before, after : dict
        Results of `cluster_health`. The task of ``before`` may have failed or may have been skipped.
    host : str
        Name of the scheduler's host, and ``info`` the result of `host_info` for it.
    release : dict
        The new release of that host.

    Returns
    -------
    list of str
        Names of the workers.
    """
    old, new = before.get("scheduler") or {}, after.get("scheduler") or {}
    versions = [(one.get("versions") or {}).get("distributed") for one in (old, new)]
    if not old.get("address") or old["address"] != new.get("address") or versions[0] != versions[1]:
        return []
    away = {*(before.get("silent") or []), *(before.get("retiring") or [])}
    wanted = release.get("services", {}).get("worker", {})
    for unit, runs in info.get("running", {}).items():
        if unit.startswith("dask-worker@") and wanted.get(unit) != runs:
            away.add(f"{host}-{unit.partition('@')[2].removesuffix('.service')}")
    # Only services of the collection report a release. Other workers may not be restarted.
    workers = before.get("workers") or []
    return sorted(worker["name"] for worker in workers if worker.get("release") and worker["name"] not in away)


def revert_target(info: Result, release: Result, kind: str) -> dict[str, Any]:
    """Return the release to which a host is reverted after a failed change.

    Parameters
    ----------
    info : dict
        Result of `host_info` for the host, before the change.
    release : dict
        The new release of the change.
    kind : str
        ``scheduler`` or ``worker``.

    Returns
    -------
    dict
        The release, in the form of `host_info`. Empty if no other release has served.
    """
    current, previous = info.get("current") or {}, info.get("previous") or {}
    before = current if kind in current.get("served", []) else previous
    if kind == "scheduler":
        runs = str(info.get("running", {}).get(SCHEDULER) or "")
        if runs != current.get("services", {}).get(kind, {}).get(SCHEDULER):
            # The scheduler still runs an older release, because it had work when an earlier run changed the host's workers.
            before = info.get("serving") or before
    if kind not in before.get("services", {}) or before["id"] == release.get("id"):
        return {}
    return dict(before)


def has_served(info: Result, kind: str) -> bool:
    """Return whether the current or the previous release of the host has served."""
    return any(kind in (info.get(name) or {}).get("served", []) for name in ("current", "previous"))


def journal_report(journals: Mapping[str, str]) -> list[str]:
    """Return the journals, each below a line with the name of the host. Omits empty ones."""
    return [f"{host}, last lines of the journal:\n{text}" for host, text in journals.items() if text]


def batch_report(results: Mapping[str, Result], enabled: bool) -> list[str]:
    """Return sentences about the hosts of a failed batch that were reverted, and why the others were not.

    Parameters
    ----------
    results : dict
        Result of `revert_workers` by host. Its ``release`` is empty if no other release has served on the host.
    enabled : bool
        Value of ``dask_rollback_on_failure``.
    """
    targets = {host: result.get("release", "") for host, result in results.items()}
    # The result has no release if the connection was lost early.
    lost = {host for host, result in results.items() if result.get("unreachable") or result.get("failed")}
    tried = {host: problem_of(host, results[host]) for host in targets if (targets[host] or host in lost) and enabled}
    problems = [problem for problem in tried.values() if problem]
    reverted = [host for host, problem in tried.items() if not problem]
    unchanged = [host for host in targets if host not in tried]
    said = []
    if reverted:
        said.append(f"{_part_of_batch(reverted, targets)} was reverted to the previous release.")
    if problems:
        said.append(
            "These hosts could not be reverted, and their state is unknown. Check systemctl status 'dask-worker@*' there: "
            + " ".join(problems)
        )
    if unchanged:
        why = "no other release has served there" if enabled else "dask_rollback_on_failure is false"
        said.append(f"{_part_of_batch(unchanged, targets)} was not reverted, because {why}.")
    return said


def _part_of_batch(hosts: Collection[str], batch: Collection[str]) -> str:
    """Return the subject of a sentence about some or all hosts of a batch."""
    names = ", ".join(hosts)
    return f"This batch ({names})" if len(hosts) == len(batch) else f"Of this batch, {names}"


def scheduler_note(info: Result, change: Result, wanted: str, rollback: bool) -> str:
    """Return a sentence about the scheduler for a failed change of workers; empty if the run did not change its release.

    Parameters
    ----------
    info : dict
        Result of `host_info` for the scheduler's host.
    change : dict
        Result of `change_scheduler`.
    wanted : str
        The release of the scheduler's service in the plan.
    rollback : bool
        Whether the run is a rollback.
    """
    before = (info.get("running") or {}).get(SCHEDULER)
    changed = SCHEDULER in (change.get("restarted") or []) and not change.get("failed")
    if not changed or before in (None, "", wanted):
        return ""
    if rollback:
        return (
            "The scheduler was already rolled back. Run rollback.yml again to finish, or site.yml to undo the rollback."
        )
    return "The scheduler already runs the new release. To revert the scheduler, too, run rollback.yml."


def scheduler_report(
    target: Result,
    reverted: Result,
    health: Result,
    expected: list[dict[str, str]],
    served: bool,
    enabled: bool,
    stopped: Result,
    workers: Result,
) -> list[str]:
    """Return sentences about the services of the scheduler's host after a failed change of the scheduler.

    Parameters
    ----------
    target : dict
        The release to which the host was reverted. Empty if there is none.
    reverted : dict
        Result of reverting the scheduler.
    health : dict
        Result of `cluster_health` after the revert.
    expected : list of dict
        The workers that must register again.
    served : bool
        Whether a release has served on the host.
    enabled : bool
        Value of ``dask_rollback_on_failure``.
    stopped : dict
        Result of stopping a scheduler that never served.
    workers : dict
        Result of reverting the workers of the scheduler's host. Skipped if the host has none.
    """
    if not enabled:
        return ["The scheduler was not reverted, because dask_rollback_on_failure is false."]
    if not target and served:
        return [
            "The scheduler was not reverted, because no other release has served on its host. systemd restarts the "
            "scheduler until it serves. Run site.yml with other variables, or rollback.yml to revert the latest change."
        ]
    if not target:
        problem = problem_of("The scheduler's host", stopped)
        state = f"The scheduler could not be stopped: {problem}" if problem else "The scheduler was stopped."
        return [f"No release of the scheduler has served on this host yet, so there is no previous one. {state}"]
    problem = problem_of("The scheduler's host", reverted)
    if problem:
        return [
            f"The scheduler could not be reverted to release {name_of(target)}, and its state is "
            f"unknown. Check systemctl status dask-scheduler on its host. {problem}"
        ]
    said = [f"The scheduler was reverted to release {name_of(target)}."]
    missing = health.get("missing") or []
    if health.get("failed") or health.get("unreachable") or health.get("detail") in (None, "none"):
        said.append(f"Its workers could not be checked: {failure_message(health)}")
    elif missing:
        said.append(
            f"Not registered again yet: {', '.join(missing)}. Check journalctl -u 'dask-worker@*' on their hosts."
        )
    elif expected:
        said.append(f"All of its {len(expected)} worker(s) are registered again.")
    problem = problem_of("The workers of its host", workers)
    if problem:
        said.append(f"These could not be reverted. Check systemctl status 'dask-worker@*' there. {problem}")
    return [
        *said,
        "Workers of other hosts were not changed. Correct the cause of the failure, and run the playbook again.",
    ]
