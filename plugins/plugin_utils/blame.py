# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the variable that is the probable cause when a service does not start. Pure functions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: Patterns in the journal, and the settings of Dask that cause them. The first setting that the user set is the cause.
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
#: Messages of a command that rejects its arguments.
ARGUMENTS = r"Failed to launch worker|^Usage: |^Error: |import_term|Not enough ports"
#: Messages in which Dask names the preload that it runs. If a preload ends the process, it is the last one in the journal.
PRELOAD = r"(?:Creating preload|Import preload module|Run preload setup): (\S+)"
#: A module of the release in a traceback.
FILE = r"/releases/[^/]+/python/((?:\w+/)*\w+)\.py"
#: Variables that name an environment without a lock.
UNLOCKED = ("dask_environment_archive", "dask_environment_path")
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
    """Return variable, path and value of each setting of Dask that the user set, sorted from the highest priority."""
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
    """Return the name under which Dask imports an entry of a list of modules."""
    name = str(name.get("name", "") if isinstance(name, dict) else name)
    return os.path.basename(name)[: -len(".py")] if name.endswith(".py") else name


def user_module(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable with the last of the user's modules in the journal; empty if the journal names none."""
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
    """Return the variable whose arguments a command rejects, with the option in the journal; empty if there is none."""
    for variable, value in settings.items():
        if variable.endswith("arguments") and isinstance(value, list) and value:
            options = [str(word).partition("=")[0] for word in value if str(word).startswith("--")]
            named = [option for option in options if re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", said)]
            return f"{variable} ({named[0]})" if named else variable
    return ""


def below(prefixes: Iterable[str], said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable with a setting below one of ``prefixes``, if possible one whose value is in the journal."""
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
    """Return the variable whose key, value or name is in the journal; empty if there is none."""
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
    """Return the variable that is the probable cause when a service does not start.

    Parameters
    ----------
    said : str
        Last lines of the service's journal.
    settings : dict
        Values that the user set, by variable. The end of the name determines the type of the value: ``_config`` is for Dask
        configuration, ``environment_variables`` for environment variables, ``_preloads`` and ``_routes`` for lists of
        modules, ``arguments`` for lists of arguments, and ``_paths``, ``_devices`` and ``_file`` for paths.
        ``dask_environment_archive`` and ``dask_environment_path`` are environments without a lock.

    Returns
    -------
    str
        The variable, followed by the part of its value in brackets. Empty if there is no sign of a cause.
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
    return arguments or mentioned(said, settings) or module or missing_package(said, settings)


def missing_package(said: str, settings: Mapping[str, Any]) -> str:
    """Return the variable of the environment with the missing package; empty if the journal names none."""
    missing = re.findall(r"No module named '([\w.]+)'", said)
    variable = next((name for name in UNLOCKED if settings.get(name)), "dask_environment_lock")
    return f"{variable} (it lacks {missing[-1]})" if missing else ""


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
    """Return a sentence with the probable cause and the remedy. With ``late``, the service may only be slow to start."""
    variable = user_module(said, settings) if late else blame(said, settings)
    given = sorted(name for name, value in settings.items() if value)
    if late:
        text = f"The host may be too busy{f', or the cause is {variable}' if variable else ''}. Increase dask_start_timeout."
    elif variable:
        text = f"The probable cause is the variable {variable}. Change it."
    elif given:
        text = f"The probable cause is one of these variables: {', '.join(given)}. Change it."
    else:
        text = "No variable that could be the cause is set. See the journal."
    if re.search(TAKEN, said):
        text += " It may open a port that the running service uses. Do not open it if DASKOPS_TRIAL is set."
    return text
