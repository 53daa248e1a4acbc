#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health
short_description: Ask a Dask scheduler whether its cluster is whole
version_added: "0.1.0"
description:
  - Asks the scheduler over HTTP which workers it has, and judges that against what is expected.
  - Waits for up to O(timeout) seconds until the cluster is healthy or degraded. A scheduler that does not answer is
    asked again too, since it may be starting. One whose certificate is not trusted, that redirects or wants a login is
    not asked again, because waiting does not change that.
  - V(unhealthy) is a cluster whose scheduler does not answer or is closing, that lacks workers, or has workers that are
    silent, or that run other package versions than the scheduler or another release than expected.
  - V(unknown) is one of which the scheduler does not tell enough to say that it works. Treat it as V(unhealthy) where the
    answer decides what happens next.
  - V(degraded) is one that works, but has paused, retiring or unexpected workers, workers of different releases where
    none was expected, or Python versions that differ in their patch number alone. V(healthy) is any other.
  - Works against schedulers of distributed 2022.12 and newer. One that was set up by this collection answers all of it in
    one request. A stock scheduler tells neither versions nor releases, and while tasks run it does not tell which workers
    are paused or retiring. RV(detail) says how much could be learned.
  - An answer may be 16 MiB long, and a question takes at most nine requests of O(request_timeout) each.
options:
  url:
    description:
      - Where the scheduler's dashboard is, such as V(http://10.0.0.1:8787), with its prefix if it has one.
      - The scheduler is asked directly, never through a proxy.
    type: str
    required: true
  workers:
    description: The workers there should be.
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
      - If V(false), only the listed workers are judged, and no other is unexpected. So a batch of hosts can be checked
        while others still run the previous release.
    type: bool
    default: true
  count:
    description: The least number of workers that must be registered.
    type: int
  scheduler_release:
    description: The release that the scheduler's process should run. Not compared if omitted.
    type: str
  scheduler_pending:
    description:
      - Whether the scheduler runs an older release than its workers on purpose, since it has work that a restart would lose.
      - Then the cluster is V(degraded) at best, and package versions are compared among the workers alone.
    type: bool
    default: false
  control_socket:
    description:
      - The socket of the scheduler's service on the host that the module runs on, such as
        V(/run/dask-scheduler/control.sock). There the scheduler tells root whose work it has.
      - Asked only if the scheduler has work and O(scheduler_pending) or O(until_idle) is set. One that does not answer is
        ignored.
    type: path
  known_problems:
    description:
      - What else is known to be wrong with the cluster, in sentences. With any, it is V(degraded) at best, and they are
        among RV(problems).
    type: list
    elements: str
    default: []
  registered_only:
    description:
      - Whether it is enough that the scheduler serves and that O(workers) are registered. Their state, their releases and
        their package versions are not judged then.
      - For the time after a restart of the scheduler, while workers still run what they ran before.
    type: bool
    default: false
  until_idle:
    description:
      - Wait until the scheduler has no work, instead of until the cluster is healthy or degraded.
      - Tasks that run, wait for another task, for a worker or its resources, or are queued count as work, and so do results
        that clients hold.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait until the cluster is healthy or degraded. V(0) asks once.
      - The last question is asked when they are over.
    type: float
    default: 0
  interval:
    description: Seconds between two questions.
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
    description: Days before a certificate of a service expires from which on the cluster counts as degraded.
    type: float
    default: 30
  fail_when_unhealthy:
    description: Whether the verdicts V(unhealthy) and V(unknown) fail the task. If V(false), look at RV(verdict).
    type: bool
    default: true
  validate_certs:
    description: Whether the certificate of a scheduler that is asked over https must be trusted.
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
  - The daskops.cluster authors
"""

EXAMPLES = r"""
- name: Ask once, and fail if the scheduler does not answer or a worker is silent
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787

- name: Wait until every worker of the inventory is there
  daskops.cluster.cluster_health:
    url: http://10.0.0.1:8787
    workers:
      - name: node1-1
      - name: node2-1
    timeout: 60

- name: Let an upgrade go on only when this host's workers run the new release
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

- name: Only look
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
    - V(healthy), V(degraded), V(unknown) or V(unhealthy). A cluster works if it is V(healthy) or V(degraded); whoever
      decides by this goes on with these two and with nothing else.
    - V(unknown) also where the arguments are wrong, so that nobody could be asked.
  returned: always
  type: str
  sample: healthy
problems:
  description: What is wrong, each with what to look at, sorted. Empty if and only if the verdict is V(healthy).
  returned: always
  type: list
  elements: str
  sample:
    - >-
      Missing: node2-1. Look at the units on their hosts: systemctl status 'dask-worker*',
      journalctl -u 'dask-worker*'.
detail:
  description:
    - How much the scheduler told. V(full) is everything.
    - V(identity) lacks versions, and releases of workers that do not run this collection's runtime.
    - V(names) also lacks the workers' status, and says only how many are paused or leave, if at all. V(counts) only has
      the number of workers.
    - V(none) if the scheduler did not answer.
  returned: always
  type: str
  sample: full
idle:
  description:
    - Whether the scheduler knows of no task at all. False if it did not answer or did not tell.
  returned: always
  type: bool
elapsed:
  description: Seconds that were spent asking and waiting.
  returned: always
  type: float
  sample: 3.2
workers_expected:
  description: How many workers were expected; null if nothing was.
  returned: always
  type: int
  sample: 2
workers_present:
  description: How many workers are registered.
  returned: always
  type: int
  sample: 1
missing:
  description: Expected workers that are not registered.
  returned: always
  type: list
  elements: str
  sample: [node2-1]
unexpected:
  description: Registered workers that are not expected.
  returned: always
  type: list
  elements: str
paused:
  description: Workers that take no new tasks, mostly because they are short of memory.
  returned: always
  type: list
  elements: str
retiring:
  description: Workers that finish their tasks and hand over their data to leave.
  returned: always
  type: list
  elements: str
silent:
  description: Workers whose last heartbeat is older than O(silent_after).
  returned: always
  type: list
  elements: str
versions:
  description:
    - Packages whose versions differ, by package and version the names of who has it, V(scheduler) among them.
    - Python counts as a package. Optional packages that the scheduler lacks are compared among the workers.
  returned: always
  type: dict
  sample:
    numpy:
      "2.3.1": [scheduler, node1-1]
      "2.4.0": [node2-1]
releases:
  description: Names of workers by the part of their release before the dot, which is what all workers share.
  returned: always
  type: dict
  sample:
    3f2a91c04d5e: [node1-1, node2-1]
release_differences:
  description: By name of worker the expected and the actual release, where they differ.
  returned: always
  type: dict
  sample:
    node1-1:
      expected: 3f2a91c04d5e.7b21
      actual: 99a0c1d2e3f4.7b21
certificate_days:
  description:
    - Days until the first certificate of a service expires, negative if one has expired.
    - Null where nothing is encrypted, or the services do not run this collection's runtime.
  returned: always
  type: int
  sample: 364
drift:
  description:
    - By name of worker, or V(scheduler), the settings of Dask that are not as they were asked for - set while the service
      ran, by a file that is not its release's, or by hand in that which is.
    - Empty where the services do not run this collection's runtime.
  returned: always
  type: dict
  sample:
    node1-1: [distributed.worker.memory.spill]
memory:
  description: Bytes used by all workers, and the sum of their limits.
  returned: always
  type: dict
  sample:
    used: 150000000
    limit: 2000000000
tasks:
  description:
    - Number of tasks by state. A stock scheduler does not count those that are queued, and counts a result once for each
      worker that holds it.
  returned: always
  type: dict
  sample:
    memory: 12
    processing: 4
clients:
  description:
    - Those whose work the scheduler has, the ones with most tasks first, at most ten. Empty if O(control_socket) was not
      asked.
    - C(name), C(address), C(wanted) for the number of tasks, C(tasks) by state, and C(bytes) of the results. The latter
      two count the first C(looked_at) of the tasks.
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
      C(status), C(resources), C(dashboard_port), C(release), C(pid), C(nanny), C(processing), C(managed),
      C(spilled) and C(drift).
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.accounts import as_user
from ..module_utils.health import HEALTHY, UNKNOWN, WORKING, Expected, judge, unreachable, workers_are
from ..module_utils.scheduler_answers import from_clients
from ..module_utils.scheduler_http import SchedulerError, SchedulerHTTP
from ..module_utils.service_socket import ask as ask_service


def ask_clients(path, timeout):
    """The clients that want tasks, and how many more there are, as the scheduler tells at its socket."""
    # The directory is the services' user's, who could put a link to another socket there.
    owner = os.stat(os.path.dirname(path)).st_uid
    return as_user(owner, lambda: from_clients(ask_service(path, "clients", timeout)), timeout + 1)


def ask(scheduler, expected, control_socket):
    """Ask once; also return whether asking again can have another answer."""
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


def wait(scheduler, expected, timeout, interval, until_idle, control_socket=None):
    """Ask until the cluster is as wanted, nothing can change that, or the time is over."""
    started = time.monotonic()
    while True:
        result, again = ask(scheduler, expected, control_socket)
        elapsed = time.monotonic() - started
        wanted = result["idle"] if until_idle else result["verdict"] in WORKING
        if wanted or not again or elapsed >= timeout:
            return dict(result, elapsed=round(elapsed, 3))
        time.sleep(min(interval, timeout - elapsed))


def summarize(url, result, timeout):
    """The whole result as one message."""
    if result["verdict"] == HEALTHY:
        return f"The Dask cluster at {url} is healthy, {workers_are(result['workers_present'])} registered."
    waited = f" after {result['elapsed']:.1f} s of waiting" if timeout else ""
    said = result["verdict"] if result["verdict"] != UNKNOWN else "not known to be healthy"
    return f"The Dask cluster at {url} is {said}{waited}. {' '.join(result['problems'])}"


def stop(module, problem):
    """Fail because of the arguments. No verdict would be taken for none of the bad ones."""
    module.fail_json(msg=problem, verdict=UNKNOWN, problems=[problem], idle=False)


def main():
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
    except SchedulerError as e:  # the arguments are wrong, which no waiting cures
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
