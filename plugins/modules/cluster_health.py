#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health
short_description: Check the health of a Dask cluster
version_added: "0.1.0"
description:
  - Requests the list of workers from the scheduler over HTTP, and compares it with the expected workers.
  - Waits for up to O(timeout) seconds until the cluster is healthy or degraded. If the scheduler does not answer, it may be
    starting, so the module repeats its requests. The module stops early if the certificate is not trusted, or the server
    redirects or requires a login, because waiting does not change that.
  - V(unhealthy) means that the scheduler does not answer or is closing, that workers are missing or silent, or that workers
    run other package versions than the scheduler or another release than expected.
  - V(unknown) means that the scheduler does not report enough to confirm that the cluster works. Treat it as V(unhealthy)
    if the result decides what happens next.
  - V(degraded) means that the cluster works, but has paused, retiring, starting or unexpected workers, workers of different
    releases if no release is expected, or Python versions that differ only in the patch number. V(healthy) is any other
    cluster.
  - Works with schedulers of distributed 2022.12 and newer. A scheduler that was set up by this collection reports everything
    in one request. A stock scheduler reports neither versions nor releases, and while tasks run it does not report which
    workers are paused or retiring. RV(detail) says how much is known.
  - An answer may have up to 16 MiB. One check makes at most nine requests, of at most O(request_timeout) seconds each.
options:
  url:
    description:
      - URL of the scheduler's dashboard, such as V(http://10.0.0.1:8787), with its prefix if it has one.
      - Requests go to the scheduler directly, never through a proxy.
    type: str
    required: true
  workers:
    description: The expected workers.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name that the worker registers with.
        type: str
        required: true
      release:
        description: The release that the worker's process should run. Not compared if omitted.
        type: str
  complete:
    description:
      - Whether O(workers) lists all workers of the cluster.
      - If V(false), only the listed workers are judged, and other workers are ignored. Use it to check a batch of hosts
        while others still run the previous release.
    type: bool
    default: true
  count:
    description: The least number of workers that must be registered or in RV(waiting).
    type: int
  scheduler_release:
    description:
      - The release that the scheduler's process should run. Not compared if omitted, or with O(scheduler_pending).
    type: str
  scheduler_pending:
    description:
      - Whether the scheduler runs an older release than its workers on purpose, since it has work that a restart would lose.
      - Then the cluster is V(degraded) at best, and package versions are compared among the workers alone.
    type: bool
    default: false
  control_socket:
    description:
      - The control socket of the scheduler's service on the host that the module runs on, such as
        V(/run/dask-scheduler/control.sock). Through this socket, root can list the clients for which the scheduler has work.
      - Used only if the scheduler has work and O(scheduler_pending) or O(until_idle) is set. A socket that does not answer
        is ignored.
    type: path
  known_problems:
    description:
      - Sentences about other problems of the cluster, which are added to RV(problems).
      - If there are any, the cluster is V(degraded) at best.
    type: list
    elements: str
    default: []
  registered_only:
    description:
      - Whether to check only that the scheduler answers and that O(workers) are registered. The state, release and package
        versions of workers are not judged then.
      - Use it after a restart of the scheduler, while workers still run the previous release.
    type: bool
    default: false
  until_idle:
    description:
      - Wait until the scheduler has no work, instead of until the cluster is healthy or degraded.
      - The scheduler has work if a task runs, is queued, or waits for another task, a worker or a resource, or if a client
        holds a result.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait until the cluster is healthy or degraded. With V(0) the module checks once.
      - The last check is made at the end of this time.
    type: float
    default: 0
  interval:
    description: Seconds between two checks.
    type: float
    default: 1
  request_timeout:
    description: Seconds that one HTTP request may take.
    type: float
    default: 5
  silent_after:
    description:
      - Seconds since its last heartbeat after which a worker counts as silent.
      - Workers send one every 0.5 s in a small cluster, every 2 s in one of 200.
    type: float
    default: 30
  certificate_warn_days:
    description: The cluster is V(degraded) if a certificate of a service expires within this number of days.
    type: float
    default: 30
  fail_when_unhealthy:
    description: Whether the verdicts V(unhealthy) and V(unknown) fail the task. If V(false), check RV(verdict).
    type: bool
    default: true
  validate_certs:
    description: Whether the certificate of an https server must be trusted.
    type: bool
    default: true
  ca_path:
    description: File on the host with the certificate authorities to trust, in PEM format.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or possibly needs changing in check mode, when in diff mode.
    support: none
author:
  - The daskops.cluster authors (@daskops)
seealso:
  - plugin: daskops.cluster.health_report
    plugin_type: filter
    description: Makes lines of text from the result, for a cluster of this collection.
  - module: daskops.cluster.configuration_info
    description: Returns the settings behind RV(drift), and where each comes from.
  - name: HTTP endpoints of Dask
    description: Routes and metrics of schedulers and workers.
    link: https://distributed.dask.org/en/stable/http_services.html
"""

EXAMPLES = r"""
- name: Check once, and fail if the scheduler does not answer or a worker is silent
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787

- name: Wait until every worker of the inventory is registered
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    workers:
      - name: node1-1
      - name: node2-1
    timeout: 60

- name: Continue an upgrade only when this host's workers run the new release
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    workers:
      - name: node1-1
        release: 3f2a91c04d5e.7b21
      - name: node1-2
        release: 3f2a91c04d5e.7b21
    complete: false
    timeout: 60

- name: Wait for at least 20 workers of a scheduler with a dashboard prefix, over https
  daskops.cluster.cluster_health:
    url: https://dask.example.org/cluster-a
    ca_path: /etc/dask/tls/ca.pem
    count: 20
    timeout: 120

- name: Check without failing
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    fail_when_unhealthy: false
  register: health

- name: Show what is wrong
  ansible.builtin.debug:
    var: health.problems
"""

RETURN = r"""
verdict:
  description:
    - V(healthy), V(degraded), V(unknown) or V(unhealthy). A cluster works if it is V(healthy) or V(degraded). Continue
      only with these two.
    - If the arguments are wrong, no request is made and the verdict is V(unknown).
  returned: always
  type: str
  sample: healthy
problems:
  description: Sentences that name each problem and what to do, sorted. Empty if and only if the verdict is V(healthy).
  returned: always
  type: list
  elements: str
  sample:
    - >-
      Missing: node2-1. Check the units on their hosts: systemctl status 'dask-worker*',
      journalctl -u 'dask-worker*'.
detail:
  description:
    - How much the scheduler reported. V(full) is everything.
    - V(identity) lacks versions, and releases of workers that do not run this collection's runtime.
    - V(names) also lacks the status of each worker. It has the number of paused and retiring workers, or not even that.
    - V(counts) has only the number of workers.
    - V(none) means that the scheduler did not answer.
  returned: always
  type: str
  sample: full
idle:
  description:
    - Whether the scheduler has no task at all. False if it did not answer or did not report the number of tasks.
  returned: always
  type: bool
  sample: false
elapsed:
  description: Seconds that the module spent on requests and waiting.
  returned: always
  type: float
  sample: 3.2
workers_expected:
  description: How many workers were expected; null if no number was given.
  returned: always
  type: int
  sample: 2
workers_present:
  description: How many workers are registered.
  returned: always
  type: int
  sample: 1
waiting:
  description:
    - Workers that are not registered, but count as present. C(state) is V(standby), V(outside hours) or V(starting).
    - C(cause) says why a worker is on standby. V(request) means that a client has asked for fewer workers, V(maximum)
      that the inventory allows no more, and V(idle) that there is no work for it. Empty if unknown.
    - C(outside) is the value of RV(outside_hours). C(host) and C(release) are empty if unknown.
    - Always empty without C(dask_worker_scaling) and C(dask_worker_hours) of this collection.
  returned: always
  type: list
  elements: dict
  sample:
    - name: node6-1
      state: standby
      cause: request
      outside: ""
      host: 10.0.0.6
      release: 3f2a91c04d5e.7b21
standby:
  description: Those of RV(waiting) that the scheduler does not let run now. Their units wait for the scheduler.
  returned: always
  type: list
  elements: str
  sample: [node6-1]
outside_hours:
  description:
    - Those of RV(waiting) that may not run now, because of C(dask_worker_hours) of this collection. The value tells until
      when.
  returned: always
  type: dict
  sample:
    desk1-1: until Mon 19:00
starting:
  description:
    - Those of RV(waiting) that were on standby or outside of their hours, and were told to start. They are missing if they
      do not register within 90 s.
  returned: always
  type: list
  elements: str
  sample: [node7-1]
scaling_requests:
  description:
    - Requests of clients that decide how many workers of a pool run. Always empty without C(dask_worker_scaling) of this
      collection.
    - C(waiting) is the number of tasks that wait for workers because of the request.
  returned: always
  type: list
  elements: dict
  sample:
    - pool: gpu
      minimum: 0
      maximum: 0
      workers: 4
      since: "2026-01-31 12:00:00+00:00"
      address: tls://10.0.0.9:41000
      waiting: 12
missing:
  description: Expected workers that are neither registered nor in RV(waiting).
  returned: always
  type: list
  elements: str
  sample: [node2-1]
unexpected:
  description: Registered workers that are not expected.
  returned: always
  type: list
  elements: str
  sample: [laptop-1]
paused:
  description: Workers that take no new tasks, usually because they are short of memory.
  returned: always
  type: list
  elements: str
  sample: [node3-1]
retiring:
  description: Workers that finish their tasks, hand over their data and then leave.
  returned: always
  type: list
  elements: str
  sample: [node4-1]
silent:
  description: Workers whose last heartbeat is older than O(silent_after).
  returned: always
  type: list
  elements: str
  sample: [node5-1]
versions:
  description:
    - Packages whose versions differ. By package and version, the names of the workers that have it, or V(scheduler).
    - Python counts as a package. Optional packages that the scheduler lacks are compared among the workers.
  returned: always
  type: dict
  sample:
    numpy:
      "2.3.1": [scheduler, node1-1]
      "2.4.0": [node2-1]
releases:
  description: Names of workers by the part of their release before the dot, which all workers of one release share.
  returned: always
  type: dict
  sample:
    3f2a91c04d5e: [node1-1, node2-1]
labels:
  description: Labels of these releases, if they have one.
  type: dict
  returned: always
  sample: {3f2a91c04d5e: v1.4}
release_differences:
  description: Expected and actual release by name of worker, if they differ.
  returned: always
  type: dict
  sample:
    node1-1:
      expected: 3f2a91c04d5e.7b21
      actual: 99a0c1d2e3f4.7b21
certificate_days:
  description:
    - Days until the first certificate of a service expires, negative if one has expired.
    - Null if connections are not encrypted, or the services do not run this collection's runtime.
  returned: always
  type: int
  sample: 364
drift:
  description:
    - Settings of Dask that differ from the release's configuration, by name of worker or V(scheduler). They were set while
      the service ran, in another file, or by an edit of the release's file.
    - Empty if the services do not run this collection's runtime.
  returned: always
  type: dict
  sample:
    node1-1: [distributed.worker.memory.spill]
memory:
  description: Bytes that all workers use, and the sum of their limits.
  returned: always
  type: dict
  sample:
    used: 150000000
    limit: 2000000000
tasks:
  description:
    - Number of tasks by state. A stock scheduler does not count queued tasks, and counts a result once for each worker
      that holds it.
  returned: always
  type: dict
  sample:
    memory: 12
    processing: 4
clients:
  description:
    - The clients for which the scheduler has work, at most ten, the one with most tasks first. Empty if O(control_socket)
      was not used.
    - Each has C(name), C(address), the number of its tasks in C(wanted), the number of tasks by state in C(tasks), and the
      size of the results in C(bytes). C(tasks) and C(bytes) count only the first C(looked_at) tasks.
  returned: always
  type: list
  elements: dict
  sample:
    - name: alice
      address: tls://10.0.0.9:41000
      wanted: 10
      looked_at: 10
      tasks: {memory: 7, processing: 3}
      bytes: 2147483648
scheduler:
  description:
    - What is known of the scheduler.
    - C(id), C(address), C(status), C(started) in seconds since the epoch, C(release), C(versions) by package, and the
      number of C(clients).
  returned: always
  type: dict
  sample:
    address: tcp://10.0.0.1:8786
    clients: 1
    status: running
workers:
  description:
    - What is known of each worker, sorted by name. Sizes are in bytes, times in seconds.
    - Depending on RV(detail) C(name), C(address), C(host), C(nthreads), C(memory), C(memory_limit), C(heartbeat_age),
      C(status), C(resources), C(dashboard_port), C(release), C(label), C(pid), C(nanny), C(processing),
      C(managed), C(spilled) and C(drift).
  returned: always
  type: list
  elements: dict
  sample:
    - name: node1-1
      address: tcp://10.0.0.2:41000
      status: running
      heartbeat_age: 0.3
"""

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.accounts import as_user
from ..module_utils.health import HEALTHY, UNKNOWN, WORKING, Expected, count_waiting, judge, unreachable, workers_are
from ..module_utils.scheduler_answers import from_clients
from ..module_utils.scheduler_http import SchedulerError, SchedulerHTTP
from ..module_utils.service_socket import ask as ask_service


def ask_clients(path: str, timeout: float) -> Any:
    """Return the clients that want tasks, and the number of clients left out, from the scheduler's control socket."""
    # The services' account owns the directory and could replace the socket with a link to another one.
    owner = os.stat(os.path.dirname(path)).st_uid
    return as_user(owner, lambda: from_clients(ask_service(path, "clients", timeout)), timeout + 1)


def ask(scheduler: SchedulerHTTP, expected: Expected, control_socket: str | None) -> tuple[dict[str, Any], bool]:
    """Return the result of one check, and whether another check can have another result."""
    try:
        report = scheduler.report()
    except SchedulerError as e:
        return unreachable(str(e), expected), not e.lasting
    if control_socket and report["known_tasks"]:
        try:
            report["clients"], report["more_clients"] = ask_clients(control_socket, scheduler.timeout)
        except (OSError, ValueError):  # an older runtime, or a scheduler on another host
            pass
    return judge(report, expected), True


def wait(
    scheduler: SchedulerHTTP,
    expected: Expected,
    timeout: float,
    interval: float,
    until_idle: bool,
    control_socket: str | None = None,
) -> dict[str, Any]:
    """Repeat `ask` until the cluster works or is idle, waiting cannot help, or ``timeout`` seconds have passed."""
    started = time.monotonic()
    while True:
        result, again = ask(scheduler, expected, control_socket)
        elapsed = time.monotonic() - started
        wanted = result["idle"] if until_idle else result["verdict"] in WORKING
        if wanted or not again or elapsed >= timeout:
            return dict(result, elapsed=round(elapsed, 3))
        time.sleep(min(interval, timeout - elapsed))


def summarize(url: str, result: Mapping[str, Any], timeout: float) -> str:
    """Return the result as one message."""
    if result["verdict"] == HEALTHY:
        waiting = count_waiting(worker["state"] for worker in result["waiting"])
        more = f", {waiting}" if waiting else ""
        return f"The Dask cluster at {url} is healthy, {workers_are(result['workers_present'])} registered{more}."
    waited = f" after {result['elapsed']:.1f} s of waiting" if timeout else ""
    said = result["verdict"] if result["verdict"] != UNKNOWN else "not known to be healthy"
    return f"The Dask cluster at {url} is {said}{waited}. {' '.join(result['problems'])}"


def stop(module: AnsibleModule, problem: str) -> None:
    """Fail because of wrong arguments. The result has a verdict, because one without could be mistaken for success."""
    module.fail_json(msg=problem, verdict=UNKNOWN, problems=[problem], idle=False)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "workers": {
                "type": "list",
                "elements": "dict",
                "options": {"name": {"type": "str", "required": True}, "release": {"type": "str"}},
            },
            "complete": {"type": "bool", "default": True},
            "count": {"type": "int"},
            "scheduler_release": {"type": "str"},
            "scheduler_pending": {"type": "bool", "default": False},
            "control_socket": {"type": "path"},
            "known_problems": {"type": "list", "elements": "str", "default": []},
            "registered_only": {"type": "bool", "default": False},
            "until_idle": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 0},
            "interval": {"type": "float", "default": 1},
            "request_timeout": {"type": "float", "default": 5},
            "silent_after": {"type": "float", "default": 30},
            "certificate_warn_days": {"type": "float", "default": 30},
            "fail_when_unhealthy": {"type": "bool", "default": True},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    for name in ("interval", "request_timeout", "timeout", "silent_after", "certificate_warn_days"):
        least = "above 0" if name in ("interval", "request_timeout") else "of at least 0"
        # Written so that it rejects NaN, too.
        if not (0 < params[name] < math.inf or (params[name] == 0 and least != "above 0")):
            stop(module, f"{name} is {params[name]:g}: give a number {least}.")
    try:
        scheduler = SchedulerHTTP(params["url"], params["request_timeout"], params["validate_certs"], params["ca_path"])
    except SchedulerError as e:  # the arguments are wrong
        stop(module, str(e))
    expected = Expected(
        {worker["name"]: worker["release"] for worker in params["workers"] or []},
        complete=params["complete"],
        count=params["count"],
        scheduler_release=params["scheduler_release"],
        silent_after=params["silent_after"],
        scheduler_pending=params["scheduler_pending"],
        registered_only=params["registered_only"],
        certificate_warn_days=params["certificate_warn_days"],
        known_problems=params["known_problems"],
    )
    socket = params["control_socket"] if params["scheduler_pending"] or params["until_idle"] else None
    result = wait(scheduler, expected, params["timeout"], params["interval"], params["until_idle"], socket)
    result["msg"] = summarize(scheduler.root, result, params["timeout"])
    if result["verdict"] not in WORKING and params["fail_when_unhealthy"]:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
