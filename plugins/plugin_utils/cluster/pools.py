# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete the settings of a host's pools of workers."""

from __future__ import annotations

from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import (
    to_bool,
    wrong_defaults,
    wrong_pools,
)


def _complete(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one pool with ``hyperthreads`` and ``nanny`` as bools. dask-cuda always has a nanny."""
    return {
        **settings,
        "hyperthreads": bool(to_bool(settings["hyperthreads"])),
        "nanny": settings["command"] == "dask cuda worker" or bool(to_bool(settings["nanny"])),
    }


def worker_pools(pools: Any, overrides: Any, defaults: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the complete settings of each pool by name. A host without pools has one with an empty name.

    Parameters
    ----------
    pools : dict of dict
        ``dask_worker_pools`` of the host.
    overrides : dict of dict
        ``dask_worker_pool_overrides`` of the host.
    defaults : dict
        The settings of the host for all pools.

    Raises
    ------
    ValueError
        If a setting has an invalid value. The message has a line for each problem.
    """
    found = [*wrong_pools(pools, overrides), *wrong_defaults(defaults)]
    if found:
        raise ValueError("\n".join(map(str, found)))
    if not pools:
        return {"": _complete(defaults)}
    return {name: _complete({**defaults, **about, **overrides.get(name, {})}) for name, about in pools.items()}
