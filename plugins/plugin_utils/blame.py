# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the variable that probably keeps a service from starting. Pure functions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: Patterns of the journal, and the settings of Dask that they are about. The first setting that has a value is to blame.
SYMPTOMS = [
    (r"uvloop|event.loop", ["distributed.admin.event-loop"]),
    (
        r"logging/config\.py|logging/handlers\.py|Unable to configure (handler|formatter|filter|logger|root)",
        ["logging", "distributed.logging", "logging-file-config", "distributed.logging-file-config"],
    ),
    (r"bokeh/|BokehTornado|BokehApplication", ["distributed.scheduler.dashboard"]),
    (r"[Cc]ompression|lz4|snappy|zstandard|zstd|brotli", ["distributed.comm.compression"]),
    (r"ssl\.SSLError|cipher|SSLContext", ["distributed.comm.tls", "distributed.scheduler.dashboard.tls"]),
    (r"http/routing|distributed/http/", ["distributed.scheduler.http", "distributed.worker.http"]),
]
#: Messages of a command line that rejects its arguments.
ARGUMENTS = r"Failed to launch worker|^Usage: |^Error: |import_term|Not enough ports"
#: Messages with which Dask names the preload that it runs. If a preload ends the process, it is the last one named.
PRELOAD = r"(?:Creating preload|Import preload module|Run preload setup): (\S+)"
#: A module of the release in a traceback.
FILE = r"/releases/[^/]+/python/((?:\w+/)*\w+)\.py"
#: A line of dask_environment_setup fails.
SETUP = r"^dask_environment_setup: (line \d+) "
#: systemd cannot set up the sandbox.
SANDBOX = r"status=226/NAMESPACE"
#: Another process holds the port.
TAKEN = r"Address already in use|Errno 98"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every leaf of nested mappings."""
    for key, value in tree.items():
        path = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def dask_settings(settings: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Return variable, path and value of each setting of Dask that the user set, those with the highest priority first."""
    found = []
    for variable, value in settings.items():
        if variable.endswith("_config") and isinstance(value, dict):
            found += [(variable, path, one) for path, one in leaves(value)]
        elif variable.endswith("environment_variables") and isinstance(value, dict):
            for name, one in value.items():
                if name.startswith("DASK_"):
                    path = name[len("DASK_") :].lower().replace("__", ".").replace("_", "-")
                    found.append((f"{variable}.{name}", path, one))
    # Environment variables come first, and variables for one kind of service before those for all.
    return sorted(found, key=lambda one: (not one[0].partition(".")[2], one[0] == "dask_config"))


def module_of(name: object) -> str:
    """Return the name under which an entry of a list of modules is imported."""
    name = str(name.get("name", "") if isinstance(name, dict) else name)
    return os.path.basename(name)[: -len(".py")] if name.endswith(".py") else name


def user_module(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable whose module the end of the journal names; empty if there is none."""
    modules = {
        module_of(entry): variable
        for variable, value in settings.items()
        if variable.endswith(("_preloads", "_routes")) and isinstance(value, list)
        for entry in value
    }
    named = [name.replace("/", ".") for name in re.findall(FILE, said)]
    last = re.findall(PRELOAD, said)
    for name in [*reversed(named), *last[-1:]]:
        name = os.path.basename(name)[: -len(".py")] if name.endswith(".py") else name
        for candidate in (name, name.split(".")[0]):
            if candidate in modules:
                return f"{modules[candidate]} ({candidate})"
    return ""


def about_arguments(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable whose arguments a command line rejects, with the option that the journal names."""
    for variable, value in settings.items():
        if variable.endswith("arguments") and isinstance(value, list) and value:
            options = [str(word).partition("=")[0] for word in value if str(word).startswith("--")]
            named = [option for option in options if re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", said)]
            return f"{variable} ({named[0]})" if named else variable
    return ""


def below(prefixes: Iterable[str], said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable with a setting below one of ``prefixes``, and the path whose value the journal has, if any."""
    for prefix in prefixes:
        found = [one for one in dask_settings(settings) if f"{one[1]}.".startswith(f"{prefix}.")]
        if found:
            variable = found[0][0]
            own = [(path, value) for other, path, value in found if other == variable]
            named = [path for path, value in own if isinstance(value, str) and len(value) > 3 and value in said]
            path = named[0] if named else own[0][0] if len(own) == 1 else prefix
            return variable if "." in variable else f"{variable} ({path})"
    return ""


def mentioned(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable whose key, value or name the journal has; empty if there is none."""
    for variable, path, value in dask_settings(settings):
        if path in said or (isinstance(value, str) and len(value) > 3 and value in said):
            return f"{variable} ({path})" if "." not in variable else variable
    for variable, values in settings.items():
        if variable.endswith("environment_variables") and isinstance(values, dict):
            for name in values:
                if re.search(rf"\b{re.escape(name)}\b", said):
                    return f"{variable}.{name}"
    return ""


def blame(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable that probably keeps a service from starting.

    Parameters
    ----------
    said : str
        The last lines of the service's journal.
    settings : dict
        Values that the user set, by variable. Names that end with ``_config`` are for configuration of Dask, with
        ``environment_variables`` for environment variables, with ``_preloads`` and ``_routes`` for lists of modules, with
        ``arguments`` for lists of arguments, and ``dask_..._paths``, ``..._devices`` and ``..._file`` for paths.

    Returns
    -------
    str
        The variable, with the part of its value in brackets; empty if nothing points to one.
    """
    if re.search(SANDBOX, said):
        paths = [name for name in settings if name.endswith(("_paths", "_devices", "_file")) and settings[name]]
        return ", ".join(paths)
    line = re.search(SETUP, said, re.MULTILINE)
    if line:
        return f"dask_environment_setup ({line.group(1)})"
    module = user_module(said, settings)
    if re.search(TAKEN, said) and module:
        return module
    if re.search(FILE, said) and module:
        return module
    for pattern, prefixes in SYMPTOMS:
        if re.search(pattern, said):
            found = below(prefixes, said, settings)
            if found:
                return found
    arguments = about_arguments(said, settings) if re.search(ARGUMENTS, said, re.MULTILINE) else ""
    return arguments or mentioned(said, settings) or module or missing_package(said)


def missing_package(said: str) -> str:
    """Return the variable of the lock with the missing package; empty if the journal reports none."""
    missing = re.findall(r"No module named '([\w.]+)'", said)
    return f"dask_environment_lock (it lacks {missing[-1]})" if missing else ""


def condensed(said: str) -> str:
    """Return a journal with only the last frame of each traceback."""
    kept: list[str] = []
    frames: list[str] = []
    for line in said.splitlines():
        if line.startswith("  File "):
            frames = [line]
        elif line.startswith("    ") and frames:
            if len(frames) == 1:
                frames.append(line)
        else:
            kept += [*frames, line]
            frames = []
    return "\n".join([*kept, *frames])


def sentence(said: str, settings: Mapping[str, Any], late: bool) -> str:
    """Return what is probably to blame and what to do. With ``late`` the service may only be slow to start."""
    variable = user_module(said, settings) if late else blame(said, settings)
    given = sorted(name for name, value in settings.items() if value)
    if late:
        text = f"A host that is busy may be to blame{f', or {variable}' if variable else ''}: set dask_start_timeout higher."
    elif variable:
        text = f"The variable that is probably to blame: {variable}. Change it."
    elif given:
        text = f"One of these is probably to blame: {', '.join(given)}. Change it."
    else:
        text = "No variable that could be to blame is set; look at the journal."
    if re.search(TAKEN, said):
        text += " It may open a port that the running service holds; leave that out where DASKOPS_TRIAL is set."
    return text
