"""Check settings against the Dask that is installed here, before a service is started with them.

``python -m daskops_runtime.check`` reads the arguments of `find_problems` as JSON from standard input, with the path of the
configuration file for what is in it, and writes the problems as a JSON list. Dask itself starts with nearly all of them,
and says nothing.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import json
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
from dask.utils import parse_bytes, parse_timedelta

#: Read by Dask and distributed, and described by no schema. What is below them is free.
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
#: What a nanny does; nobody does it where there is none.
OF_THE_NANNY = {
    "distributed.worker.memory.terminate": "the unit's MemoryMax ends a worker that takes too much",
    "distributed.nanny": "environment variables belong in dask_environment_variables",
}
#: What the collection writes itself, and where the user says it.
ELSEWHERE = {
    "distributed.nanny.preload": "name the modules in dask_nanny_preloads",
    **{
        f"distributed.{server}.preload-argv": f"give a module's arguments in dask_{server}_preloads"
        for server in ("scheduler", "worker", "nanny")
    },
}
#: Environment variables that say where configuration is, and are none.
NO_SETTINGS = {"DASK_CONFIG", "DASK_ROOT_CONFIG", "DASK_INTERNAL_INHERIT_CONFIG"}
#: What a schema calls them, and what people do.
KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}
#: Name of a module that can be imported.
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
#: Module and function that run a command line.
COMMANDS = {"dask worker": ("distributed.cli.dask_worker", "main"), "dask cuda worker": ("dask_cuda.cli", "worker")}
#: Shares of the memory limit, in the order in which they have to be reached.
THRESHOLDS = ["target", "spill", "pause", "terminate"]


def read_schema() -> dict:
    """The schemas of Dask and distributed as one."""
    properties = {}
    for package in (dask, distributed):
        path = Path(package.__file__).with_name(f"{package.__name__}-schema.yaml")
        properties.update(yaml.safe_load(path.read_text())["properties"])
    return {"properties": properties}


SCHEMA = read_schema()
DEFAULTS = dask.config.merge(*dask.config.defaults)


def walk(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of nested mappings as a dotted path, with its value; a mapping comes before what is in it."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        yield path, value
        if isinstance(value, dict):
            yield from walk(value, f"{path}.")


def get_schema(path: str) -> dict | None:
    """What the schema says of a key; None where it does not know it."""
    schema = SCHEMA
    for key in path.split("."):
        schema = schema.get("properties", {}).get(key)
        if schema is None:
            return None
    return schema


def is_free(path: str) -> bool:
    """Whether what is below a key is for the user to name."""
    schema = get_schema(path)
    return path in UNDESCRIBED or (
        schema is not None and schema.get("type") == "object" and not schema.get("properties")
    )


def known_paths() -> set[str]:
    """Every key that Dask has a default or a description for."""

    def described(schema: dict, prefix: str = "") -> Iterator[str]:
        for key, inner in schema.get("properties", {}).items():
            yield f"{prefix}{key}"
            yield from described(inner, f"{prefix}{key}.")

    return UNDESCRIBED | set(described(SCHEMA)) | {path for path, _ in walk(DEFAULTS)}


KNOWN = known_paths()


def find_nearest(path: str) -> str | None:
    """The known key that was probably meant."""
    below = [known for known in KNOWN if known.endswith(f".{path}")]
    if below:
        return min(below, key=len)
    close = difflib.get_close_matches(path, KNOWN, n=1, cutoff=0.8)
    if close:
        return close[0]
    names = {known.rsplit(".", 1)[-1]: known for known in sorted(KNOWN, key=len, reverse=True)}
    close = difflib.get_close_matches(path.rsplit(".", 1)[-1], names, n=1, cutoff=0.8)
    return names[close[0]] if close else None


def parses(parse: Callable[[Any], float], value: Any) -> bool:
    """Whether one of Dask's functions for durations and sizes can read a value."""
    try:
        return parse(value) >= 0
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return False


def get_kind(path: str) -> str | None:
    """Whether the value of a key is a ``duration``, a ``size``, or neither, as its default shows."""
    default = dask.config.get(path, None, config=DEFAULTS)
    if isinstance(default, str) and default[:1].isdigit() and not default.isdigit():
        return "duration" if parses(parse_timedelta, default) else "size" if parses(parse_bytes, default) else None
    # Those that are off unless they are set.
    if default is None and path.endswith(("timeout", "duration", "interval", "-ttl", "-delay")):
        return "duration"
    return "size" if default is False and path.endswith("max-spill") else None


def describe(schema: dict) -> str:
    """What a value has to be, in words."""
    if "oneOf" in schema:
        return ", or ".join(describe(one) for one in schema["oneOf"])
    if "enum" in schema:
        values = [json.dumps(value) for value in schema["enum"]]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    kinds = schema.get("type", [])
    words = " or ".join(KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    limits = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    bounds = [f"{said} {schema[limit]}" for limit, said in limits.items() if limit in schema]
    return f"{words}, {' and '.join(bounds)}" if bounds else words


def fits(schema: dict, value: Any) -> bool:
    """Whether a schema allows a value; Dask takes 0 and 1 for false and true"""
    if schema.get("type") == "boolean" and value in (0, 1):
        return True
    try:
        fastjsonschema.validate(schema, value)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def unknown(path: str) -> str:
    """What to say of a key that Dask does not know."""
    if path.replace("_", "-") in KNOWN:
        return f"is to be written with hyphens: {path.replace('_', '-')}"
    nearest = find_nearest(path)
    return (
        f"is not known to Dask {dask.__version__}{f'; {nearest} is' if nearest else ''}. If it is another package's, name "
        f"{path} in dask_config_extra_namespaces"
    )


def judge(path: str, value: Any, nanny: bool) -> str | None:
    """What is wrong with one key, apart from those below it."""
    name = path
    while name in dask.config.deprecations:
        name = dask.config.deprecations[name]
    if path != name:
        return f"is called {name} now" if name in KNOWN else "is gone from Dask: leave it out"
    if path not in KNOWN:
        return unknown(path)
    if path in OF_THE_NANNY and not nanny and value not in (False, None, {}, []):
        return f"needs a nanny, and there is none: set dask_worker_nanny to true, or leave it out; {OF_THE_NANNY[path]}"
    if path in ELSEWHERE and value:
        return f"is not read here: {ELSEWHERE[path]}"
    schema = get_schema(path)
    if schema and "properties" in schema and isinstance(value, dict):
        return None
    kind = get_kind(path)
    number = isinstance(value, int | float) and not isinstance(value, bool)  # Dask reads them as well as strings
    if schema and not (kind and number) and not fits(schema, value):
        like = {"duration": ', like "30s"', "size": ', like "64MiB"'}.get(kind, "")
        return f"must be {describe(schema)}{like}"
    if kind == "duration" and (number or isinstance(value, str)) and not parses(parse_timedelta, value):
        return 'is no duration: write it like "30s", "5 minutes" or "500ms"'
    if kind == "size" and (number or isinstance(value, str)) and not parses(parse_bytes, value):
        return 'is no size: write it like "64MiB" or "1 GB"'
    if path == "distributed.comm.timeouts.tcp" and parse_timedelta(value) < 11:
        return 'must be at least "11s": with less, Dask makes no connection at all'
    return None


def find_wrong_settings(
    variable: str, config: dict, namespaces: set[str], nanny: bool, prefix: str = ""
) -> Iterator[str]:
    """Everything that is wrong with what one variable asks for."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        if path.replace("_", "-") in namespaces:
            continue
        if "." in str(key):
            yield f"{variable}: {path}: Dask does not take '{key}' apart. Write each part below the one before it."
            continue
        problem = judge(path, value, nanny)
        if problem:
            yield f"{variable}: {path} {problem}."
        elif isinstance(value, dict) and not is_free(path):
            yield from find_wrong_settings(variable, value, namespaces, nanny, f"{path}.")


def find_wrong_thresholds(settings: dict[str, dict], config: dict, nanny: bool) -> Iterator[str]:
    """Thresholds of a worker that would never be reached, because the one after them comes first."""
    memory = dask.config.get("distributed.worker.memory", config=config)
    # One that is off has the value False. The last one is the nanny's.
    given = [name for name in THRESHOLDS[: 4 if nanny else 3] if memory[name] is not False]
    culprits = [
        name for name, tree in settings.items() if dask.config.get("distributed.worker.memory", None, config=tree)
    ]
    for lower, upper in itertools.pairwise(given):
        if memory[lower] > memory[upper]:
            yield (
                f"{', '.join(culprits)}: distributed.worker.memory.{lower} is {memory[lower]}, more than {upper} "
                f"({memory[upper]}): they must grow in the order target, spill, pause, terminate, the defaults included."
            )


def find_replaced_modules(variable: str, config: dict) -> Iterator[str]:
    """What environment variables would put in the place of the collection's own modules, which make a service of Dask"""
    for path, _ in walk(config):
        if path.startswith("distributed.") and path.endswith((".preload", ".preload-argv", ".http.routes")):
            yield (
                f"{variable}: {path} would replace the collection's own modules. Name yours in "
                "dask_scheduler_preloads, dask_worker_preloads, dask_nanny_preloads, dask_scheduler_routes or "
                "dask_worker_routes."
            )


def find_broken_imports(kind: str, config: dict, nanny: bool) -> Iterator[str]:
    """Modules that a service is to load and that cannot be imported, or are not what Dask takes them for"""
    for server in [kind, "nanny"] if nanny and kind == "worker" else [kind]:
        about = dask.config.get(f"distributed.{server}", config=config)
        for name, arguments in zip(about["preload"], about["preload-argv"] or itertools.repeat([])):
            yield from find_broken_module(f"The {server}'s preload module {name}", name, arguments)
        for name in about.get("http", {}).get("routes", []):
            yield from find_broken_module(f"The {server}'s route module {name}", name)


def find_broken_module(what: str, name: str, arguments: list[str] | None = None) -> Iterator[str]:
    """What is wrong with one module: a preload has arguments, be there none, and another has routes"""
    if not MODULE.fullmatch(name) or name.endswith(".py"):
        return  # Dask also takes a URL, a path and a program's text
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # even SystemExit: it should only define something
        said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        yield f"{what} cannot be imported: {said.rstrip('.')}."
        return
    if arguments is None:
        if not hasattr(module, "routes"):
            yield f"{what} has no list called routes, in which Dask looks for them."
        return
    setup = getattr(module, "dask_setup", None)
    if isinstance(setup, click.Command):
        try:
            setup.make_context("dask_setup", list(arguments), allow_extra_args=False)
        except click.ClickException as error:
            yield f"{what} does not understand its arguments: {error.format_message()}"
        except click.exceptions.Exit:
            yield f"{what} would print a text and end, with these arguments."
    elif arguments:
        yield f"{what} takes no arguments: its dask_setup is no command of click."


def find_wrong_pool(prefix: str, pool: dict) -> Iterator[str]:
    """What is wrong with the arguments and durations of a pool of workers, whose settings' names begin with ``prefix``"""
    for name in ("lifetime", "lifetime_stagger"):
        if pool[name] and not parses(parse_timedelta, pool[name]):
            yield f"{prefix}{name} is '{pool[name]}', which is no duration: write it like '12 hours' or '30 minutes'."
    command = pool["command"]
    try:
        main = importlib.import_module(COMMANDS[command][0])
        getattr(main, COMMANDS[command][1]).make_context(command, ["tcp://127.0.0.1:1", *pool["arguments"]])
    except ImportError as error:
        yield (
            f"{prefix}command is '{command}', which cannot be imported ({error}). Put its package into the lock that "
            "dask_environment_lock names."
        )
    except click.ClickException as error:
        yield f"{prefix}arguments: {error.format_message()}"
    except click.exceptions.Exit:
        yield f"{prefix}arguments: with these '{command}' would print a text and end."


def read_variables(variables: dict) -> dict:
    """The configuration that environment variables stand for."""
    settings = {name: value for name, value in variables.items() if name.startswith("DASK_")}
    return dask.config.collect_env({name: str(value) for name, value in settings.items() if name not in NO_SETTINGS})


def canonical(tree: dict, prefix: str = "") -> dict:
    """A tree with its keys as Dask writes them: environment variables have no hyphens."""
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
) -> list[str]:
    """Everything that is wrong with what was asked for.

    Parameters
    ----------
    kind : str
        ``scheduler`` or ``worker``.
    configuration : dict
        All that stands in the configuration file of that kind of service.
    asked : dict
        Configuration by the name of the user's variable.
    variables : dict
        The user's environment variables of the services by the name of the setting that holds them: first those of all,
        then those of pools of workers. Those that begin with ``DASK_`` win over the configuration.
    namespaces : list of str
        Keys of packages other than Dask and distributed, which are not looked at.
    nanny, error_monitor : bool
        Whether workers have a nanny, and whether they report failed tasks.
    pools : dict
        ``arguments``, ``command``, ``lifetime`` and ``lifetime_stagger`` of pools of workers, by what the names of the
        user's settings begin with.

    Returns
    -------
    list of str
        A sentence for each.
    """
    if kind == "scheduler":
        variables = {name: some for name, some in variables.items() if name == "dask_environment_variables"}
    in_variables = {variable: canonical(read_variables(some)) for variable, some in variables.items()}
    settings = {**asked, **in_variables}
    elsewhere = {name.replace("_", "-") for name in namespaces}
    problems = [
        problem
        for variable, config in settings.items()
        for problem in find_wrong_settings(variable, config, elsewhere, nanny)
    ]
    for variable, config in in_variables.items():
        problems += find_replaced_modules(variable, config)
    for variable, some in variables.items():
        if kind == "worker" and error_monitor and some.get("SENTRY_DSN") and not find_spec("sentry_sdk"):
            problems.append(
                f"{variable}: SENTRY_DSN is set, and the environment has no sentry-sdk. Put it into the lock that "
                "dask_environment_lock names."
            )
    for prefix, pool in pools.items():
        problems += find_wrong_pool(prefix, pool)
    if problems:
        return problems
    general, *of_pools = in_variables or {"": {}}
    for variable in of_pools or [general] if kind == "worker" else []:
        config = dask.config.merge(
            DEFAULTS, configuration, in_variables.get(general, {}), in_variables.get(variable, {})
        )
        own = {name: tree for name, tree in settings.items() if name not in of_pools or name == variable}
        problems += [problem for problem in find_wrong_thresholds(own, config, nanny) if problem not in problems]
    config = dask.config.merge(DEFAULTS, configuration, in_variables.get(general, {}))
    with dask.config.set(config):  # a module may look at it when it is imported
        return [*problems, *find_broken_imports(kind, config, nanny)]


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where modules print to
    arguments = json.load(sys.stdin)
    arguments["configuration"] = yaml.safe_load(Path(arguments["configuration"]).read_text())
    json.dump(find_problems(**arguments), answer)
    answer.flush()
    os._exit(0)  # whatever modules have started


if __name__ == "__main__":
    main()
