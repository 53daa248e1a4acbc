# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report each failed task of this worker to the journal, as a metric, and to Sentry if it is configured.

The journal entries have their own fields (``journalctl DASK_EVENT=task-error --output json``). The Prometheus counter is
``dask_worker_task_errors_total``. The environment configures the reports: ``DASKOPS_ERROR_VALUES=1`` includes the values of
arguments, and ``SENTRY_DSN`` is the address of Sentry.
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

#: Socket of journald. The format is systemd's "Native Journal Protocol".
JOURNAL = "/run/systemd/journal/socket"
#: Maximum number of characters of a traceback and of an argument's value.
LIMITS = {"traceback": 20_000, "argument": 200}


class ErrorMonitor(WorkerPlugin):
    """A worker plugin that reports each failed task once."""

    def __init__(self, journal: str = JOURNAL):
        self.journal = journal

    def setup(self, worker: Worker) -> None:
        self.worker = worker
        self.counter = make_counter()
        self.sentry = start_sentry()

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        # This runs several times for each task, so it must be cheap. A result that cannot be fetched from another worker
        # or unpickled here is not a failed task.
        if finish != "error" or start in ("error", "flight", "missing"):
            return
        try:
            self.report(key)
        except Exception:
            logger.warning("Could not report that %r failed", key, exc_info=True)

    def report(self, key: Any) -> None:
        task = self.worker.state.tasks.get(key)
        if not task or task.state != "error":
            return  # the task was cancelled before it failed
        if self.counter:
            self.counter.labels(task.prefix).inc()
        fields = describe(task, self.worker)
        send_to_journal(fields, self.journal)
        if self.sentry:
            send_to_sentry(self.sentry, task, fields)


@functools.cache  # a process can have several workers, but the registry only one counter with a name
def make_counter() -> Any:
    """Return the counter of failed tasks by prefix, which Dask serves at ``/metrics``; None without prometheus-client."""
    try:
        import prometheus_client
    except ImportError:
        return None
    return prometheus_client.Counter("dask_worker_task_errors", "Tasks that failed", ["task_prefix_name"])


def start_sentry() -> Any:
    """Return a separate Sentry client, which sends in its own thread; None if ``SENTRY_DSN`` is not set."""
    if not os.environ.get("SENTRY_DSN"):
        return None
    try:
        import sentry_sdk
    except ImportError:
        logger.warning("SENTRY_DSN is set, but the environment has no sentry-sdk, so errors are not sent to Sentry")
        return None
    # Disable the default integrations, which add local variables and logs with users' data.
    return sentry_sdk.Client(default_integrations=False, include_local_variables=False)


def describe(task: Any, worker: Worker) -> dict[str, str]:
    """Return the report of a failed task as journal fields."""
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
    """Return the type and the size in bytes of each argument, and its value if that is enabled.

    For an argument that is another task's result, return its key and size.
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
    """Write one journal entry, or a line of JSON to standard error if there is no journal."""
    entry = b"".join(encode_field(name, value.encode(errors="replace")) for name, value in fields.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)  # do not block the event loop if journald does not read
            sock.sendto(entry, path)
    except OSError:
        print(json.dumps(fields), file=sys.stderr, flush=True)


def encode_field(name: str, value: bytes) -> bytes:
    """Return a field in the format of the journal, in which a value with line breaks is preceded by its length."""
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def send_to_sentry(client: Any, task: Any, fields: dict[str, str]) -> None:
    """Send the exception and the fields that identify the task."""
    import sentry_sdk

    traceback = task.traceback.data if task.traceback is not None else None
    dummy, exception, traceback = clean_exception(task.exception.data, traceback)
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        for name in ("DASK_FUNCTION", "DASK_WORKER", "DASK_RELEASE"):
            scope.set_tag(name.lower(), fields[name])
        scope.set_context("dask", {"key": fields["DASK_KEY"], "arguments": fields["DASK_ARGUMENTS"]})
        if exception is not None:
            scope.capture_exception(exception.with_traceback(traceback))


async def start(worker: Worker) -> None:
    """Start to report failed tasks, if the error monitor is enabled."""
    if os.environ.get("DASKOPS_ERROR_MONITOR") == "1":
        await worker.plugin_add(plugin=ErrorMonitor(), name="daskops-task-errors")
