# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try to start services with their settings, and find the setting that prevents the start.

Each attempt runs in a separate process and leaves no files. It sets up logging, or starts a scheduler, a worker and a client
that compute one task on loopback addresses. An attempt that also fails with Dask's defaults is not reported, because no
setting is the cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import importlib
import io
import json
import logging
import os
import select
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import dask
from dask.utils import parse_bytes

#: The module. The attribute ``distributed.config`` is a dictionary.
distributed_config = importlib.import_module("distributed.config")

#: Seconds for one attempt, and for all attempts to find the setting that fails.
TIMEOUT = 10.0
SEARCH = 20.0
LATE = f"it did not end within {TIMEOUT:g} s"
NOTHING = object()
#: Sections that Dask reads on import, and which can make it write files.
LOGS = ("logging", "logging-file-config")
#: First part of the names of loggers whose records have only the fields of Python, besides those that a filter adds.
LOGGERS = ("root", "distributed", "dask", "tornado", "bokeh", "asyncio")
#: Settings that attempts replace. Attempts use loopback addresses, and other checks validate certificates and modules.
NEUTRAL: dict[str, Any] = {
    "scheduler-address": None,
    "distributed.diagnostics.cudf": False,  # importing cuDF takes seconds
    "distributed.comm.default-scheme": "tcp",
    "distributed.comm.require-encryption": None,
    "distributed.comm.tls.ca-file": None,
    **dict.fromkeys(f"distributed.comm.tls.{role}.cert" for role in ("scheduler", "worker", "client")),
    **dict.fromkeys(f"distributed.comm.tls.{role}.key" for role in ("scheduler", "worker", "client")),
    **dict.fromkeys(f"distributed.scheduler.dashboard.tls.{part}" for part in ("ca-file", "cert", "key")),
    **{f"distributed.{server}.preload": [] for server in ("scheduler", "worker", "nanny", "client")},
    **{f"distributed.{server}.preload-argv": [] for server in ("scheduler", "worker", "nanny", "client")},
}


def set_up_logging(writable: list[str]) -> None:
    """Set up logging like Dask on import, and format a line, but write no file.

    Raises OSError if a log file cannot be opened, and ValueError if a format has an unknown field.
    """

    def open_nothing(self: logging.FileHandler) -> io.TextIOWrapper:
        path = self.baseFilename
        if writable and not any(os.path.realpath(path).startswith(f"{os.path.realpath(one)}/") for one in writable):
            raise PermissionError(
                f"services may write to {', '.join(writable)} and, on workers, to dask_worker_paths, but not to {path}"
            )
        if os.path.exists(path):
            open(path, "ab").close()
        elif not os.path.isdir(os.path.dirname(path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        elif not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open(os.devnull, "a")

    logging.FileHandler._open = open_nothing  # type: ignore[method-assign]
    for logger in find_loggers():
        logger.handlers.clear()  # a service starts without handlers
    distributed_config.initialize_logging(dask.config.config)
    for logger in find_loggers():
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and handler.stream is None:
                handler._open()  # a handler with delay=True
            if logger.name.partition(".")[0] in LOGGERS:
                record = logging.makeLogRecord({"name": logger.name, "levelname": "INFO", "msg": "a line"})
                logger.filter(record)  # a filter may add fields
                handler.filter(record)
                handler.format(record)


def find_loggers() -> list[logging.Logger]:
    """Return all loggers that exist."""
    return [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]


def exchange() -> None:
    """Open a port, and split, compress and join a large message, like between two hosts.

    The port accepts no connection: other users of the host could run code through it, because it has no certificates.
    """
    from distributed.comm.registry import get_backend
    from distributed.comm.tcp import set_tcp_timeout
    from distributed.comm.utils import from_frames, to_frames
    from distributed.protocol import to_serialize

    ciphers = dask.config.get("distributed.comm.tls.ciphers")
    if ciphers:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(ciphers)
    shard = parse_bytes(dask.config.get("distributed.comm.shard"))
    if shard < 1024:
        raise ValueError(f"a message would be split into parts of {shard} bytes")
    context = {"compression": dask.config.get("distributed.comm.compression")}

    async def run() -> None:
        listener = get_backend("tcp").get_listener("127.0.0.1", print, True)
        await listener.start()
        listener.stop()  # the loop accepts connections only after this function has waited for something
        with socket.socket() as sock:
            set_tcp_timeout(SimpleNamespace(closed=lambda: False, socket=sock))
        message = {"op": "data", "data": to_serialize(b"x" * 100_000)}
        await from_frames(await to_frames(message, context=context, on_error="raise", frame_split_size=shard))

    asyncio.run(run())


def serve(kind: str) -> None:
    """Import Dask again, so that it reads the settings, and compute a task with a scheduler, a worker and a client."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "distributed"]:
        del sys.modules[name]
    importlib.import_module("distributed")
    if kind == "scheduler" and find_spec("bokeh"):
        importlib.import_module("distributed.dashboard.scheduler")
    get_loop_factory = getattr(importlib.import_module("distributed.config"), "get_loop_factory", None)
    factory = get_loop_factory() if get_loop_factory else None
    loop = (factory or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    directory = tempfile.mkdtemp(prefix="daskops-attempt-")
    try:
        loop.run_until_complete(compute(kind, directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def compute(kind: str, directory: str) -> None:
    """Compute a task in this process, which opens only the port of the dashboard."""
    distributed = importlib.import_module("distributed")
    here = {"protocol": "inproc", "dashboard_address": "127.0.0.1:0"}
    dask.config.set({"temporary-directory": directory})
    async with distributed.Scheduler(dashboard=kind == "scheduler", **here) as scheduler:
        memory = {"memory_limit": "1 GiB", "local_directory": directory}
        async with distributed.Worker(scheduler.address, nthreads=1, dashboard=False, **memory, **here):
            async with distributed.Client(scheduler.address, asynchronous=True) as client:
                await asyncio.wait_for(client.submit(sum, [1, 2], pure=False), TIMEOUT)


def get_reason(error: BaseException) -> str:
    """Return the message of an error's first cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return (said if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {said}").rstrip(".")


def attempt(function: Callable[..., None], config: dict, *arguments: Any) -> str | None:
    """Run a function with a configuration in a separate process. Return the reason if it fails, else None."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        reason: str | None = None
        try:
            with open(os.devnull, "r+b") as nothing:
                for stream in (0, 1, 2):
                    os.dup2(nothing.fileno(), stream)
            dask.config.config.clear()
            dask.config.config.update(copy.deepcopy(config))
            function(*arguments)
        except BaseException as error:
            reason = get_reason(error)
        with contextlib.suppress(BaseException):
            os.write(writing, json.dumps(reason).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        ready, dummy, dummy = select.select([answer], [], [], TIMEOUT)
        if not ready:
            os.kill(child, signal.SIGKILL)
        said = answer.read() if ready else b""
    os.waitpid(child, 0)
    if not ready:
        return LATE
    return json.loads(said) if said else "the process ended"


def without(config: dict, keys: Iterable[tuple[str, ...]], defaults: dict) -> dict:
    """Return a configuration in which some keys, given as tuples, have their default values."""
    config = copy.deepcopy(config)
    for key in keys:
        inner: Any = config
        default: Any = defaults
        for part in key[:-1]:
            inner = inner.get(part) if isinstance(inner, dict) else None
            default = default.get(part, {}) if isinstance(default, dict) else {}
        if isinstance(inner, dict):
            inner.pop(key[-1], None)
            if isinstance(default, dict) and key[-1] in default:
                inner[key[-1]] = copy.deepcopy(default[key[-1]])
    return config


def walk_keys(tree: dict, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each key of nested mappings as a tuple, with its value."""
    for key, value in tree.items():
        yield (*prefix, key), value
        if isinstance(value, dict):
            yield from walk_keys(value, (*prefix, key))


def get_value(tree: Any, key: tuple[str, ...]) -> Any:
    """Return the value of a key in nested mappings; `NOTHING` if there is none."""
    for part in key:
        tree = tree.get(part, NOTHING) if isinstance(tree, dict) else NOTHING
    return tree


def find_changes(settings: dict[str, dict], defaults: dict) -> list[tuple[str, tuple[str, ...]]]:
    """Return the variable and the key of each setting that differs from Dask's default."""
    return [
        (variable, key)
        for variable, tree in settings.items()
        for key, value in walk_keys(tree)
        if value != get_value(defaults, key)
    ]


def find_culprits(
    function: Callable[..., None],
    config: dict,
    settings: dict[str, dict],
    defaults: dict,
    arguments: tuple,
    reason: str,
) -> list[tuple[str, str]]:
    """Return the variable and the key without which an attempt succeeds, or else all variables without a key.

    The result is empty if the attempt also fails without the settings, or if it timed out only because the host was busy.
    """
    keys = find_changes(settings, defaults)
    begin = time.monotonic()
    if attempt(function, without(config, [key for dummy, key in keys], defaults), *arguments):
        return []
    if reason == LATE and time.monotonic() - begin > TIMEOUT / 3:
        return []
    end = time.monotonic() + SEARCH
    for variable, key in sorted(keys, key=lambda one: len(one[1]), reverse=True):
        if time.monotonic() > end:
            break
        if not attempt(function, without(config, [key], defaults), *arguments):
            return [(variable, ".".join(map(str, key)))]
    return [(variable, "") for variable in dict.fromkeys(variable for variable, dummy in keys)]


def find_problems(
    kind: str, config: dict, settings: dict[str, dict], defaults: dict, writable: list[str]
) -> Iterator[str]:
    """Yield a message for the first step that fails with a configuration.

    Only the user's settings are reported, so nothing is tried if all of them have Dask's default values.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    config : dict
        Complete configuration of the service.
    settings : dict
        The user's settings in the configuration, by variable.
    defaults : dict
        Dask's default configuration.
    writable : list of str
        Directories to which services may write. Empty if unknown.
    """
    if not find_changes(settings, defaults):
        return
    config = copy.deepcopy(config)
    for path, value in NEUTRAL.items():
        dask.config.set({path: value}, config=config)
    if kind == "worker":  # the scheduler's host checks these settings
        for section in ("scheduler", "dashboard"):
            config["distributed"][section] = copy.deepcopy(defaults["distributed"][section])
    for server in ("scheduler", "worker"):
        http = config["distributed"][server].get("http", {})
        if isinstance(http.get("routes"), list):
            http["routes"] = [name for name in http["routes"] if not str(name).startswith("daskops_runtime.")]
    if kind == "scheduler":
        with contextlib.suppress(ImportError):  # import the library once, not in each attempt
            importlib.import_module("distributed.dashboard.scheduler")
    silent = without(config, [(*section, name) for section in ((), ("distributed",)) for name in LOGS], defaults)
    for what, function, tried, arguments in (
        (f"the {kind} cannot set up its log with", set_up_logging, config, (writable,)),
        ("messages do not reach other hosts with", exchange, config, ()),
        (f"the {kind} does not start with", serve, silent, (kind,)),
    ):
        reason = attempt(function, tried, *arguments) and attempt(
            function, tried, *arguments
        )  # try twice, because a host may be busy for a moment
        culprits = find_culprits(function, tried, settings, defaults, arguments, reason) if reason else []
        if culprits:
            path = culprits[0][1]
            variables = ", ".join(variable for variable, dummy in culprits)
            about = f"{path}: {what} this value" if path else f"{what} these settings"
            yield f"{variables}: {about}: {reason}. Correct or remove {'it' if path else 'them'}."
            return
