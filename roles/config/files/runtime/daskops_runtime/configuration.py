# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that this process really has, where each value came from, and what is not as it was asked for.

Asked for is what the release's file, the unit's environment and its command line say; the rest are Dask's defaults. Other
files that Dask reads, what somebody sets while the process runs, and a release's file that is no longer what the process has
read, because somebody changed it, then or now, make a difference that is reported: a drift.
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

#: What the differences are called among the things that a worker tells the scheduler with each heartbeat.
KEY = "daskops_drift"
#: What Dask sets itself while it runs: a task that is a client computes on its own cluster by default.
SET_BY_DASK = {"scheduler"}
#: What Dask makes of the variables that say where configuration is.
NO_SETTINGS = {"config", "root-config"}
#: Seconds between two looks, and how many of these a difference has to last: a task may set something for itself.
INTERVAL = 5.0
LOOKS = 4

DEFAULT = "default"
FILE = "file"
PROCESS = "the process"  # what runs has set it

_origins: Origins | None = None
_drift: list[str] = []
_watching: asyncio.Task | None = None


def walk(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted path; Dask takes hyphens and underscores for the same"""
    for key, value in list(tree.items()):
        path = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from walk(value, f"{path}.")
        else:
            yield path, value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; anything may have been set"""
    try:
        return bool(one == other)
    except Exception:
        return one is other


def with_todays_names(tree: dict) -> dict:
    """A tree with the names that keys have today, as Dask renames them when it starts"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = copy.deepcopy(tree)
        dask.config.rename(config=tree)
    return tree


class Origins:
    """Where the configuration came from, as it was when this was made

    Attributes
    ----------
    sources : list of tuple
        Names and values by path of what was read, the weakest first.
    begun_with : dict, optional
        The whole configuration by path, once the process has started.
    lasting : dict
        For how many looks a key has been other than it was at the start.
    rewritten : set of str
        Keys that the release's file says something else of than it did at the start.
    """

    def __init__(self) -> None:
        release = os.environ.get("DASK_CONFIG", "")
        # Where it lies, whatever release is the current one later.
        self.file = os.path.realpath(release)
        self.file_time = read_time(self.file)
        self.rewritten: set[str] = set()
        self.sources: list[tuple[str, dict[str, Any]]] = []
        for path, tree in dask.config.collect_yaml(dask.config.paths, return_paths=True):
            name = FILE if str(path) == release else str(path)
            self.sources.append((name, dict(walk(with_todays_names(tree)))))
        for name, value in os.environ.items():
            if name.startswith("DASK_") and name not in ("DASK_CONFIG", "DASK_ROOT_CONFIG"):
                tree = with_todays_names(dask.config.collect_env({name: value}))
                self.sources.append((f"environment variable {name}", dict(walk(tree))))
        self.begun_with: dict[str, Any] | None = None
        self.lasting: dict[str, int] = {}

    def begin(self) -> None:
        """Take what is set now for what this process begins with"""
        self.begun_with = {path: copy.deepcopy(value) for path, value in walk(dask.config.config)}

    def find(self, path: str, value: Any, defaults: dict[str, Any]) -> str:
        """Where the value of a key came from"""
        for name, values in reversed(self.sources):
            if path in values:
                return name if same(values[path], value) else PROCESS
        return DEFAULT if path in defaults and same(defaults[path], value) else PROCESS

    def look(self) -> None:
        """Compare what is set now with what was at the start"""
        if self.begun_with is None:
            return
        now, defaults = dict(walk(dask.config.config)), read_defaults()
        other = {
            path
            for path in self.begun_with.keys() | now.keys()
            if not same(self.begun_with.get(path), now.get(path))
            # A package that is imported later brings its defaults.
            and not (path not in self.begun_with and path in defaults and same(defaults[path], now[path]))
        }
        self.lasting = {path: self.lasting.get(path, 0) + 1 for path in other - SET_BY_DASK}

    def look_at_file(self) -> None:
        """Compare the release's file with what it was at the start, if it was written since"""
        time = read_time(self.file)
        if time in (self.file_time, None):  # a release that is gone is one that is not asked for any more
            return
        self.file_time = time
        before = next((values for name, values in self.sources if name == FILE), {})
        now: dict[str, Any] = {}
        for tree in dask.config.collect_yaml([self.file]):
            now.update(walk(with_todays_names(tree)))
        paths = before.keys() | now.keys()
        self.rewritten = {path for path in paths if not same(before.get(path), now.get(path))}

    def get_drift(self) -> list[str]:
        """Keys whose values nobody asked for, sorted: set while the process runs, or by somebody's own file"""
        now, defaults = dict(walk(dask.config.config)), read_defaults()
        found = {path for path, looks in self.lasting.items() if looks >= LOOKS} | self.rewritten
        for path in {path for name, values in self.sources if name.startswith("/") for path in values}:
            if path in now and not same(now[path], defaults.get(path)):
                found.update([path] if self.find(path, now[path], defaults).startswith("/") else [])
        return sorted(found)


def read_time(path: str) -> int | None:
    """When a file was written last; None where there is none"""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def read_defaults() -> dict[str, Any]:
    """The defaults of Dask and of other packages, as far as these are imported"""
    return dict(walk(dask.config.merge(*dask.config.defaults)))


def start(server: Server) -> None:
    """Look at where the configuration comes from, unless this server is one that a task has started"""
    global _origins, _watching
    if _origins is None:
        _origins = Origins()
        _watching = asyncio.create_task(watch(server, _origins))


async def watch(server: Server, origins: Origins) -> None:
    global _drift
    # What preload modules set at the start is asked for, too.
    while server.status == Status.init:
        await asyncio.sleep(0.05)
    origins.begin()
    while True:
        try:
            origins.look()
            origins.look_at_file()
            _drift = origins.get_drift()
        except Exception:  # a setting that nobody has thought of is no reason to look no more
            logger.exception("The configuration could not be compared")
        await asyncio.sleep(INTERVAL)


def get_drift(server: Server | None = None) -> list[str]:
    """Keys whose values nobody asked for, as of the latest look"""
    return _drift


def read_arguments(arguments: list[str]) -> dict[str, str]:
    """Options of a command line with their values"""
    found: dict[str, str] = {}
    option = None
    for word in arguments:
        if word.startswith("--"):
            option, _, value = word.partition("=")
            found[option] = f"{found[option]}, {value}" if option in found else value
        elif option:
            found[option] += word
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
    settings, defaults = {}, read_defaults()
    for path, value in walk(dask.config.config):
        if path not in NO_SETTINGS:
            origin = origins.find(path, value, defaults)
            settings[path] = ["********" if origin.startswith("environment") else value, origin]
    for option, value in read_arguments(sys.argv[1:]).items():
        settings[option] = [value, "command line"]
    return {"settings": settings, "drift": origins.get_drift()}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell all settings, as JSON; a command for `daskops_runtime.control`"""
    if _origins:
        writer.write(json.dumps(describe(_origins), default=str).encode())
        await writer.drain()
