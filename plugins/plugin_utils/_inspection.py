# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare the arguments of the module `inspect_host`, and validate its result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import bounds
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import PROXY_SITE, host_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.groups import scheduler_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import pools_of, questions
from ansible_collections.daskops.cluster.plugins.plugin_utils.host_answers import unbelievable


def arguments_for(host: str, values: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the module from a host's variables; raises ValueError if a variable is invalid."""
    address = values["dask_scheduler_address"]
    scheduler_host = host_of(address) if address else values["dask_scheduler_host"]
    # Only worker hosts of the run have pools. `-e dask_worker_pool_overrides=...` may name pools that other hosts lack.
    has_workers = host in task_vars["groups"].get("dask_workers", []) and host in task_vars["ansible_play_hosts_all"]
    client_host = values["dask_client_scheduler_host"] if host == scheduler_of(task_vars["groups"]) else ""
    return questions(values, pools_of(values) if has_workers else {}, scheduler_host, client_host, PROXY_SITE)


def checked(result: dict[str, Any], interfaces: Collection[str], before: float, after: float) -> dict[str, Any]:
    """Return the result of the module with the bounds of the host's clock, or a failed result if a value is invalid.

    Parameters
    ----------
    result : dict
        Result of the module.
    interfaces : collection of str
        The module's argument ``worker_interfaces``.
    before, after : float
        The controller's time in seconds since the epoch, before and after the execution.
    """
    wrong = unbelievable(result)
    if "worker_addresses" not in wrong and set(result["worker_addresses"]) != set(interfaces):
        wrong = [*wrong, "worker_addresses"]
    if wrong:
        return {
            "failed": True,
            "msg": f"This host reported invalid values: {', '.join(wrong)}. Inspect the host before you continue: it "
            "may be compromised. Until then, exclude it with --limit.",
        }
    return {**result, "clock": bounds(before, after, *result["clock"])}
