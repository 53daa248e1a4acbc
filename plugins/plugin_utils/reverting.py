# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a change has failed, what its hosts go back to, and what is said about it. Pure functions.

Results are those of tasks as Ansible registers them. A task may also have been skipped, or have failed in any way: then its
result has none of the module's own keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEDULER = "dask-scheduler.service"

Result = Mapping[str, Any]


def words_of(result: Result) -> str:
    """What a failed task says of itself."""
    said = str(result.get("msg") or "").strip()
    if not said or said.startswith("MODULE FAILURE"):
        # Of a module that ended with a traceback: its last line says what is wrong.
        last = str(result.get("module_stderr") or result.get("module_stdout") or "").strip().splitlines()[-1:]
        said = " ".join([said.splitlines()[0] if said else "it failed without a message", *last])
    return said


def problem_of(host: str, result: Result | None) -> str:
    """What went wrong with a host, a sentence that names it; empty if nothing did."""
    if not result:
        return f"{host}: nothing is known of it."
    if result.get("unreachable"):
        return f"{host} cannot be reached any more. {words_of(result)}".strip()
    if result.get("failed"):
        return f"{host}: {words_of(result)}"
    return ""


def gate_problem(kind: str, answer: Result) -> str:
    """Why the gate of a change says no; empty if it says yes. A gate that cannot be asked says no."""
    verdict, detail = answer.get("verdict"), answer.get("detail")
    if answer.get("unreachable") or answer.get("failed") or verdict is None:
        return f"The cluster could not be asked, so this change counts as failed. {words_of(answer)}"
    # A scheduler that counts its workers but does not name them, as some do under load, serves.
    serves = kind == "scheduler" and verdict == "unknown" and detail not in (None, "none")
    if verdict in ("healthy", "degraded") or serves:
        return ""
    return words_of(answer)


def workers_to_return(before: Result, after: Result, host: str, info: Result, release: Result) -> list[str]:
    """The workers that must register again with a restarted scheduler, whatever else the run will change.

    They are those that it had and that systemd starts again, unless the change itself may keep them away until they change,
    too: when the scheduler's address or its version of distributed is another one. On the scheduler's own host, services
    start from the new release already, so only those count which it leaves as they are.

    Parameters
    ----------
    before, after : dict
        Answers of `cluster_health`. ``before`` may be one of a task that failed or was skipped.
    host : str
        Name of the scheduler's host, and ``info`` the result of `host_info` for it.
    release : dict
        The new release of that host.

    Returns
    -------
    list of str
        Their names.
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
    # Only services of the collection tell a release. Who started the others may not start them again.
    workers = before.get("workers") or []
    return sorted(worker["name"] for worker in workers if worker.get("release") and worker["name"] not in away)


def served_before(info: Result, release: Result, kind: str) -> dict[str, Any]:
    """The release that a host goes back to.

    Parameters
    ----------
    info : dict
        What `host_info` told of the host before the change.
    release : dict
        The release of the change.
    kind : str
        ``scheduler`` or ``worker``.

    Returns
    -------
    dict
        As `host_info` tells it; empty if no other has served.
    """
    current, previous = info.get("current") or {}, info.get("previous") or {}
    before = current if kind in current.get("served", []) else previous
    if kind == "scheduler":
        runs = str(info.get("running", {}).get(SCHEDULER) or "")
        if runs != current.get("services", {}).get(kind, {}).get(SCHEDULER):
            # It runs what an earlier change of the host's workers has left it with, because it had work.
            before = info.get("serving") or before
    if kind not in before.get("services", {}) or before["id"] == release.get("id"):
        return {}
    return dict(before)


def has_served(info: Result, kind: str) -> bool:
    """Whether any release that the host knows of has served."""
    return any(kind in (info.get(name) or {}).get("served", []) for name in ("current", "previous"))


def last_words(journals: Mapping[str, str]) -> list[str]:
    """The journals that were read, by host, in lines."""
    return [f"{host}, last lines of the journal:\n{text}" for host, text in journals.items() if text]


def went_back(results: Mapping[str, Result], enabled: bool) -> list[str]:
    """What a batch of worker hosts runs now, in sentences.

    Parameters
    ----------
    results : dict
        Result of `revert_workers` by host; its ``way`` is empty where there was no release to go back to.
    enabled : bool
        Whether hosts are put back at all.
    """
    ways = {host: result.get("way", "") for host, result in results.items()}
    # A host that was lost before its release was found has no way.
    lost = {host for host, result in results.items() if result.get("unreachable") or result.get("failed")}
    failed = {host: problem_of(host, results[host]) for host in ways if (ways[host] or host in lost) and enabled}
    bad = [problem for problem in failed.values() if problem]
    back = [host for host, problem in failed.items() if not problem]
    left = [host for host in ways if host not in failed]
    said = []
    if len(back) == len(ways):
        said.append(f"This batch ({', '.join(back)}) runs what it ran before again.")
    elif back:
        said.append(f"Of this batch {', '.join(back)} runs what it ran before again.")
    if bad:
        said.append(
            "These were not put back; what they run now is not known, so look at systemctl status 'dask-worker@*' there: "
            + " ".join(bad)
        )
    if left:
        why = "nothing else has served there before" if enabled else "dask_rollback_on_failure is false"
        which = f"This batch ({', '.join(left)})" if len(left) == len(ways) else f"Of this batch {', '.join(left)}"
        said.append(f"{which} was left as it is, because {why}.")
    return said


def about_scheduler(info: Result, turn: Result, wanted: str, back: bool) -> str:
    """What is to be known of the scheduler when workers have failed; empty if this run has not changed what it runs."""
    before = (info.get("running") or {}).get(SCHEDULER)
    changed = SCHEDULER in (turn.get("restarted") or []) and not turn.get("failed") and before not in (None, "", wanted)
    if not changed:
        return ""
    if back:
        return "The scheduler went back already: run rollback.yml again to finish, or site.yml to undo it."
    return "The scheduler was changed to the new release before; rollback.yml takes it back too."


def scheduler_state(
    way: Result,
    put_back: Result,
    again: Result,
    expected: list[dict[str, str]],
    served: bool,
    enabled: bool,
    stopped: Result,
    workers: Result,
) -> list[str]:
    """What the scheduler's host runs now, in sentences.

    Parameters
    ----------
    way : dict
        The release that it goes back to, if there is one.
    put_back : dict
        Result of putting it back.
    again : dict
        Answer of `cluster_health` after that.
    expected : list of dict
        The workers that must be there again.
    served : bool
        Whether a release has served on the host.
    enabled : bool
        Whether it is put back at all.
    stopped : dict
        Result of stopping a scheduler that never served.
    workers : dict
        Result of putting back the workers of the scheduler's host; skipped where it has none.
    """
    if not enabled:
        return ["The scheduler was left as it is, because dask_rollback_on_failure is false."]
    if not way and served:
        return [
            "The scheduler was left as it is, because it has no other release to go back to; systemd starts it again until "
            "it serves. Run site.yml with other variables, or rollback.yml to take the latest change back."
        ]
    if not way:
        problem = problem_of("The scheduler's host", stopped)
        state = f"It could not be stopped: {problem}" if problem else "It was stopped, and nothing of it runs."
        return [f"No release of the scheduler has served here before, so there is none to go back to. {state}"]
    problem = problem_of("The scheduler's host", put_back)
    if problem:
        return [
            f"The scheduler was not put back to release {way['id']}; what runs now is not known, so look at systemctl "
            f"status dask-scheduler there. {problem}"
        ]
    said = [f"The scheduler runs release {way['id']} again, which served before."]
    missing = again.get("missing") or []
    if again.get("failed") or again.get("unreachable") or again.get("detail") in (None, "none"):
        said.append(f"It could not be asked for its workers: {words_of(again)}")
    elif missing:
        said.append(f"Not registered again yet: {', '.join(missing)}. Look at journalctl -u 'dask-worker@*' there.")
    elif expected:
        said.append(f"All {len(expected)} worker(s) that it had are registered again.")
    problem = problem_of("The workers of its host", workers)
    if problem:
        said.append(f"These were not put back; look at systemctl status 'dask-worker@*' there. {problem}")
    return [*said, "Workers of other hosts were not touched. Correct what failed, and run again."]
