# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker plan of a host: how many processes, threads, memory and which ports. Pure functions."""

from __future__ import annotations

import math

from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB, MIB, format_size, parse_size

# systemd ends a worker at MemoryMax; Dask spills and pauses below its own limit. This is the room between the two,
# for what Dask's measurement misses between two looks (every 100 ms).
HEADROOM = 1.1


class PlanError(ValueError):
    """A setting that no plan can be made from; the message names the variable and the remedy."""


def _number(value, variable, automatic, largest=None):
    """The whole number in ``value``, or ``automatic``, where there is one, for ``auto``."""
    if automatic is not None and str(value).strip().lower() == "auto":
        return automatic
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1 or (largest is not None and number > largest):
        bound = "1 or more" if largest is None else f"1 to {largest}"
        auto = "" if automatic is None else ", or 'auto'"
        raise PlanError(f"{variable} is '{value}'; give a whole number, {bound}{auto}.")
    return number


def _size(value, variable, automatic):
    """The bytes in ``value``, or ``automatic`` for ``auto``."""
    if str(value).strip().lower() == "auto":
        return automatic
    try:
        return parse_size(value)
    except ValueError as error:
        raise PlanError(f"{variable}: {error}, or 'auto'.") from None


def port(value, variable, lowest=1024):
    """The port number in ``value``: 1024 to 65535, because the services run unprivileged, unless ``lowest`` is lower.

    Raises
    ------
    PlanError
        If it is anything else.
    """
    number = _number(value, variable, None, 65535)
    if number < lowest:
        raise PlanError(f"{variable} is {number}; ports below 1024 need root, which Dask's services do not run as.")
    return number


def system_reserve(memory):
    """Bytes left to the system on a host of ``memory`` bytes: a tenth, at least 256 MiB, at most 4 GiB."""
    return int(min(max(memory / 10, 256 * MIB), 4 * GIB))


def processes_for(cores):
    """Worker processes on ``cores`` cores under ``auto``: about the square root, as Dask's LocalCluster does."""
    if cores <= 4:
        return cores
    return min(count for count in range(1, cores + 1) if cores % count == 0 and count >= math.sqrt(cores))


def plan_workers(host, cores, memory, settings):
    """The workers that a host is to run.

    Parameters
    ----------
    host : str
        Name in the inventory; worker ``N`` is called ``HOST-N``.
    cores : int
        Cores that the host's processes may use.
    memory : int
        Bytes of memory of the host.
    settings : dict
        ``count``, ``threads``, ``memory``, ``memory_reserve`` (a value or ``auto``), ``port``, ``dashboard_port``,
        ``nanny_port`` (the first worker's; the others follow), ``nanny`` (bool).

    Returns
    -------
    list of dict
        By worker: ``name``, systemd ``unit``, ``threads``, ``memory_limit`` and ``memory_max`` (bytes), ``port``,
        ``dashboard_port``, ``nanny_port`` (None without a nanny).

    Raises
    ------
    PlanError
        If a value does not parse, or the plan asks for more than the host has.
    """
    count = _number(settings["count"], "dask_worker_count", processes_for(cores))
    threads = _number(settings["threads"], "dask_worker_threads", max(1, cores // count))
    if count * threads > cores:
        raise PlanError(
            f"{count} worker(s) of {threads} thread(s) want {count * threads} cores, {host} has {cores}. "
            "Lower dask_worker_count or dask_worker_threads, or set dask_worker_threads to 'auto'."
        )

    reserve = _size(settings["memory_reserve"], "dask_worker_memory_reserve", system_reserve(memory))
    share = max(0, memory - reserve) // count
    largest = int(share / HEADROOM) // MIB * MIB
    limit = _size(settings["memory"], "dask_worker_memory", largest)
    if limit > largest or limit < 64 * MIB:
        wanted = f"{count} worker(s) of {format_size(limit)} and the system's {format_size(reserve)}"
        if largest < 64 * MIB:
            remedy = "Lower dask_worker_count or dask_worker_memory_reserve."
        elif limit > largest:
            remedy = (
                f"Lower dask_worker_memory to {largest // MIB}MiB or less, or dask_worker_count, or set it to 'auto'."
            )
        else:
            remedy = "Give dask_worker_memory at least 64MiB; an idle worker alone takes about that."
        raise PlanError(f"{wanted} do not fit {host}, which has {format_size(memory)}. {remedy}")

    first = {kind: port(settings[kind], f"dask_worker_{kind}") for kind in ("port", "dashboard_port", "nanny_port")}
    kinds = [kind for kind in first if kind != "nanny_port" or settings["nanny"]]
    for kind in kinds:
        if first[kind] + count - 1 > 65535:
            raise PlanError(f"dask_worker_{kind} is {first[kind]}: {count} workers need ports up to 65535. Lower it.")
        for other in kinds:
            if kind < other and abs(first[kind] - first[other]) < count:
                raise PlanError(
                    f"dask_worker_{kind} ({first[kind]}) and dask_worker_{other} ({first[other]}) overlap for {count} "
                    f"workers. Set them at least {count} apart."
                )
    return [
        {
            "name": f"{host}-{index + 1}",
            "unit": f"dask-worker@{index + 1}.service",
            "threads": threads,
            "memory_limit": limit,
            "memory_max": int(limit * HEADROOM),
            "port": first["port"] + index,
            "dashboard_port": first["dashboard_port"] + index,
            "nanny_port": first["nanny_port"] + index if settings["nanny"] else None,
        }
        for index in range(count)
    ]


def odd_ones_out(values):
    """The hosts whose value differs from the most common one.

    Parameters
    ----------
    values : dict
        Value by host.

    Returns
    -------
    tuple of (object, dict)
        The most common value and the hosts that have another, with theirs.
    """
    if not values:
        return None, {}
    kinds = sorted(set(values.values()), key=str)
    common = max(kinds, key=list(values.values()).count)
    return common, {host: value for host, value in values.items() if value != common}
