# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a scheduler's report with the expected cluster, and return a verdict. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.release_names import with_label

HEALTHY = "healthy"
DEGRADED = "degraded"
UNKNOWN = "unknown"
UNHEALTHY = "unhealthy"
VERDICTS = (HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY)  # from best to worst

#: The verdicts of a cluster that works. A gate passes with these and fails with the others.
WORKING = (HEALTHY, DEGRADED)

#: Dask's names of the status of a worker that computes, takes no tasks, or leaves.
RUNNING, PAUSED, RETIRING = ("running",), ("paused",), ("closing_gracefully", "closing")

#: States of a worker that is not registered, but is present: its unit waits, or was told to start.
STANDBY, OUTSIDE, STARTING = "standby", "outside hours", "starting"

#: Why workers are on standby, as the scheduler says it, and the sentence about it.
CAUSES = {
    "request": "On standby, because a client has asked for fewer workers",
    "maximum": "On standby, because their pool has reached its maximum in the inventory",
    "idle": "On standby, because there is no work for them",
}

#: Number of workers that one sentence names. The returned lists name all workers.
NAMED = 20

SEE_UNITS = "Check the units on their hosts: systemctl status 'dask-worker*', journalctl -u 'dask-worker*'."
ASK_LATER = "Check again when no tasks run, because this scheduler then reports more."


class Expected:
    """The expected state of a cluster.

    Parameters
    ----------
    workers : dict, optional
        Expected release by name of worker. None for a worker whose release is not compared.
    complete : bool
        Whether ``workers`` lists all workers of the cluster. If not, other workers are ignored, so that the gate of a batch
        ignores the hosts of later batches.
    count : int, optional
        The least number of workers.
    scheduler_release : str, optional
        The release that the scheduler should run.
    silent_after : float
        Seconds without a heartbeat after which a worker counts as silent.
    certificate_warn_days : float
        Report a certificate that expires within this number of days.
    now : float, optional
        Seconds since the epoch.
    known_problems : list of str
        Sentences about other problems of the cluster.
    scheduler_pending : bool
        Whether the scheduler runs an older release than its workers on purpose, because it has work.
    registered_only : bool
        Whether to check only that the scheduler answers and the workers are registered, and to ignore their state.
    """

    def __init__(
        self,
        workers: Mapping[str, str | None] | None = None,
        complete: bool = True,
        count: int | None = None,
        scheduler_release: str | None = None,
        silent_after: float = 30.0,
        scheduler_pending: bool = False,
        registered_only: bool = False,
        certificate_warn_days: float = 30.0,
        now: float | None = None,
        known_problems: Iterable[str] = (),
    ) -> None:
        self.workers = dict(workers or {})
        self.complete = complete
        self.count = count
        self.scheduler_release = scheduler_release
        self.silent_after = silent_after
        self.scheduler_pending = scheduler_pending
        self.registered_only = registered_only
        self.certificate_warn_days = certificate_warn_days
        self.now = time.time() if now is None else now
        self.known_problems = list(known_problems)

    def concerns(self, worker: Mapping[str, Any]) -> bool:
        """Return whether a worker is judged."""
        if self.registered_only:
            return False
        return self.complete or not self.workers or worker["name"] in self.workers


class Findings:
    """The problems that were found, and the verdict of the worst one."""

    def __init__(self) -> None:
        self.verdict = HEALTHY
        self.problems: list[str] = []

    def add(self, verdict: str, problem: str) -> None:
        """Add a problem. If ``verdict`` is worse than the present verdict, it replaces it."""
        self.verdict = max(self.verdict, verdict, key=VERDICTS.index)
        self.problems.append(problem)


def judge(report: Mapping[str, Any], expected: Expected) -> dict[str, Any]:
    """Return the verdict on a scheduler's report, and the problems.

    Parameters
    ----------
    report : dict
        Result of :meth:`SchedulerHTTP.report`.
    expected : Expected
        The expected state of the cluster.

    Returns
    -------
    dict
        ``verdict``, ``problems`` and the other results of the module `cluster_health`, except ``elapsed``.
    """
    findings = Findings()
    workers = sorted(report["workers"] or [], key=lambda worker: worker["name"])
    judged = [worker for worker in workers if expected.concerns(worker)]
    standby = sorted(report.get("standby") or [], key=lambda worker: worker["name"])
    result = {
        "detail": report["detail"],
        "scheduler": report["scheduler"],
        "tasks": report["tasks"],
        "clients": report.get("clients") or [],
        # Results that clients hold count as work: a restart of the scheduler loses them, too.
        "idle": report["known_tasks"] == 0,
        # Omit the versions of each worker. There can be hundreds of workers, and "versions" has the differences.
        "workers": [{key: worker[key] for key in worker if key != "versions"} for worker in workers],
        "workers_present": report["count"],
        "waiting": [describe_absent(worker) for worker in standby],
        "standby": names_of([worker for worker in standby if state_of(worker) == STANDBY]),
        "outside_hours": {worker["name"]: worker["outside"] for worker in standby if state_of(worker) == OUTSIDE},
        "starting": names_of([worker for worker in standby if state_of(worker) == STARTING]),
        "scaling_requests": report.get("scaling_requests") or [],
        "workers_expected": len(expected.workers) or expected.count,
        "memory": {
            "used": sum(worker.get("memory") or 0 for worker in workers),
            "limit": sum(worker.get("memory_limit") or 0 for worker in workers),
        },
        "missing": [],
        "unexpected": [],
    }

    for problem in expected.known_problems:
        findings.add(DEGRADED, problem)
    status = report["scheduler"].get("status") or "running"
    if status != "running":
        findings.add(UNHEALTHY, f"The scheduler is {status}. See its log: journalctl -u dask-scheduler.")
    for request in result["scaling_requests"]:
        if request["waiting"]:
            findings.add(
                DEGRADED,
                f"{request['waiting']} task(s) wait for workers that a client has stopped. {describe_request(request)}. "
                "Ask its user to scale, or call scale() of daskops.Cluster without a number.",
            )
    result.update(judge_presence(report, workers, standby, expected, findings))
    result.update(judge_states(report, judged, expected, findings))
    if expected.scheduler_pending:
        findings.add(DEGRADED, describe_pending(report, judged))
        result["versions"] = judge_versions({}, judged, findings)
    else:
        result["versions"] = judge_versions(report["scheduler"], judged, findings)
    waiting = [worker for worker in standby if expected.concerns(worker)]
    result.update(judge_releases(report["scheduler"], [*judged, *waiting], expected, findings))
    result.update(judge_certificates(report["scheduler"], judged, expected, findings))
    result.update(judge_configuration(report["scheduler"], judged, findings))
    return dict(result, verdict=findings.verdict, problems=sorted(findings.problems))


def unreachable(reason: str, expected: Expected) -> dict[str, Any]:
    """Return the result for a scheduler that does not answer: all expected workers are missing."""
    nothing = {"detail": "none", "scheduler": {}, "count": 0, "workers": [], "tasks": {}, "states": None}
    nothing["known_tasks"] = None
    result = judge(nothing, expected)
    if result["missing"]:
        reason += f" Until it answers, these workers count as missing: {join(result['missing'])}."
    return dict(result, verdict=UNHEALTHY, problems=[reason])


def judge_presence(
    report: Mapping[str, Any],
    workers: list[dict[str, Any]],
    standby: list[dict[str, Any]],
    expected: Expected,
    findings: Findings,
) -> dict[str, Any]:
    """Find expected workers that are neither registered nor wait nor start, and workers that are not expected."""
    count = report["count"]
    everyone = expected.complete or not expected.workers
    concerned = [worker for worker in standby if everyone or worker["name"] in expected.workers]
    starting = [worker for worker in concerned if state_of(worker) == STARTING]
    if starting:
        findings.add(
            DEGRADED,
            f"Starting: {describe(starting)}. They were on standby or outside of their hours, and are not registered yet.",
        )
    lost = [worker for worker in concerned if state_of(worker) == OUTSIDE and not worker.get("returns", True)]
    for worker in lost:
        findings.add(
            DEGRADED,
            f"{worker['name']} does not start, because its dask_worker_hours cannot be used. It is off "
            f"{worker['outside']}. Correct that on its host, or run site.yml.",
        )
    if expected.count is not None and count + len(standby) < expected.count:
        waiting = count_waiting(map(state_of, standby))
        more = f", and {waiting}," if waiting else ""
        findings.add(
            UNHEALTHY, f"{workers_are(count)} registered{more} instead of at least {expected.count}. {SEE_UNITS}"
        )
    if not expected.workers:
        return {}
    if report["workers"] is None:
        untold = "this scheduler does not report their names"
        if count < len(expected.workers):
            findings.add(
                UNHEALTHY, f"{workers_are(count)} registered instead of {len(expected.workers)}; {untold}. {SEE_UNITS}"
            )
        else:
            findings.add(
                UNKNOWN, f"{workers_are(count)} registered, but maybe not the expected ones: {untold}. {ASK_LATER}"
            )
        return {}

    present = {worker["name"] for worker in [*workers, *standby]}
    missing = sorted(set(expected.workers) - present)
    unexpected = [worker for worker in workers if expected.complete and worker["name"] not in expected.workers]
    if missing:
        findings.add(UNHEALTHY, f"Missing: {join(missing)}. {SEE_UNITS}")
    if unexpected:
        findings.add(
            DEGRADED,
            f"Unexpected: {describe(unexpected)}. Add their hosts to the inventory and run site.yml. To remove "
            "a host, keep it in the inventory or add it again, run remove.yml --limit HOST, then delete it.",
        )
    return {"missing": missing, "unexpected": names_of(unexpected)}


def judge_states(
    report: Mapping[str, Any], workers: list[dict[str, Any]], expected: Expected, findings: Findings
) -> dict[str, Any]:
    """Find workers that are paused, retiring or silent, and workers whose state is unknown."""
    paused = [worker for worker in workers if worker.get("status") in PAUSED]
    retiring = [worker for worker in workers if worker.get("status") in RETIRING]
    other = [worker for worker in workers if worker.get("status") not in (None, *RUNNING, *PAUSED, *RETIRING)]
    silent = [worker for worker in workers if (worker["heartbeat_age"] or 0) > expected.silent_after]
    if paused:
        findings.add(
            DEGRADED,
            f"Paused, so they take no tasks: {describe(paused)}. They are probably short of memory. Check it on the "
            "scheduler's dashboard, and see journalctl -u 'dask-worker*' on their hosts.",
        )
    if retiring:
        findings.add(
            DEGRADED,
            f"Retiring: {describe(retiring)}. They leave after their tasks have finished and their data has moved.",
        )
    if other:
        listing = describe(other, lambda worker: f"status {worker['status']}")
        findings.add(UNKNOWN, f"Not known to take tasks: {listing}. {SEE_UNITS}")
    if silent:
        listing = describe(silent, lambda worker: f"for {worker['heartbeat_age']:.0f} s")
        findings.add(UNHEALTHY, f"Silent: {listing}. Check the network to their hosts. {SEE_UNITS}")
    judge_untold_states(report, workers, expected, findings)
    return {"paused": names_of(paused), "retiring": names_of(retiring), "silent": names_of(silent)}


def judge_untold_states(
    report: Mapping[str, Any], workers: list[dict[str, Any]], expected: Expected, findings: Findings
) -> None:
    """Add a problem for states that the scheduler does not report. A worker with an unknown state is not healthy."""
    if report["workers"] is None:
        if report["count"]:
            findings.add(
                UNKNOWN,
                f"This scheduler does not report whether its {report['count']} worker(s) are alive. {ASK_LATER}",
            )
    else:
        quiet = [worker for worker in workers if worker["heartbeat_age"] is None]
        if quiet:
            findings.add(
                UNKNOWN, f"This scheduler does not report when it last heard from {describe(quiet)}. {ASK_LATER}"
            )
    untold = [worker for worker in workers if worker.get("status") is None]
    if report["states"] is None:
        if untold:
            findings.add(
                UNKNOWN,
                f"This scheduler does not report whether these are paused or retiring: {describe(untold)}. {ASK_LATER} "
                "With prometheus-client in its environment, distributed 2023.7 and newer report how many are.",
            )
        return
    everyone = expected.complete or not expected.workers
    for state, amount in report["states"].items():
        if amount:
            # If only some workers are checked, the count may be of others.
            findings.add(
                DEGRADED if everyone else UNKNOWN,
                f"{workers_are(amount)} {state}. Under load, this scheduler does not report which.",
            )


def judge_versions(scheduler: Mapping[str, Any], workers: list[dict[str, Any]], findings: Findings) -> dict[str, Any]:
    """Return the packages whose versions differ: ``{package: {version: [name, ...]}}``. A name can be ``scheduler``.

    A package that the scheduler lacks is compared among the workers only, because Dask needs no numpy on the scheduler.
    """
    installed = {package: version for package, version in (scheduler.get("versions") or {}).items() if version}
    everyone = [("scheduler", installed)]
    everyone += [(worker["name"], worker.get("versions") or {}) for worker in workers]
    untold = [worker for worker in workers if not worker.get("versions")]
    if untold and any(packages for dummy, packages in everyone):
        findings.add(UNKNOWN, f"Package versions are not known: {describe(untold)}. {SEE_UNITS}")
    found: dict[str, dict[str, list[str]]] = {}
    for who, packages in everyone:
        for package, version in packages.items():
            found.setdefault(package, {}).setdefault(version or "missing", []).append(who)
    differing = {package: versions for package, versions in sorted(found.items()) if len(versions) > 1}
    for package, versions in differing.items():
        # Dask sends functions as bytecode, which all patch releases of one minor version of Python can read.
        harmless = package == "python" and len({tuple(version.split(".")[:2]) for version in versions}) == 1
        listing = "; ".join(f"{version} on {join(who)}" for version, who in sorted(versions.items()))
        findings.add(
            DEGRADED if harmless else UNHEALTHY,
            f"Versions of {package} differ: {listing}. Install the same environment on all hosts.",
        )
    return differing


def judge_releases(
    scheduler: Mapping[str, Any], workers: list[dict[str, Any]], expected: Expected, findings: Findings
) -> dict[str, Any]:
    """Find services that do not run the expected release."""
    actual = scheduler.get("release")
    pending = expected.scheduler_pending
    if expected.scheduler_release and actual != expected.scheduler_release and not pending:
        findings.add(
            UNHEALTHY,
            f"The scheduler runs release {actual or 'unknown'} instead of {expected.scheduler_release}. Restart it.",
        )
    groups: dict[str, list[str]] = {}
    labels: dict[str, str] = {}
    unasked = set()
    for worker in workers:
        if worker.get("release"):
            prefix = worker["release"].split(".")[0]
            groups.setdefault(prefix, []).append(worker["name"])
            if worker.get("label"):
                labels[prefix] = worker["label"]
            if not expected.workers.get(worker["name"]):
                unasked.add(prefix)
    wrong = [worker for worker in workers if expected.workers.get(worker["name"]) not in (None, worker.get("release"))]
    if wrong and "release" not in wrong[0]:
        findings.add(
            UNKNOWN, f"Under load, this scheduler does not report the release of: {describe(wrong)}. {ASK_LATER}"
        )
        wrong = []
    elif wrong:
        listing = describe(
            wrong,
            lambda worker: (
                f"{with_label(worker.get('release') or 'unknown', worker.get('label'))} instead of "
                f"{expected.workers[worker['name']]}"
            ),
        )
        findings.add(UNHEALTHY, f"Not the expected release: {listing}. Restart their units.")
    elif len(unasked) > 1:
        named = {with_label(release, labels.get(release)): names for release, names in sorted(groups.items())}
        listing = "; ".join(f"{release} on {join(names)}" for release, names in named.items())
        findings.add(DEGRADED, f"Workers run different releases: {listing}. Finish the upgrade.")
    return {
        "releases": groups,
        "labels": labels,
        "release_differences": {
            worker["name"]: {"expected": expected.workers[worker["name"]], "actual": worker.get("release")}
            for worker in wrong
        },
    }


def judge_certificates(
    scheduler: Mapping[str, Any], workers: list[dict[str, Any]], expected: Expected, findings: Findings
) -> dict[str, Any]:
    """Find certificates of the scheduler and the workers that expire soon."""
    everyone = [dict(scheduler, name="scheduler"), *workers]
    days = {
        one["name"]: (one["certificate_expires"] - expected.now) / 86400
        for one in everyone
        if one.get("certificate_expires") is not None
    }
    soon = sorted((name for name in days if days[name] < expected.certificate_warn_days), key=lambda name: days[name])
    if soon:
        first = int(days[soon[0]])
        findings.add(
            DEGRADED,
            f"Certificates expire in {first} days or have expired: {join(soon)}. Run site.yml. If they are your own, "
            "replace them first.",
        )
    return {"certificate_days": int(min(days.values())) if days else None}


def judge_configuration(
    scheduler: Mapping[str, Any], workers: list[dict[str, Any]], findings: Findings
) -> dict[str, Any]:
    """Find services with settings that differ from those of their release."""
    everyone = [dict(scheduler, name="scheduler"), *workers]
    drift = {one["name"]: one["drift"] for one in everyone if one.get("drift")}
    if drift:
        keys = sorted({key for found in drift.values() for key in found})
        findings.add(
            DEGRADED,
            f"Settings differ from the configuration of the release: {join(keys)} on {join(sorted(drift))}. "
            "show_configuration.yml shows their origin. A restart of the service resets those that were made at run time.",
        )
    return {"drift": drift}


def describe_pending(report: Mapping[str, Any], workers: list[dict[str, Any]]) -> str:
    """Return sentences about a pending scheduler: the amount of its work, its clients and its package versions."""
    known, tasks = report["known_tasks"], report["tasks"]
    if known is None:
        work = "The amount of its work is not known."
    elif known == 0:
        work = "It has no work now. Run site.yml again to restart it."
    else:
        states = join([f"{tasks[state]} {state}" for state in sorted(tasks) if tasks[state]])
        work = f"It has {known} task(s){f' ({states})' if states else ''}."
    sentences = [
        "The scheduler is pending. It was not restarted, because it had work or did not report that it had none."
    ]
    sentences.append(work)
    clients = report.get("clients") or []
    if clients:
        more = f" and {report['more_clients']} more client(s)" if report.get("more_clients") else ""
        sentences.append(f"They belong to {join([describe_client(client) for client in clients])}{more}.")
    elif known and report["scheduler"].get("clients") is not None:
        sentences.append(f"{report['scheduler']['clients']} client(s) are connected.")
    if known:
        sentences.append("Run site.yml again after these clients have released their results or closed.")
    sentences += describe_other_versions(report["scheduler"], workers)
    return " ".join(sentences)


def describe_request(request: Mapping[str, Any]) -> str:
    """Return a client's request for workers as text: ``Pool gpu: 0 of 4 workers, requested from tls://10.0.0.9:4100``."""
    low, high = request["minimum"], request["maximum"]
    number = str(low) if low == high else f"{low} to {high}"
    return (
        f"Pool {request['pool']}: {number} of {request['workers']} workers, requested from {request['address']} "
        f"at {request['since']}"
    )


def state_of(worker: Mapping[str, Any]) -> str:
    """Return the state of a worker in the list ``standby`` of a report."""
    return STARTING if worker.get("starting") else OUTSIDE if worker.get("outside") else STANDBY


def describe_absent(worker: Mapping[str, Any]) -> dict[str, str]:
    """Return a worker in the list ``standby`` of a report for the result ``waiting``. Unknown texts are empty."""
    state = state_of(worker)
    outside = worker["outside"] if state == OUTSIDE else ""
    cause = worker.get("cause") if state == STANDBY and worker.get("cause") in CAUSES else ""
    known = {"host": worker.get("host") or "", "release": worker.get("release") or ""}
    return {"name": worker["name"], "state": state, "outside": outside, "cause": cause or "", **known}


def count_waiting(states: Iterable[str]) -> str:
    """Return how many workers are in each of these states, such as ``2 on standby, 1 starting``; empty if none."""
    listed = list(states)
    texts = {STANDBY: "on standby", OUTSIDE: "outside of their hours", STARTING: "starting"}
    return ", ".join(f"{listed.count(state)} {text}" for state, text in texts.items() if state in listed)


def describe_standby(waiting: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yield a sentence for each cause of being on standby, from the result ``waiting``."""
    by_cause: dict[str, list[str]] = {cause: [] for cause in (*CAUSES, "")}
    for worker in waiting:
        if worker["state"] == STANDBY:
            by_cause[worker["cause"]].append(worker["name"])
    for cause, names in by_cause.items():
        if names:
            yield f"{CAUSES.get(cause, 'On standby')}: {join(names)}."


def describe_outside(outside: Mapping[str, str]) -> str:
    """Return the workers outside of their hours as text: ``a-1, a-2 until Mon 19:00; b-1 until Sat 00:00``."""
    by_time: dict[str, list[str]] = {}
    for name, text in outside.items():
        by_time.setdefault(text, []).append(name)
    return "; ".join(f"{join(names)} {text}" for text, names in by_time.items())


def describe_client(client: Mapping[str, Any]) -> str:
    """Return a client as text: ``alice at tls://10.0.0.9:41000 (3 processing, 7 result(s) of 2.0 GiB)``."""
    who = client["name"] or "a client"
    where = f" at {client['address']}" if client["address"] else ""
    states = [f"{amount} {state}" for state, amount in sorted(client["tasks"].items()) if amount and state != "memory"]
    results = client["tasks"].get("memory")
    if results:
        states.append(f"{results} result(s) of {format_bytes(client['bytes'])}")
    least = f"of {client['wanted']} tasks at least " if client["looked_at"] < client["wanted"] else ""
    return f"{who}{where} ({least}{', '.join(states)})"


def describe_other_versions(scheduler: Mapping[str, Any], workers: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a sentence with the packages of which the scheduler has another version than all workers, if there are any."""
    differing = []
    for package, version in sorted((scheduler.get("versions") or {}).items()):
        others = {found for worker in workers if (found := (worker.get("versions") or {}).get(package))}
        if version and others and version not in others:
            differing.append(f"{package} {version} instead of {', '.join(sorted(others)[:3])}")
    if differing:
        yield f"Until then, its versions differ from those of the workers: {join(differing)}."


def format_bytes(size: float) -> str:
    """Return a size in bytes as text, such as ``2.0 GiB``."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def names_of(workers: list[dict[str, Any]]) -> list[str]:
    """Return the names of workers."""
    return [worker["name"] for worker in workers]


def describe(workers: list[dict[str, Any]], note: Callable[[dict[str, Any]], str] | None = None) -> str:
    """Return the names of workers with their hosts, and a note on each."""
    listing = []
    for worker in workers:
        text = f"{worker['name']} on {worker['host']}" if worker.get("host") else worker["name"]
        listing.append(f"{text} ({note(worker)})" if note else text)
    return join(listing)


def join(names: Sequence[str]) -> str:
    """Return at most `NAMED` names as text: ``a, b, c and 4 more``."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def workers_are(number: int) -> str:
    """Return ``1 worker is`` or ``2 workers are``."""
    return "1 worker is" if number == 1 else f"{number} workers are"
