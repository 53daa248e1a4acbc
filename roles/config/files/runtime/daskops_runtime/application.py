# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find modules of the user's application that a service would not import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import all_suffixes

from daskops_runtime.launch import application_modules

SUFFIXES = tuple(all_suffixes())


def find_problems() -> Iterator[str]:
    """Generate the problems of the application's modules in this process, whose import path is that of a service."""
    directory = application_modules()
    if directory not in sys.path:
        return
    for name, other in find_hidden(directory, sys.path[: sys.path.index(directory)]):
        whose = f"the environment also has ({other})" if other else "is the name of one of Python's own modules"
        yield (
            f"dask_application has a module {name}, which {whose}: services import only one of them. Rename it in the "
            "application, or leave it out there or in the environment."
        )


def find_hidden(directory: str, paths: Sequence[str], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Generate the modules in a directory that are not imported, or hide others, because others have the same name.

    Parameters
    ----------
    directory : str
        Directory of the application's modules.
    paths : list of str
        The directories before it on the import path.
    prefix : str
        Name of the package with a dot, for directories of a package.

    Yields
    ------
    tuple of (str, str)
        Name of the module, and the path of the other one; empty for a module of Python itself.
    """
    others: dict[str, list[tuple[str, bool]]] = {}
    for path in paths:
        for name, place, is_shared in _modules(path):
            others.setdefault(name, []).append((place, is_shared))
    for name, place, is_shared in _modules(directory):
        if not prefix and name in sys.stdlib_module_names:
            yield name, ""
            continue
        same = others.get(name, [])
        regular = [other for other, other_is_shared in same if not other_is_shared]
        portions = [other for other, other_is_shared in same if other_is_shared and _has_modules(other)]
        if regular or (portions and not is_shared):
            yield f"{prefix}{name}", [*regular, *portions][0]
        elif portions:
            yield from find_hidden(place, portions, f"{prefix}{name}.")


def _modules(directory: str) -> Iterator[tuple[str, str, bool]]:
    """Generate the name and path of each module in a directory.

    The third value is whether the module is a package without ``__init__.py``, which several distributions may share.
    """
    if not os.path.isdir(directory):
        return
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
            initial = (os.path.join(entry.path, f"__init__{suffix}") for suffix in SUFFIXES)
            yield entry.name, entry.path, not any(map(os.path.exists, initial))
        elif entry.name.endswith(SUFFIXES) and entry.is_file():
            yield entry.name.partition(".")[0], entry.path, False


def _has_modules(directory: str) -> bool:
    """Return whether there is any module below a directory, which may also have only data."""
    return any(name.endswith(SUFFIXES) for found in os.walk(directory) for name in found[2])
