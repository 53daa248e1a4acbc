# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate settings with the Dask that is installed on this host, before a service starts with them.

``python -m daskops_runtime.validate_config`` reads the arguments of `find_problems` as JSON from standard input, with the
path of the configuration file instead of its content. It writes two lists of messages as JSON, ``problems`` and
``warnings``. Dask itself starts with nearly all invalid settings and reports nothing.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import dask
import distributed
import fastjsonschema
import yaml
from dask.base import named_schedulers
from dask.utils import parse_bytes, parse_timedelta
from distributed.protocol.compression import compressions
from distributed.utils import import_term

from daskops_runtime import application, owned_settings, start_attempts

#: Keys that Dask and distributed read, but that no schema describes. Any key below them is allowed.
UNDESCRIBED = {
    "annotations",
    "distributed.logging",
    "distributed.logging-file-config",
    "logging",
    "logging-file-config",
    "multiprocessing",
    "num_workers",
    "scheduler",
    "scheduler-address",
}
#: Keys that have no effect without a nanny, and the remedy.
OF_THE_NANNY = {
    "distributed.worker.memory.terminate": "the unit's MemoryMax ends a worker that uses too much memory",
    "distributed.worker.multiprocessing-method": "a worker is the main process of its unit",
    "distributed.nanny.environ": "environment variables belong in dask_environment_variables",
    "distributed.nanny.pre-spawn-environ": "environment variables belong in dask_environment_variables",
}
#: Name of the package, by key of other packages that tasks may use.
OF_OTHERS = {
    "cudf": "cuDF",
    "cupy": "CuPy",
    "dask-cuda": "dask-cuda",
    "dask-cudf": "dask-cudf",
    "dask-expr": "dask-expr",
    "distributed-ucxx": "distributed-ucxx",
    "distributed.comm.ucx": "RAPIDS",
    "distributed.rmm": "RMM",
    "distributed.ucx": "RAPIDS",  # DASK_UCX__... sets this key
    "explicit-comms": "dask-cuda",
    "explicit-comms-batchsize": "dask-cuda",
    "rmm": "RMM",
    "sql": "dask-sql",
    "ucx": "RAPIDS",
    "ucxx": "distributed-ucxx",
}
#: Name of the package, by key of packages that start clusters. No service of this cluster reads these keys.
OF_STARTERS = {
    "cloudprovider": "dask-cloudprovider",
    "coiled": "Coiled",
    "ctl": "dask-ctl",
    "gateway": "dask-gateway",
    "jobqueue": "dask-jobqueue",
    "kubernetes": "dask-kubernetes",
    "labextension": "dask-labextension",
    "yarn": "dask-yarn",
}
#: Package, by name in `distributed.comm.compression`, if they differ.
LIBRARIES = {"snappy": "python-snappy", "zstd": "zstandard"}
#: Minimum values that Dask's schema does not contain.
MINIMA = {
    "distributed.p2p.comm.concurrency": 1,
    "distributed.p2p.threads": 1,
    "distributed.worker.connections.incoming": 1,
    "distributed.worker.connections.outgoing": 1,
}
#: Pairs of durations. The first one must not be longer than the second.
SHORTER = [
    ("distributed.scheduler.locks.lease-validation-interval", "distributed.scheduler.locks.lease-timeout"),
    ("distributed.comm.retry.delay.min", "distributed.comm.retry.delay.max"),
    ("distributed.p2p.comm.retry.delay.min", "distributed.p2p.comm.retry.delay.max"),
]
#: Environment variables with the location of the configuration. The controller already rejects them.
NO_SETTINGS = {"DASK_CONFIG", "DASK_ROOT_CONFIG", "DASK_INTERNAL_INHERIT_CONFIG"}
#: Types of JSON schemas in words.
KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}
#: Importable name of a module.
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
#: Module and function of each worker command.
COMMANDS = {"dask worker": ("distributed.cli.dask_worker", "main"), "dask cuda worker": ("dask_cuda.cli", "worker")}
#: Handlers that the cluster needs to work or to drain workers.
HANDLERS = {
    "distributed.scheduler.blocked-handlers": {
        "connection_stream", "events", "heartbeat_worker", "identity", "register-client", "register-worker",
        "register_nanny", "replicate", "retire_workers", "unregister", "who_has",
    },
    "distributed.worker.blocked-handlers": {"connection_stream", "get_data", "identity"},
}  # fmt: skip
#: Mappings for which Dask has no default.
SECTIONS = {"annotations", "distributed.logging", "logging", "multiprocessing"}
#: Options of a worker that contradict those of the collection, and the variable to use instead.
ELSEWHERE = {"--contact-address": "dask_worker_contact_host", "--listen-address": "dask_worker_interface"}
#: Log levels that messages suggest. Python accepts more, such as ``warn`` and ``notset``.
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
#: Fractions of the memory limit, in increasing order.
THRESHOLDS = ["target", "spill", "pause", "terminate"]


def read_schema() -> dict:
    """Return the merged schemas of Dask and distributed."""
    properties = {}
    for package in (dask, distributed):
        path = Path(package.__path__[0], f"{package.__name__}-schema.yaml")
        properties.update(yaml.safe_load(path.read_text())["properties"])
    return {"properties": properties}


SCHEMA = read_schema()
DEFAULTS = dask.config.merge(*dask.config.defaults)


def walk(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of each key of nested mappings. A mapping comes before its keys."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        yield path, value
        if isinstance(value, dict):
            yield from walk(value, f"{path}.")


def get_schema(path: str) -> dict | None:
    """Return the schema of a key; None if there is none."""
    schema = SCHEMA
    for key in path.split("."):
        schema = schema.get("properties", {}).get(key)
        if schema is None:
            return None
    return schema


def is_free(path: str) -> bool:
    """Return whether any key is allowed below this one."""
    schema = get_schema(path)
    return path in UNDESCRIBED or (
        schema is not None and schema.get("type") == "object" and not schema.get("properties")
    )


def known_paths() -> set[str]:
    """Return all keys that have a default or a schema."""

    def described(schema: dict, prefix: str = "") -> Iterator[str]:
        for key, inner in schema.get("properties", {}).items():
            yield f"{prefix}{key}"
            yield from described(inner, f"{prefix}{key}.")

    return UNDESCRIBED | set(described(SCHEMA)) | {path for path, dummy in walk(DEFAULTS)}


KNOWN = known_paths()


def find_nearest(path: str) -> str | None:
    """Return the known key that an unknown one probably means; None if none is similar.

    Compares only the last parts of keys in the same section, because a common beginning makes all of them similar.
    """
    if below := [known for known in KNOWN if known.endswith(f".{path}")]:
        return min(below, key=len)
    section, dummy, name = path.rpartition(".")
    siblings = {known.rpartition(".")[2]: known for known in KNOWN if known.rpartition(".")[0] == section}
    if close := difflib.get_close_matches(name, siblings, n=1, cutoff=0.75):
        return siblings[close[0]]
    package = path.partition(".")[0]
    elsewhere = [known for known in KNOWN if known.startswith(f"{package}.") and known.endswith(f".{name}")]
    return elsewhere[0] if len(elsewhere) == 1 else None


def parses(parse: Callable[[Any], float], value: Any) -> bool:
    """Return whether Dask's function for durations or sizes can parse a value."""
    try:
        return parse(value) >= 0
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return False


def get_kind(path: str) -> str | None:
    """Return ``duration``, ``size`` or None for a key, derived from its default value."""
    default = dask.config.get(path, None, config=DEFAULTS)
    if isinstance(default, str) and default[:1].isdigit() and not default.isdigit():
        return "duration" if parses(parse_timedelta, default) else "size" if parses(parse_bytes, default) else None
    if isinstance(default, int) and set((get_schema(path) or {}).get("type", [])) == {"integer", "string"}:
        return "size"
    # Keys whose default is "off".
    if default is None and path.endswith(("timeout", "duration", "interval", "-ttl", "-delay")):
        return "duration"
    return "size" if default is False and path.endswith("max-spill") else None


def describe(schema: dict) -> str:
    """Return a description of the values that a schema allows."""
    if "oneOf" in schema:
        return ", or ".join(describe(one) for one in schema["oneOf"])
    if "enum" in schema:
        values = [json.dumps(value) for value in schema["enum"]]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    kinds = schema.get("type", [])
    needed = schema.get("items", {}).get("required")
    if kinds == "array" and needed:
        return f"a list of mappings, each with {' and '.join(needed)}"
    words = " or ".join(KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    limits = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    bounds = [f"{said} {schema[limit]}" for limit, said in limits.items() if limit in schema]
    return f"{words}, {' and '.join(bounds)}" if bounds else words


def fits(schema: dict, value: Any) -> bool:
    """Return whether a schema allows a value. Dask accepts 0 and 1 as booleans."""
    if schema.get("type") == "boolean" and value in (0, 1):
        return True
    try:
        fastjsonschema.validate(schema, value)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def unknown(path: str) -> str:
    """Return the message for a key that Dask does not know."""
    if path.replace("_", "-") in KNOWN:
        return f"must be written with hyphens: {path.replace('_', '-')}"
    nearest = find_nearest(path)
    said = f"is not a setting of Dask {dask.__version__}{f', but {nearest} is' if nearest else ''}. "
    if "." in path:
        return f"{said}Correct or remove it"
    return f"{said}If it belongs to another package, add {path} to dask_config_extra_namespaces"


def judge(path: str, value: Any) -> str | None:
    """Return the problem of one key, without the keys below it; None if there is none."""
    name: str | None = path
    while name is not None and name in dask.config.deprecations:
        name = dask.config.deprecations[name]
    if path != name:
        return f"was renamed to {name}" if name in KNOWN else "was removed from Dask. Remove it"
    if path not in KNOWN:
        return unknown(path)
    schema = get_schema(path)
    if schema and "properties" in schema and isinstance(value, dict):
        return judge_value(path, value)
    if value is None and (path in SECTIONS or isinstance(dask.config.get(path, None, config=DEFAULTS), dict)):
        return "is empty. Remove it"
    kind = get_kind(path)
    number = isinstance(value, int | float) and not isinstance(value, bool)  # Dask also accepts numbers
    if schema and not (kind and number) and not fits(schema, value):
        like = {"duration": ', like "30s"', "size": ', like "64MiB"'}.get(kind or "", "")
        return f"must be {describe(schema)}{like}"
    if kind == "duration" and (number or isinstance(value, str)) and not parses(parse_timedelta, value):
        return 'is not a duration. Write it like "30s", "5 minutes" or "500ms"'
    if kind == "size" and (number or isinstance(value, str)) and not parses(parse_bytes, value):
        return 'is not a size. Write it like "64MiB" or "1 GB"'
    if path in MINIMA and value is not None and value < MINIMA[path]:
        return f"must be at least {MINIMA[path]}"
    if path == "distributed.comm.timeouts.tcp" and parse_timedelta(value) < 11:
        return 'must be at least "11s". With less, Dask cannot connect'
    if path == "distributed.comm.timeouts.connect" and parse_timedelta(value) < 1:
        return 'must be at least "1s". With less, Dask closes connections too early'
    seconds = parse_timedelta(value) if kind == "duration" and value is not None else None
    if path == "distributed.scheduler.idle-timeout" and seconds is not None and seconds < 60:
        return 'must be at least "1 minute". With less, the scheduler closes before a client connects'
    if path.endswith(("interval", "cycle")) and seconds is not None and 0 < seconds < 0.001:
        return 'must be at least "1ms". With less, a process uses all its time for this'
    return judge_value(path, value)


def judge_value(path: str, value: Any) -> str | None:
    """Return the problem of a value that has the right type; None if there is none."""
    if path in ("distributed.comm.compression", "distributed.worker.memory.spill-compression"):
        if isinstance(value, str) and value != "auto" and value not in compressions:
            return (
                f"is {value}, but the environment has no {LIBRARIES.get(value, value)}. Add it to the lock in "
                "dask_environment_lock, or use another compression"
            )
    if path == "distributed.admin.event-loop":
        if value not in ("asyncio", "tornado", "uvloop"):
            return f"is {value}, which is not an event loop of Dask. Use tornado"
        if value == "uvloop" and not find_spec("uvloop"):
            return "needs uvloop, which the environment does not have. Add it to the lock in dask_environment_lock"
    if path == "distributed.scheduler.allowed-imports" and not {"dask", "distributed"} <= set(map(str, value)):
        return "replaces Dask's own list. Add dask and distributed, without which services cannot read messages"
    needed = sorted(HANDLERS.get(path, set()) & set(map(str, value if isinstance(value, list) else [])))
    if needed:
        return f"blocks {', '.join(needed)}, without which the cluster does not work. Remove it"
    if path == "distributed.worker.resources" and not all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value.values()
    ):
        return "must have a number for each resource"
    if path == "distributed.dashboard.prometheus.namespace" and not re.fullmatch(r"[A-Za-z_:][\w:]*", value):
        return "must consist of letters, digits and _, because names of metrics begin with it"
    if path == "scheduler" and value is not None and str(value).lower() not in {"distributed", *named_schedulers}:
        return f"is not a scheduler of Dask. Use one of distributed, {', '.join(sorted(named_schedulers))}"
    if path.endswith(".http.routes") and not all(isinstance(name, str) for name in value):
        return "must be a list of names of modules"
    if path.endswith("logging-file-config") and not os.access(str(value), os.R_OK):
        return (
            f"is {value}, which the services' account cannot read on this host. Create the file, or remove the setting"
        )
    if path in ("distributed.logging", "logging") and isinstance(value, dict) and "version" not in value:
        for name, level in value.items():
            if isinstance(level, dict) and level:
                logger = next(
                    below for below, inner in walk(level, f"{name}.") if not isinstance(inner, dict) or not inner
                )
                return (
                    f"has settings below {name}, where a level belongs. In dask_config, write the logger's name as one key "
                    f"in quotes: '{logger}'"
                )
            if not isinstance(level, int) and not isinstance(logging.getLevelName(str(level).upper()), int):
                return f"has the level {level} for {name}. Use one of {', '.join(LEVELS).lower()}"
    return None


def is_of_others(path: str, namespaces: set[str]) -> bool:
    """Return whether a key belongs to another package than Dask and distributed."""
    name = path.replace("_", "-")
    return name in namespaces or name in OF_OTHERS or name in OF_STARTERS


def find_wrong_settings(variable: str, config: dict, namespaces: set[str], prefix: str = "") -> Iterator[str]:
    """Yield the problems of the settings in one variable, without managed keys."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        if is_of_others(path, namespaces) or owned_settings.find_owner(path):
            continue
        if "." in str(key):
            yield f"{variable}: {path}: Dask does not split '{key}' at its dots. Write it as nested mappings."
            continue
        problem = judge(path, value)
        if problem:
            yield f"{variable}: {path} {problem}."
        elif isinstance(value, dict) and not is_free(path):
            yield from find_wrong_settings(variable, value, namespaces, f"{path}.")


def find_idle_settings(variable: str, config: dict, nanny: bool) -> Iterator[str]:
    """Yield warnings about settings in one variable that have no effect, or an unexpected one."""
    values = {path: value for path, value in walk(config) if not isinstance(value, dict)}
    repeated = sorted(path for path, dummy, is_default in owned_settings.find_owned(config, DEFAULTS) if is_default)
    if len(repeated) > 2:
        yield (
            f"{variable} repeats Dask's defaults for {len(repeated)} settings of daskops.cluster, such as {repeated[0]}. "
            "These have no effect. Its other settings replace those of daskops.cluster. Remove the settings that you do not "
            "want to change."
        )
    for path in config:
        package = OF_STARTERS.get(str(path).replace("_", "-"))
        if package:
            yield f"{variable}: {path} is for {package}. No service of this cluster reads it. Remove it."
    for key, instead in OF_THE_NANNY.items():
        given = {path for path in values if path == key or path.startswith(f"{key}.")}
        changed = {path for path in given if values[path] != dask.config.get(path, None, config=DEFAULTS)}
        if not nanny and any(values[path] not in (False, None, []) for path in changed):
            yield (
                f"{variable}: {key} has no effect, because there is no nanny. Set dask_worker_nanny to true, or remove the "
                f"setting: {instead}."
            )
    if values.get("distributed.comm.compression") == "auto" and not compressions.keys() & {"lz4", "snappy"}:
        yield (
            f"{variable}: distributed.comm.compression is auto, but the environment has no library for it, so messages are "
            "not compressed. Add lz4 to the lock in dask_environment_lock."
        )
    if values.get("distributed.scheduler.idle-timeout") is not None:
        yield (
            f"{variable}: distributed.scheduler.idle-timeout closes an idle scheduler. systemd then restarts it and all "
            "workers. Remove it to keep the cluster running."
        )
    for server in ("scheduler", "worker"):
        routes = values.get(f"distributed.{server}.http.routes")
        needed = ("distributed.http.health", f"distributed.http.{server}.prometheus")
        missing = [name for name in needed if isinstance(routes, list) and name not in routes]
        if missing:
            yield (
                f"{variable}: distributed.{server}.http.routes lacks {' and '.join(missing)}, which health checks and "
                f"monitoring use. Add these modules, or remove the setting and set dask_{server}_routes to your own modules."
            )
    if values.get("distributed.dashboard.prometheus.namespace") not in (None, "dask"):
        yield (
            f"{variable}: distributed.dashboard.prometheus.namespace renames Dask's metrics. The health check and alerts "
            "search for dask_... and do not find them. Remove the setting."
        )


def find_wrong_thresholds(settings: dict[str, dict], config: dict, nanny: bool) -> Iterator[str]:
    """Yield the problems of memory thresholds that are not in increasing order."""
    memory = dask.config.get("distributed.worker.memory", config=config)
    # False disables a threshold. Only a nanny uses the last one.
    given = [name for name in THRESHOLDS[: 4 if nanny else 3] if memory[name] is not False]
    culprits = [
        name for name, tree in settings.items() if dask.config.get("distributed.worker.memory", None, config=tree)
    ]
    for lower, upper in itertools.pairwise(given):
        if memory[lower] > memory[upper]:
            yield (
                f"{', '.join(culprits)}: distributed.worker.memory.{lower} is {memory[lower]}, more than {upper} "
                f"({memory[upper]}). The values, including defaults, must increase in the order target, spill, pause, "
                "terminate."
            )


def find_wrong_keys(settings: dict[str, dict], config: dict, prefix: str = "") -> Iterator[str]:
    """Yield the problems of keys that are not strings, with which Dask cannot be imported.

    Only the configuration file shows them, because in JSON every key is a string.
    """
    for key, value in config.items():
        path = f"{prefix}{key}"
        if not isinstance(key, str):
            names = [
                name for name, tree in settings.items() if path.lower() in {one.lower() for one, dummy in walk(tree)}
            ]
            yield f"{', '.join(names or settings)}: {path}: the key '{key}' is not a string. Put it in quotes."
        elif isinstance(value, dict):
            yield from find_wrong_keys(settings, value, f"{path}.")


def find_wrong_order(settings: dict[str, dict], config: dict) -> Iterator[str]:
    """Yield the problems of settings that contradict each other."""

    def culprits(*paths: str) -> str:
        names = [
            name
            for name, tree in settings.items()
            if any(dask.config.get(path, None, config=tree) is not None for path in paths)
        ]
        return ", ".join(names)

    for lower, upper in SHORTER:
        low, high = (dask.config.get(path, None, config=config) for path in (lower, upper))
        if (
            low is not None
            and high is not None
            and culprits(lower, upper)
            and parse_timedelta(low) > parse_timedelta(high)
        ):
            yield f"{culprits(lower, upper)}: {lower} is {low}, more than {upper} ({high}). Make it shorter."
    low, high = (dask.config.get(f"distributed.comm.tls.{end}-version", None, config=config) for end in ("min", "max"))
    if low and high and low > high:
        names = culprits("distributed.comm.tls.min-version", "distributed.comm.tls.max-version")
        yield f"{names}: distributed.comm.tls.min-version is {low}, more than max-version ({high}). Remove one of them."


def find_replaced_routes(variable: str, config: dict) -> Iterator[str]:
    """Yield the problems of environment variables that would replace the collection's routes."""
    for path, dummy in walk(config):
        if path.startswith("distributed.") and path.endswith(".http.routes"):
            yield (
                f"{variable}: {path} would replace the collection's own modules. Use dask_scheduler_routes or "
                "dask_worker_routes for your modules."
            )


def find_broken_imports(kind: str, config: dict, nanny: bool) -> Iterator[str]:
    """Yield the problems of preload and route modules that cannot be imported, or that Dask cannot use."""
    # Tasks and plugins of the scheduler can create clients.
    for server in [kind, *(["nanny"] if nanny and kind == "worker" else []), "client"]:
        about = dask.config.get(f"distributed.{server}", config=config)
        for name, arguments in zip(about.get("preload", []), about.get("preload-argv") or itertools.repeat([])):
            yield from find_broken_module(f"The {server}'s preload module {name}", name, arguments)
        for name in about.get("http", {}).get("routes", []):
            yield from find_broken_module(f"The {server}'s route module {name}", name)


def find_broken_module(what: str, name: str, arguments: list[str] | None = None) -> Iterator[str]:
    """Yield the problems of one module, which is a preload if ``arguments`` is given, else a module with routes."""
    if not MODULE.fullmatch(name) or name.endswith(".py"):
        return  # Dask also accepts a URL, a path or Python code
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # including SystemExit
        said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        yield f"{what} cannot be imported: {said.rstrip('.')}. Correct or remove it."
        return
    if arguments is None:
        if not hasattr(module, "routes"):
            yield f"{what} has no list named routes, which Dask needs. Add the list."
        return
    setup = getattr(module, "dask_setup", None)
    if isinstance(setup, click.Command):
        try:
            setup.make_context("dask_setup", list(arguments), allow_extra_args=False)
        except click.ClickException as error:
            yield f"{what} rejects its arguments: {error.format_message()}"
        except click.exceptions.Exit:
            yield f"{what} only prints text with these arguments. Remove them."
    elif arguments:
        yield f"{what} takes no arguments, because its dask_setup is not a click command. Remove the arguments."


def find_wrong_pool(prefix: str, pool: dict, encrypted: bool) -> Iterator[str]:
    """Yield the problems of the arguments and durations of a pool. The names of its settings start with ``prefix``."""
    seconds = {}
    for name in ("lifetime", "lifetime_stagger"):
        if pool[name] and not parses(parse_timedelta, pool[name]):
            yield f"{prefix}{name} is '{pool[name]}', which is not a duration. Write it like '12 hours' or '30 minutes'."
        elif pool[name]:
            seconds[name] = parse_timedelta(pool[name])
    if len(seconds) == 2 and seconds["lifetime_stagger"] >= seconds["lifetime"]:
        yield (
            f"{prefix}lifetime_stagger is '{pool['lifetime_stagger']}', which is not shorter than {prefix}lifetime "
            f"('{pool['lifetime']}'), so some workers would end at once. Make it shorter."
        )
    command = pool["command"]
    try:
        main = importlib.import_module(COMMANDS[command][0])
        address = f"{'tls' if encrypted else 'tcp'}://127.0.0.1:1"
        parameters = getattr(main, COMMANDS[command][1]).make_context(command, [address, *pool["arguments"]]).params
    except ImportError as error:
        yield (
            f"{prefix}command is '{command}', which cannot be imported ({error}). Add its package to the lock in "
            "dask_environment_lock."
        )
    except click.ClickException as error:
        yield f"{prefix}arguments: {error.format_message()}"
    except click.exceptions.Exit:
        yield f"{prefix}arguments: with these arguments, '{command}' only prints text. Remove them."
    else:
        yield from (f"{prefix}arguments: {problem}" for problem in find_wrong_parameters(parameters, encrypted))


def find_wrong_arguments(arguments: list[str]) -> Iterator[str]:
    """Yield the problems of the scheduler's arguments."""
    main = importlib.import_module("distributed.cli.dask_scheduler").main
    try:
        parameters = main.make_context("dask scheduler", list(arguments)).params
    except click.ClickException as error:
        yield f"dask_scheduler_arguments: {error.format_message()}"
    except click.exceptions.Exit:
        yield "dask_scheduler_arguments: with these arguments, 'dask scheduler' only prints text. Remove them."
    else:
        if parameters.get("jupyter") and not find_spec("jupyter_server"):
            yield (
                "dask_scheduler_arguments: --jupyter needs jupyterlab, which the environment does not have. Add it to the "
                "lock in dask_environment_lock."
            )


def find_wrong_parameters(parameters: dict, encrypted: bool) -> Iterator[str]:
    """Yield the problems of valid arguments with which a worker does not start."""
    protocol = "tls" if encrypted else "tcp"
    if parameters.get("protocol") not in (None, protocol):
        yield f"--protocol is {parameters['protocol']}, but the scheduler's is {protocol}. Remove it, and use dask_tls."
    for option, instead in ELSEWHERE.items():
        if parameters.get(option.strip("-").replace("-", "_")):
            yield f"{option} is set by daskops.cluster itself. Remove it, and use {instead}."
    patience = parameters.get("death_timeout")
    if patience and not parses(parse_timedelta, patience):
        yield f"--death-timeout is {patience}, which is not a duration. Write it like '30 s'."
    elif patience and 0 < parse_timedelta(patience) < 5:
        yield f"--death-timeout is {patience}, which may be too short for a worker to start. Give 5 s or more."
    name = parameters.get("worker_class")
    if name:
        try:
            is_worker = issubclass(import_term(name), distributed.Worker)
        except BaseException as error:  # the import of a module may raise anything
            yield f"--worker-class {name} cannot be imported: {start_attempts.get_reason(error)}. Correct or remove it."
        else:
            if not is_worker:
                yield f"--worker-class {name} is not a subclass of distributed.Worker. Give such a class."


def read_variables(variable: str, variables: dict) -> tuple[dict, list[str]]:
    """Return the configuration in environment variables, and the problems of the variables."""
    settings = {name: str(value) for name, value in variables.items() if name.startswith("DASK_")}
    problems = []
    if "DASK_INTERNAL_INHERIT_CONFIG" in settings:
        problems.append(
            f"{variable}: DASK_INTERNAL_INHERIT_CONFIG replaces all settings. Remove it, and use dask_config."
        )
    try:
        config = dask.config.collect_env({name: value for name, value in settings.items() if name not in NO_SETTINGS})
        return canonical(config), problems
    except (AttributeError, KeyError, TypeError):
        names = ", ".join(
            name
            for name in sorted(settings)
            if any(other.startswith(f"{name}__") for other in settings if other != name)
        )
        said = (
            f"{variable}: {names or 'DASK_...'} is a value, but other variables set keys below it. Remove one of them."
        )
        return {}, [*problems, said]


def canonical(tree: dict, prefix: str = "") -> dict:
    """Return a tree with its keys in Dask's notation. Names of environment variables cannot contain hyphens."""
    names = {path.replace("-", "_"): path for path in KNOWN}
    found = {}
    for key, value in tree.items():
        path = names.get(f"{prefix}{key}".replace("-", "_"), f"{prefix}{key}")
        found[path.rsplit(".", 1)[-1]] = canonical(value, f"{path}.") if isinstance(value, dict) else value
    return found


def find_problems(
    kind: str,
    configuration: dict,
    asked: dict,
    variables: dict,
    namespaces: list[str],
    nanny: bool,
    error_monitor: bool,
    pools: dict,
    writable: list[str] | None = None,
    arguments: list[str] | None = None,
) -> list[str]:
    """Return the problems of a user's settings.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    configuration : dict
        Complete configuration of that kind of service.
    asked : dict
        The user's configuration, by variable.
    variables : dict
        The user's environment variables, by the setting that contains them: first those of all services, then those of pools
        of workers. Variables that start with ``DASK_`` override the configuration.
    namespaces : list of str
        Keys of other packages than Dask and distributed, which are not validated.
    nanny, error_monitor : bool
        Whether workers have a nanny, and whether they report failed tasks.
    pools : dict
        ``arguments``, ``command``, ``lifetime`` and ``lifetime_stagger`` of pools of workers, by the prefix of the user's
        settings.
    writable : list of str, optional
        Directories to which services may write.
    arguments : list of str, optional
        The user's arguments of the scheduler.

    Returns
    -------
    list of str
        A message for each problem.
    """
    variables = of_kind(kind, variables)
    read = {variable: read_variables(variable, some) for variable, some in variables.items()}
    in_variables = {variable: config for variable, (config, dummy) in read.items()}
    settings = {**asked, **in_variables}
    elsewhere = {name.replace("_", "-") for name in namespaces}
    problems = [problem for dummy, found in read.values() for problem in found]
    problems += find_wrong_keys(asked, configuration)
    if problems:
        return problems
    for variable, config in settings.items():
        effective = configuration if variable in in_variables else None
        problems += owned_settings.find_problems(variable, config, DEFAULTS, effective)
        problems += find_wrong_settings(variable, config, elsewhere)
    for variable, config in in_variables.items():
        problems += find_replaced_routes(variable, config)
    for variable, some in variables.items():
        if kind == "worker" and error_monitor and some.get("SENTRY_DSN") and not find_spec("sentry_sdk"):
            problems.append(
                f"{variable}: SENTRY_DSN is set, but the environment has no sentry-sdk. Add it to the lock in "
                "dask_environment_lock."
            )
    encrypted = bool(dask.config.get("distributed.comm.require-encryption", None, config=configuration))
    for prefix, pool in pools.items():
        problems += find_wrong_pool(prefix, pool, encrypted)
    if arguments:
        problems += find_wrong_arguments(arguments)
    if problems:
        return problems
    general, *of_pools = in_variables or {"": {}}
    for variable in (of_pools if kind == "worker" else []) or [general]:
        config = dask.config.merge(
            DEFAULTS, configuration, in_variables.get(general, {}), in_variables.get(variable, {})
        )
        own = {name: tree for name, tree in settings.items() if name not in of_pools or name == variable}
        found = [*find_wrong_order(own, config)]
        found += find_wrong_thresholds(own, config, nanny) if kind == "worker" else []
        # Run the attempts before the user's modules are imported, because forked attempts lack threads of these modules.
        failed = [] if found else [*start_attempts.find_problems(kind, config, own, DEFAULTS, writable or [])]
        with dask.config.set(config):  # a module may read it on import
            found += [*find_broken_imports(kind, config, nanny)] or failed
        problems += [problem for problem in found if problem not in problems]
    return problems


def of_kind(kind: str, variables: dict) -> dict:
    """Return the environment variables that apply to services of a kind."""
    return {name: some for name, some in variables.items() if kind == "worker" or name == "dask_environment_variables"}


def find_warnings(kind: str, asked: dict, variables: dict, nanny: bool, **about: Any) -> list[str]:
    """Return warnings about settings without the expected effect. The arguments are those of `find_problems`."""
    in_variables = {variable: read_variables(variable, some)[0] for variable, some in of_kind(kind, variables).items()}
    return [
        warning
        for variable, config in {**asked, **in_variables}.items()
        for warning in find_idle_settings(variable, config, nanny)
    ]


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of imported modules goes to standard error
    arguments = json.load(sys.stdin)
    arguments["configuration"] = yaml.safe_load(Path(arguments["configuration"]).read_text())
    problems = [*application.find_problems(), *find_problems(**arguments)]
    json.dump({"problems": problems, "warnings": find_warnings(**arguments)}, answer)
    answer.flush()
    os._exit(0)  # do not wait for threads that modules have started


if __name__ == "__main__":
    main()
