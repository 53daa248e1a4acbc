# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind of a cluster's environment: a lock of packages, a packed environment, or a directory on the hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.problems import Problem
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS

LOCK, ARCHIVE, PATH = "lock", "archive", "path"

#: Variable with the environment, by kind. The variable of a lock has a default.
VARIABLES = {
    LOCK: "dask_environment_lock",
    ARCHIVE: "dask_environment_archive",
    PATH: "dask_environment_path",
}


def kind_of(values: Mapping[str, Any]) -> str:
    """Return the kind of environment in the variables of a host."""
    return next((kind for kind, name in VARIABLES.items() if values[name] and kind != LOCK), LOCK)


def variable_of(values: Mapping[str, Any]) -> str:
    """Return the name of the variable with the environment."""
    return VARIABLES[kind_of(values)]


def wrong_environment(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of variables that set several environments, or that describe an environment incompletely.

    Parameters
    ----------
    values : dict
        The variables of a host, complete.
    """
    asked = [name for name in VARIABLES.values() if values[name] != SETTINGS[name].default]
    if len(asked) > 1:
        aside = " ('default' sets dask_environment_lock aside)" if VARIABLES[LOCK] in asked else ""
        number = "both" if len(asked) == 2 else "all"
        yield Problem(" and ".join(asked), f"{number} set the environment", f"Keep one of them{aside}.")
    kind, sha256 = kind_of(values), str(values["dask_environment_archive_sha256"])
    if kind != LOCK and values["dask_environment_source"] != SETTINGS["dask_environment_source"].default:
        yield Problem(
            "dask_environment_source",
            f"is '{values['dask_environment_source']}', which is for a lock, but {VARIABLES[kind]} is set",
            "Remove one of them.",
        )
    if kind == ARCHIVE and not sha256:
        yield Problem(
            "dask_environment_archive_sha256",
            "is not set, so another archive of the same name could replace yours",
            "Set it to the SHA-256 of dask_environment_archive. sha256sum prints it on the machine that made the archive.",
        )
    elif sha256 and not re.fullmatch(r"[0-9A-Fa-f]{64}", sha256):
        yield Problem("dask_environment_archive_sha256", f"is '{sha256}'", "Give 64 hexadecimal digits.")
    elif sha256 and kind != ARCHIVE:
        yield Problem(
            "dask_environment_archive_sha256",
            "is set, but dask_environment_archive is not",
            "Set dask_environment_archive, or remove the variable.",
        )
