# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the user's arguments of ``dask scheduler`` and ``dask worker``, as far as that is possible without Dask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

#: Options of `dask worker` that the collection sets, and the variables that determine them.
WORKER_OPTIONS = {
    "--contact-address": "dask_worker_contact_host",
    "--dashboard": "dask_worker_dashboard_port",
    "--dashboard-address": "dask_worker_dashboard_port",
    "--dashboard-prefix": "dask_dashboard_prefix",
    "--host": "dask_worker_interface",
    "--interface": "dask_worker_interface",
    "--lifetime": "dask_worker_lifetime",
    "--lifetime-restart": "dask_worker_lifetime",
    "--lifetime-stagger": "dask_worker_lifetime_stagger",
    "--listen-address": "dask_worker_interface",
    "--local-directory": "dask_worker_scratch_directory",
    "--memory-limit": "dask_worker_memory",
    "--name": "dask_worker_pools",
    "--nanny": "dask_worker_nanny",
    "--nanny-port": "dask_worker_nanny_port",
    "--no-dashboard": "dask_worker_dashboard_port",
    "--no-lifetime-restart": "dask_worker_lifetime",
    "--no-nanny": "dask_worker_nanny",
    "--nthreads": "dask_worker_threads",
    "--nworkers": "dask_worker_count",
    "--preload": "dask_worker_preloads",
    "--preload-nanny": "dask_nanny_preloads",
    "--resources": "dask_worker_resources",
    "--scheduler-file": "dask_scheduler_host",
    "--tls-ca-file": "dask_tls",
    "--tls-cert": "dask_tls",
    "--tls-key": "dask_tls",
    "--worker-port": "dask_worker_port",
}

#: Options of `dask scheduler` that the collection sets, and the variables that determine them.
SCHEDULER_OPTIONS = {
    "--dashboard": "dask_scheduler_dashboard_port",
    "--dashboard-address": "dask_scheduler_dashboard_port",
    "--dashboard-prefix": "dask_dashboard_prefix",
    "--host": "dask_bind_address",
    "--idle-timeout": "distributed.scheduler.idle-timeout in dask_scheduler_config",
    "--interface": "dask_interface",
    "--no-dashboard": "dask_scheduler_dashboard_port",
    "--port": "dask_scheduler_port",
    "--preload": "dask_scheduler_preloads",
    "--protocol": "dask_tls",
    "--scheduler-file": "dask_scheduler_file",
    "--tls-ca-file": "dask_tls",
    "--tls-cert": "dask_tls",
    "--tls-key": "dask_tls",
}


def bad_arguments(variable: str, arguments: Iterable[object], managed: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each argument that a unit cannot contain, or that the collection sets itself.

    Parameters
    ----------
    variable : str
        Name of the variable with the arguments.
    arguments : list
        Value of the variable.
    managed : dict of str
        `WORKER_OPTIONS` or `SCHEDULER_OPTIONS`.
    """
    for argument in arguments:
        option = str(argument).partition("=")[0]
        if not re.fullmatch(r"[^\s\"'\\$%]+", str(argument)):
            yield (
                f"{variable}: '{argument}' has spaces, or characters with a special meaning for systemd. Give an option and "
                "its value as two items."
            )
        elif option in managed:
            yield f"{variable}: {option} is set by daskops.cluster itself. Use {managed[option]}."
        elif option == "--pid-file":
            yield f"{variable}: {option} does not work with systemd. Remove it."


def open_notebooks(arguments: Iterable[object], variables: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence if the scheduler would serve Jupyter to everyone who can connect to it.

    Parameters
    ----------
    arguments : list
        ``dask_scheduler_arguments``.
    variables : dict
        ``dask_environment_variables``.
    """
    given = [argument for argument in map(str, arguments) if argument in ("--jupyter", "--no-jupyter")]
    if given[-1:] == ["--jupyter"] and not is_token(str(variables.get("JUPYTER_TOKEN", ""))):
        yield (
            "dask_scheduler_arguments has --jupyter, with which every account of the host, and everyone who can connect to "
            "the dashboard, could run code as dask_user. Set JUPYTER_TOKEN in dask_environment_variables to at least 16 "
            "printable ASCII characters without spaces, such as the output of `openssl rand -hex 16`, or remove --jupyter."
        )


def is_token(text: str) -> bool:
    """Return whether a text can be a token: at least 16 characters of printable ASCII without spaces."""
    return re.fullmatch(r"[!-~]{16,}", text) is not None
