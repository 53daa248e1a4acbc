# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the settings of a host and of its pools for tests of the cluster model."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings

#: The unnamed pool of a host that does not set `dask_worker_pools`.
POOL = {
    "command": "dask worker",
    "arguments": [],
    "environment_variables": {},
    "lifetime": "",
    "lifetime_stagger": "",
    "nanny": False,
    "scaling": "none",
    "hours": "",
    "minimum": 0,
    "maximum": 10000,
    "resources": {},
    "scratch_directory": "/var/lib/dask/scratch",
}

#: The defaults of all variables, which the roles have.
ROLE_DEFAULTS = complete({})

DEFAULTS: dict[str, Any] = {
    **{name.removeprefix("dask_"): value for name, value in ROLE_DEFAULTS.items()},
    "tls": False,
    "scheduler_address": "tcp://10.0.0.1:8786",
    "pools": {"": POOL},
}


def settings(**changes: Any) -> Settings:
    """Return the default settings with the given fields replaced."""
    return Settings.of({**DEFAULTS, **changes})


def pool(**changes: Any) -> dict[str, Any]:
    """Return a pool of default settings with the given fields replaced."""
    return {**POOL, **changes}
