# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that this process uses, the origin of each value, and configuration drift.

The wanted configuration consists of the release's file, the unit's environment, its command line and Dask's defaults. All
other values are drift: values from other files that Dask reads, values that were set while the process runs, and values that
were edited in the release's file.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import dask
from distributed.core import Server, Status

logger = logging.getLogger("distributed.daskops.configuration")

#: Metric with the drift that a worker sends with each heartbeat.
KEY = "daskops_drift"
#: Keys that Dask sets while it runs. In a task with a client, ``scheduler`` is that client's cluster.
SET_BY_DASK = {"scheduler"}
#: Keys that Dask derives from the variables DASK_CONFIG and DASK_ROOT_CONFIG.
NO_SETTINGS = {"config", "root-config"}
#: Seconds between two checks, and number of checks that a difference must last, because a task may change a setting
#: temporarily.
INTERVAL = 5.0
LOOKS = 4

DEFAULT = "default"
FILE = "file"
PROCESS = "the process"  # set while the process runs

_origins: Origins | None = None
_drift: list[str] = []
_watching: asyncio.Task | None = None


def walk(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of each leaf. Underscores become hyphens, which are equivalent in Dask."""
    for key, value in list(tree.items()):
        path = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from walk(value, f"{path}.")
        else:
            yield path, value


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal. Objects that cannot be compared are equal if they are identical."""
    try:
        return bool(one == other)
    except Exception:
        return one is other


def with_current_names(tree: dict) -> dict:
    """Return a tree with deprecated keys renamed, like Dask does when it starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = copy.deepcopy(tree)
        dask.config.rename(config=tree)
    return tree


class Origins:
    """The origins of the configuration at the start of the process.

    Attributes
    ----------
    sources : list of tuple
        Name and values by path of each source, in order of increasing precedence.
    begun_with : dict, optional
        Complete configuration by path at the end of the start.
    lasting : dict
        Number of consecutive checks in which a key differed from the start, by key.
    rewritten : set of str
        Keys whose values in the release's file have changed since the start.
    """

    def __init__(self) -> None:
        release = os.environ.get("DASK_CONFIG", "")
        # Resolve the link now, because `current` may point to another release later.
        self.file = os.path.realpath(release)
        self.file_time = read_time(self.file)
        self.rewritten: set[str] = set()
        self.sources: list[tuple[str, dict[str, Any]]] = []
        for path, tree in dask.config.collect_yaml(dask.config.paths, return_paths=True):
            name = FILE if str(path) == release else str(path)
            self.sources.append((name, dict(walk(with_current_names(tree)))))
        for name, value in os.environ.items():
            if name.startswith("DASK_") and name not in ("DASK_CONFIG", "DASK_ROOT_CONFIG"):
                tree = with_current_names(dask.config.collect_env({name: value}))
                self.sources.append((f"environment variable {name}", dict(walk(tree))))
        self.begun_with: dict[str, Any] | None = None
        self.lasting: dict[str, int] = {}

    def begin(self) -> None:
        """Store the present configuration as the one of the start."""
        self.begun_with = {path: copy.deepcopy(value) for path, value in walk(dask.config.config)}

    def find(self, path: str, value: Any, defaults: dict[str, Any]) -> str:
        """Return the origin of a key's value."""
        for name, values in reversed(self.sources):
            if path in values:
                return name if same(values[path], value) else PROCESS
        return DEFAULT if path in defaults and same(defaults[path], value) else PROCESS

    def look(self) -> None:
        """Compare the present configuration with that of the start."""
        if self.begun_with is None:
            return
        now, defaults = dict(walk(dask.config.config)), read_defaults()
        other = {
            path
            for path in self.begun_with.keys() | now.keys()
            if not same(self.begun_with.get(path), now.get(path))
            # A package that is imported later adds its defaults.
            and not (path not in self.begun_with and path in defaults and same(defaults[path], now[path]))
        }
        self.lasting = {path: self.lasting.get(path, 0) + 1 for path in other - SET_BY_DASK}

    def look_at_file(self) -> None:
        """Compare the release's file with its content at the start, if its modification time has changed."""
        time = read_time(self.file)
        if time in (self.file_time, None):  # a missing file belongs to a removed release
            return
        self.file_time = time
        before = next((values for name, values in self.sources if name == FILE), {})
        now: dict[str, Any] = {}
        for tree in dask.config.collect_yaml([self.file]):
            now.update(walk(with_current_names(tree)))
        paths = before.keys() | now.keys()
        self.rewritten = {path for path in paths if not same(before.get(path), now.get(path))}

    def get_drift(self) -> list[str]:
        """Return the keys that are drift, sorted: set while the process runs, by another file, or edited in the file."""
        now, defaults = dict(walk(dask.config.config)), read_defaults()
        found = {path for path, looks in self.lasting.items() if looks >= LOOKS} | self.rewritten
        for path in {path for name, values in self.sources if name.startswith("/") for path in values}:
            if path in now and not same(now[path], defaults.get(path)):
                found.update([path] if self.find(path, now[path], defaults).startswith("/") else [])
        return sorted(found)


def read_time(path: str) -> int | None:
    """Return the modification time of a file in nanoseconds; None if the file does not exist."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def read_defaults() -> dict[str, Any]:
    """Return the defaults of Dask and of other imported packages by path."""
    return dict(walk(dask.config.merge(*dask.config.defaults)))


def start(server: Server) -> None:
    """Start to check the configuration, unless this server was started by a task."""
    global _origins, _watching
    if _origins is None:
        _origins = Origins()
        _watching = asyncio.create_task(watch(server, _origins))


async def watch(server: Server, origins: Origins) -> None:
    global _drift
    # Settings that preload modules make are not drift.
    while server.status == Status.init:
        await asyncio.sleep(0.05)
    origins.begin()
    while True:
        try:
            origins.look()
            origins.look_at_file()
            _drift = origins.get_drift()
        except Exception:  # an unexpected value must not end the checks
            logger.exception("The configuration could not be compared")
        await asyncio.sleep(INTERVAL)


def get_drift(server: Server | None = None) -> list[str]:
    """Return the keys that the latest check found."""
    return _drift


def read_arguments(arguments: list[str]) -> dict[str, str]:
    """Return the values of the options in a command line, by option."""
    found: dict[str, str] = {}
    option = None
    for word in arguments:
        if word.startswith("--"):
            option, dummy, value = word.partition("=")
            found[option] = f"{found[option]}, {value}" if option in found else value
        elif option:
            found[option] += word
            option = None
    return found


def describe(origins: Origins) -> dict[str, Any]:
    """Return all settings of this process.

    Returns
    -------
    dict
        ``settings`` is a dict of ``[value, origin]`` by key, and ``drift`` is a list of keys. The origin is `DEFAULT`,
        `FILE` (the release's file), the path of another file, the name of an environment variable, ``command line`` or
        `PROCESS`. Values of environment variables are masked, because they may be secret.
    """
    settings, defaults = {}, read_defaults()
    for path, value in walk(dask.config.config):
        if path not in NO_SETTINGS:
            origin = origins.find(path, value, defaults)
            settings[path] = ["********" if origin.startswith("environment") else value, origin]
    for option, value in read_arguments(sys.argv[1:]).items():
        settings[option] = [value, "command line"]
    return {"settings": settings, "drift": origins.get_drift()}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send all settings as JSON. The command ``configuration`` of `daskops_runtime.control`."""
    if _origins:
        writer.write(json.dumps(describe(_origins), default=str).encode())
        await writer.drain()
