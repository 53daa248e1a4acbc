"""The configuration that this process really has, where each value came from, and what is not as it was asked for.

Asked for is what the release's file, the unit's environment and its command line say; the rest are Dask's defaults. Other
files that Dask reads, and what somebody sets while the process runs, make a difference that is reported: a drift.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import dask
from distributed.core import Server, Status

#: What the differences are called among the things that a worker tells the scheduler with each heartbeat.
KEY = "daskops_drift"
#: What Dask sets itself while it runs: a task that is a client computes on its own cluster by default.
SET_BY_DASK = {"scheduler"}

#: What Dask makes of the variables that say where configuration is.
NO_SETTINGS = {"config", "root-config"}

DEFAULT = "default"
FILE = "file"
PROCESS = "the process"  # what runs has set it

_origins: Origins | None = None
_settling: asyncio.Task | None = None


def walk(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted path; Dask takes hyphens and underscores for the same"""
    for key, value in tree.items():
        path = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from walk(value, f"{path}.")
        else:
            yield path, value


class Origins:
    """Where the configuration came from, as it was when this was made

    Attributes
    ----------
    sources : list of tuple
        Names and values by path of what was read, the weakest first.
    foreign : set of str
        Keys that another file than the release's has set to something else than the default.
    begun_with : dict, optional
        The whole configuration, once the process has started.
    """

    def __init__(self):
        release = os.environ.get("DASK_CONFIG", "")
        self.sources = [(DEFAULT, dict(walk(defaults))) for defaults in dask.config.defaults]
        for path, tree in dask.config.collect_yaml(dask.config.paths, return_paths=True):
            self.sources.append((FILE if str(path) == release else str(path), dict(walk(tree))))
        for name, value in os.environ.items():
            if name.startswith("DASK_") and name not in ("DASK_CONFIG", "DASK_ROOT_CONFIG"):
                tree = dask.config.collect_env({name: value})
                dask.config.rename(config=tree)
                self.sources.append((f"environment variable {name}", dict(walk(tree))))
        defaults = dask.config.merge(*dask.config.defaults)
        self.foreign = {
            path
            for name, values in self.sources
            if name.startswith("/")
            for path, value in values.items()
            if self.find(path, value) == name and value != dask.config.get(path, None, config=defaults)
        }
        self.begun_with: dict | None = None

    def begin(self) -> None:
        """Take what is set now for what this process begins with"""
        self.begun_with = copy.deepcopy(dask.config.config)

    def find(self, path: str, value: Any) -> str:
        """Where the value of a key came from"""
        for name, values in reversed(self.sources):
            if path in values:
                return name if values[path] == value else PROCESS
        return PROCESS

    def drift(self) -> list[str]:
        """Keys whose values nobody asked for, sorted"""
        found = set(self.foreign)
        if self.begun_with is not None and dask.config.config != self.begun_with:
            before, now = dict(walk(self.begun_with)), dict(walk(dask.config.config))
            found.update(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
        return sorted(found - SET_BY_DASK)


def start(server: Server) -> None:
    """Look at where the configuration comes from, unless this server is one that a task has started"""
    global _origins, _settling
    if _origins is None:
        _origins = Origins()
        _settling = asyncio.create_task(settle(server, _origins))


async def settle(server: Server, origins: Origins) -> None:
    """What preload modules set at the start is asked for, too"""
    while server.status == Status.init:
        await asyncio.sleep(0.05)
    origins.begin()


def get_drift(server: Server | None = None) -> list[str]:
    """Keys whose values nobody asked for"""
    return _origins.drift() if _origins else []


def read_arguments(arguments: list[str]) -> dict[str, str]:
    """Options of a command line with their values"""
    found: dict[str, str] = {}
    option = None
    for word in arguments:
        if word.startswith("--"):
            option, _, value = word.partition("=")
            found[option] = value
        elif option:
            found[option] = f"{found[option]} {word}".strip()
            option = None
    return found


def describe(origins: Origins) -> dict[str, Any]:
    """All settings of this process

    Returns
    -------
    dict
        ``settings``, a dict of ``[value, origin]`` by key, and ``drift``, a list of keys. The origin is `DEFAULT`, `FILE`
        for the release's own, another file's path, the name of an environment variable, whose value may be a secret and
        is not told, ``command line`` or `PROCESS`.
    """
    settings = {}
    for path, value in walk(dask.config.config):
        if path in NO_SETTINGS:
            continue
        origin = origins.find(path, value)
        settings[path] = ["********" if origin.startswith("environment") else value, origin]
    for option, value in read_arguments(sys.argv[1:]).items():
        settings[option] = [value, "command line"]
    return {"settings": settings, "drift": origins.drift()}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell all settings, as JSON; a command for `daskops_runtime.control`"""
    if _origins:
        writer.write(json.dumps(describe(_origins), default=str).encode())
        await writer.drain()
