# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report every task that fails on this worker: to the journal, as a metric, and to Sentry where it is set up.

The journal gets fields of their own (``journalctl DASK_EVENT=task-error --output json``), Prometheus the counter
``dask_worker_task_errors_total``. Settings come from the environment: ``DASKOPS_ERROR_VALUES=1`` also reports the arguments
themselves, and ``SENTRY_DSN`` says where Sentry is.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import sys
from typing import Any

from dask.utils import funcname
from distributed import Worker, WorkerPlugin
from distributed.core import clean_exception
from distributed.sizeof import safe_sizeof

from daskops_runtime import release

logger = logging.getLogger("distributed.daskops.task_errors")

#: Where the journal listens; its own protocol is described in systemd's "Native Journal Protocol".
JOURNAL = "/run/systemd/journal/socket"
#: Characters of a traceback, and of an argument, that are reported at most.
LIMITS = {"traceback": 20_000, "argument": 200}


class ErrorMonitor(WorkerPlugin):
    """Sees the transitions of a worker's tasks, and has each one that fails reported once."""

    def __init__(self, journal: str = JOURNAL):
        self.journal = journal

    def setup(self, worker: Worker) -> None:
        self.worker = worker
        self.counter = make_counter()
        self.sentry = start_sentry()

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        # Every task comes here several times, and those that do well must not pay for those that do not. A result that
        # cannot be fetched from a peer, or not be unpacked here, is no task that failed.
        if finish != "error" or start in ("error", "flight", "missing"):
            return
        try:
            self.report(key)
        except Exception:
            logger.warning("Could not report that %r failed", key, exc_info=True)

    def report(self, key: Any) -> None:
        task = self.worker.state.tasks.get(key)
        if not task or task.state != "error":
            return  # somebody has cancelled it before it failed
        if self.counter:
            self.counter.labels(task.prefix).inc()
        fields = describe(task, self.worker)
        send_to_journal(fields, self.journal)
        if self.sentry:
            send_to_sentry(self.sentry, task, fields)


@functools.cache  # a process may have several workers, and the registry one counter of a name
def make_counter() -> Any:
    """The counter of failed tasks by their prefix, that Dask shows at ``/metrics``; None without Prometheus"""
    try:
        import prometheus_client
    except ImportError:
        return None
    return prometheus_client.Counter("dask_worker_task_errors", "Tasks that failed", ["task_prefix_name"])


def start_sentry() -> Any:
    """A client of Sentry's of our own, where an address is given; it sends in a thread of its own"""
    if not os.environ.get("SENTRY_DSN"):
        return None
    try:
        import sentry_sdk
    except ImportError:
        logger.warning("SENTRY_DSN is set, and the environment has no sentry-sdk: errors are not sent there")
        return None
    # What it would find out by itself, such as local variables and logs, may hold what tasks compute.
    return sentry_sdk.Client(default_integrations=False, include_local_variables=False)


def describe(task: Any, worker: Worker) -> dict[str, str]:
    """What is reported of a failed task, as fields of the journal"""
    spec = task.run_spec
    return {
        "MESSAGE": f"Task {task.key} failed: {task.exception_text}",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "dask-worker",
        "DASK_EVENT": "task-error",
        "DASK_KEY": str(task.key),
        "DASK_FUNCTION": funcname(getattr(spec, "func", None) or spec),
        "DASK_EXCEPTION": task.exception_text,
        "DASK_TRACEBACK": task.traceback_text[-LIMITS["traceback"] :],
        "DASK_ARGUMENTS": json.dumps(describe_arguments(task)),
        "DASK_WORKER": str(worker.name),
        "DASK_RELEASE": release.get_release() or "",
    }


def describe_arguments(task: Any) -> list[dict[str, Any]]:
    """Type and size of every argument, and the value only where that is wanted

    Of one that is another task's result, its key and size.
    """
    spec = task.run_spec
    given = [*enumerate(getattr(spec, "args", ())), *getattr(spec, "kwargs", {}).items()]
    values = os.environ.get("DASKOPS_ERROR_VALUES") == "1"
    described = []
    for name, value in given:
        about = {"name": str(name), "type": type(value).__name__, "bytes": safe_sizeof(value)}
        if values:
            about["value"] = repr(value)[: LIMITS["argument"]]
        described.append(about)
    described += [{"key": str(other.key), "bytes": other.nbytes} for other in task.dependencies]
    return described


def send_to_journal(fields: dict[str, str], path: str) -> None:
    """Write one entry; without a journal, as on somebody's laptop, a line of JSON"""
    entry = b"".join(encode_field(name, value.encode(errors="replace")) for name, value in fields.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)  # a journal that does not read must not stop the loop
            sock.sendto(entry, path)
    except OSError:
        print(json.dumps(fields), file=sys.stderr, flush=True)


def encode_field(name: str, value: bytes) -> bytes:
    """A field as the journal reads it: one that has line breaks comes with its length"""
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def send_to_sentry(client: Any, task: Any, fields: dict[str, str]) -> None:
    """Send the exception with the fields that say what failed"""
    import sentry_sdk

    traceback = task.traceback.data if task.traceback is not None else None
    _, exception, traceback = clean_exception(task.exception.data, traceback)
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        for name in ("DASK_FUNCTION", "DASK_WORKER", "DASK_RELEASE"):
            scope.set_tag(name.lower(), fields[name])
        scope.set_context("dask", {"key": fields["DASK_KEY"], "arguments": fields["DASK_ARGUMENTS"]})
        if exception is not None:
            scope.capture_exception(exception.with_traceback(traceback))


async def start(worker: Worker) -> None:
    """Begin to report, unless it is switched off"""
    if os.environ.get("DASKOPS_ERROR_MONITOR") == "1":
        await worker.plugin_add(plugin=ErrorMonitor(), name="daskops-task-errors")
