# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the workers of a host: their processes, threads, memory, CPUs, GPUs and ports. Pure functions.

A host's workers belong to pools. Settings that a pool does not have come from the host.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import ranges
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import (
    GIB,
    MIB,
    format_size,
    parse_share,
    parse_size,
)

# systemd kills a worker at MemoryMax. Dask spills and pauses at its own limit, which must be lower, because Dask measures
# the memory only every 100 ms. MemoryMax is larger by this factor.
HEADROOM = 1.1

# Memory of an idle worker, in bytes.
SMALLEST_WORKER = 64 * MIB

# Smallest memory of a process for pure Python, in bytes. The modules that its tasks import must fit in.
SMALLEST_PYTHON = 512 * MIB

# Memory of an idle scheduler whose dashboard is open, in bytes.
SMALLEST_SCHEDULER = 256 * MIB

# Threads per CPU in a pool of profile `io`. Its threads mostly wait for the network or a disk.
IO_THREADS = 4
# Largest number of threads of one process in such a pool, because threads share the interpreter's lock.
IO_PROCESS = 32

# Largest number of a pool's workers and of a worker's threads, and of a pool's GPUs.
MOST_THREADS, MOST_GPUS = 100_000, 1024

PORTS = ("port", "dashboard_port", "nanny_port")

# Distance between the default first ports of two kinds.
BLOCK = 100


class PlanError(ValueError):
    """A setting is invalid or does not fit the host. The message has the variable and the remedy."""


def where(pool: str, setting: str) -> str:
    """Return the name of the variable with a setting of a pool."""
    return f"dask_worker_pools.{pool}.{setting}" if pool else f"dask_worker_{setting}"


def _number(
    value: object, variable: str, automatic: int | None = None, smallest: int = 1, largest: int | None = None
) -> int:
    """Return the whole number in ``value``; for ``auto``, return ``automatic`` unless it is None."""
    if automatic is not None and _is_auto(value):
        return automatic
    try:
        number = int(str(value))
    except ValueError:
        number = smallest - 1
    if number < smallest or (largest is not None and number > largest):
        bound = f"{smallest} or more" if largest is None else f"{smallest} to {largest}"
        auto = "" if automatic is None else ", or 'auto'"
        raise PlanError(f"{variable} is '{value}'. Give a whole number, {bound}{auto}.")
    return number


def _is_auto(value: object) -> bool:
    return str(value).strip().lower() == "auto"


def _size(value: Any, variable: str, automatic: int) -> int:
    """Return the bytes in ``value``, or ``automatic`` for ``auto``."""
    if _is_auto(value):
        return automatic
    try:
        return parse_size(value, zero=True)
    except ValueError as error:
        raise PlanError(f"{variable}: {error}, or 'auto'.") from None


def scheduler_memory(value: object, host: str, memory: int) -> int:
    """Return the bytes in ``dask_scheduler_memory``, the MemoryMax of the scheduler's unit; 0 for no limit.

    Parameters
    ----------
    value : object
        Value of the variable.
    host : str
        Name of the scheduler's host.
    memory : int
        Memory of that host, in bytes.

    Raises
    ------
    PlanError
        If ``value`` is not a size, or is too small for a scheduler, or more than the host has.
    """
    if not str(value).strip():
        return 0
    try:
        size = parse_size(str(value))
    except ValueError as error:
        raise PlanError(f"dask_scheduler_memory: {error}, or leave it empty for no limit.") from None
    if size < SMALLEST_SCHEDULER:
        raise PlanError(
            f"dask_scheduler_memory is '{value}', which is {format_size(size)}, but even an idle scheduler needs up to "
            f"{SMALLEST_SCHEDULER // MIB}MiB. Give more, with a unit, like 8GiB."
        )
    if size > memory:
        raise PlanError(
            f"dask_scheduler_memory is '{value}', but {host} has {format_size(memory)}. Lower it, or leave it empty for no "
            "limit."
        )
    return size


def port(value: object, variable: str, lowest: int = 1024) -> int:
    """Return the port number in ``value``, from ``lowest`` to 65535. Unprivileged services need 1024 or more.

    Raises
    ------
    PlanError
        If ``value`` is not a port number in this range.
    """
    number = _number(value, variable, largest=65535)
    if number < lowest:
        raise PlanError(f"{variable} is {number}. Only root can use ports below 1024. Give a port from 1024 to 65535.")
    return number


def parse_cpus(text: object) -> set[int]:
    """Return the numbers in a list of CPUs in the format of Linux, such as ``0-3,8``.

    Raises
    ------
    ValueError
        If the text has another format.
    """
    numbers: set[int] = set()
    for part in str(text).split(","):
        # Linux supports 8192 CPUs, whose numbers have up to four digits.
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not match:
            raise ValueError(f"'{text}' is not a list of CPUs. Write it like 0-3,8")
        first, last = match.groups()
        numbers.update(range(int(first), int(last or first) + 1))
    if not numbers:
        raise ValueError(f"'{text}' is not a list of CPUs. Write it like 0-3,8")
    return numbers


def system_reserve(memory: float) -> int:
    """Return the bytes to reserve for the system: a tenth of ``memory`` bytes, at least 256 MiB, at most 4 GiB."""
    return int(min(max(memory / 10, 256 * MIB), 4 * GIB))


def processes_for(cores: int) -> int:
    """Return the number of processes of profile ``mixed``: about the square root of ``cores``, as in Dask's LocalCluster."""
    if cores <= 4:
        return cores
    return min(count for count in range(1, cores + 1) if cores % count == 0 and count >= math.sqrt(cores))


def processes_and_threads(profile: str, cores: int, nodes: int, memory: float, each: int = 0) -> tuple[int, int]:
    """Return the number of processes and threads of a profile on its share of a host.

    Parameters
    ----------
    profile : str
        ``numeric``, ``python``, ``mixed`` or ``io``.
    cores : int
        Number of CPUs of the share. For ``numeric`` without hyperthreads, number of physical cores.
    nodes : int
        Number of NUMA nodes of these CPUs.
    memory : float
        Memory of the share, in bytes.
    each : int, optional
        Memory of each process, in bytes. 0 if the user does not set it.

    Returns
    -------
    tuple of (int, int)
        Number of processes, and number of threads of each process.
    """
    if profile == "numeric":  # tasks release the interpreter's lock, so threads can share data
        count = nodes if nodes <= cores else 1
    elif profile == "python":  # tasks hold the interpreter's lock, so each needs its own process
        count = max(1, min(cores, int(memory / HEADROOM // (each or SMALLEST_PYTHON))))
        return count, 1
    elif profile == "mixed":
        count = processes_for(cores)
    else:
        count = math.ceil(cores * IO_THREADS / IO_PROCESS)
        return count, cores * IO_THREADS // count
    return count, max(1, cores // count)


def usable_cpus(machine: Mapping[str, Any]) -> int:
    """Return the number of CPUs that workers may use: the machine's CPUs, or its quota of CPU time if that is lower."""
    return min(len(machine["cpus"]), machine["cpu_limit"] or len(machine["cpus"]))


def shown_cpus(machine: Mapping[str, Any]) -> str:
    """Return the number of CPUs that workers may use as text, with the reason if the machine has more."""
    usable, everything = usable_cpus(machine), len(machine["cpus"])
    return str(usable) if usable == everything else f"{usable} (of {everything}, by a quota of its control group)"


def physical_cores(machine: Mapping[str, Any], cpus: Iterable[int]) -> int:
    """Return the number of physical cores to which CPUs belong."""
    known = set(cpus)
    return sum(1 for core in machine["cores"] if not known.isdisjoint(core))


class Pool:
    """A pool of equal workers on a host.

    Parameters are ``host`` and ``machine`` as in `plan_workers`, the name and the settings of the pool, and ``memory``, the
    memory that workers may use, in bytes.
    """

    def __init__(
        self, host: str, machine: Mapping[str, Any], name: str, settings: Mapping[str, Any], memory: float
    ) -> None:
        self.host, self.machine, self.name, self.settings = host, machine, name, settings
        self.profile = settings["profile"]
        self.pinned = self._pinned()
        self.gpus = self._gpus()
        count = _number(settings["count"], self.where("count"), automatic=0, largest=MOST_THREADS)
        threads = _number(settings["threads"], self.where("threads"), automatic=0, largest=MOST_THREADS)
        if self.profile == "gpu":
            if count > len(self.gpus):
                raise PlanError(
                    f"{self.where('count')} is {count}, but the pool has one worker for each of {len(self.gpus)} GPU(s). "
                    "Lower it, or set it to 'auto'."
                )
            count, threads = count or len(self.gpus), threads or 1
        self.count, self.threads = count, threads  # 0 until the share is known
        self.given_memory = self._given_memory(memory)
        self.memory_limit = 0
        # The pool's share of the CPUs. Its share of the memory is proportional.
        self.cores = self.cost() if self.count and self.threads else len(self.pinned or ())

    def where(self, key: str) -> str:
        """Return the name of the variable with a setting of this pool."""
        return where(self.name, key)

    def __str__(self) -> str:
        what = f"{self.count} worker(s) of {self.threads} thread(s)"
        return f"{what} ({self.name})" if self.name else what

    def _pinned(self) -> set[int] | None:
        """Return the CPUs to which the pool's workers are restricted; None for all CPUs."""
        cpus, node = str(self.settings["cpus"]).strip(), str(self.settings["numa_node"]).strip()
        if cpus and node:
            raise PlanError(f"{self.where('cpus')} and {self.where('numa_node')} are both set. Keep one of the two.")
        if node and not _is_auto(node):
            known = {str(one["id"]): one for one in self.machine["nodes"]}
            if node not in known:
                raise PlanError(
                    f"{self.where('numa_node')} is '{node}', but {self.host} has {', '.join(known) or 'none'}. Give one of "
                    "these, or 'auto'."
                )
            return set(known[node]["cpus"])
        if not cpus:
            return None
        try:
            numbers = parse_cpus(cpus)
        except ValueError as error:
            raise PlanError(f"{self.where('cpus')}: {error}.") from None
        missing = numbers - set(self.machine["cpus"])
        if missing:
            raise PlanError(
                f"{self.where('cpus')} is '{cpus}', but {self.host} has {ranges(self.machine['cpus'])}. Remove "
                f"{ranges(missing)}."
            )
        return numbers

    def _given_memory(self, memory: float) -> int:
        """Return the memory limit of a worker in bytes if it is a size or a share of ``memory``; 0 for ``auto``."""
        value, variable = self.settings["memory"], self.where("memory")
        if _is_auto(value):
            return 0
        try:
            share = parse_share(value)
            # Divide by the headroom, because each unit's MemoryMax counts: all shares together are at most 1.
            size = int(share * memory / HEADROOM) // MIB * MIB if share else parse_size(value)
        except ValueError as error:
            raise PlanError(f"{variable}: {error}, or a share like 75%, or 'auto'.") from None
        if size < SMALLEST_WORKER:
            raise PlanError(
                f"{variable} is '{value}', which is {format_size(size)}, but even an idle worker needs about 64MiB. Give "
                "more, as a size with a unit, like 4GiB, or as a share, like 75%."
            )
        return size

    def _gpus(self) -> list[dict[str, Any]]:
        """Return the GPUs of a pool of profile ``gpu``, with their properties from `host_info` if it found them."""
        if self.profile != "gpu":
            return []
        found, wanted = self.machine["gpus"], self.settings["gpus"]
        if _is_auto(wanted):
            if not found:
                raise PlanError(
                    f"{self.where('gpus')} is 'auto', but {self.host} shows no GPU, because no driver is loaded. Install "
                    "the driver, or give the number of GPUs or a list of their names in CUDA_VISIBLE_DEVICES."
                )
            return found
        if not isinstance(wanted, list):
            wanted = list(range(_number(wanted, self.where("gpus"), automatic=0, largest=MOST_GPUS)))
        wanted = [str(one) for one in wanted]
        known = {name: gpu for gpu in found for name in (str(gpu["index"]), gpu["uuid"])}
        unknown = [
            one
            for one in wanted
            if not re.fullmatch(r"[\w-]+", one) or (found and one not in known and not one.startswith("MIG-"))
        ]
        if unknown or not wanted:
            raise PlanError(
                f"{self.where('gpus')} names {', '.join(unknown) or 'no GPU'}, but {self.host} has "
                f"{', '.join(str(gpu['index']) for gpu in found) or 'none that it shows'}. Correct it, or set it to 'auto'."
            )
        return [{"index": one, "node": None, **known.get(one, {})} for one in wanted]

    def cost(self) -> int:
        """Return the number of CPUs that the pool's workers use."""
        threads = self.count * self.threads
        return math.ceil(threads / IO_THREADS) if self.profile == "io" else threads

    def follows(self) -> bool:
        """Return whether the pool gets the CPUs that other pools leave."""
        return not (self.count and self.threads) and self.pinned is None

    def _countable(self, number: int, cpus: Collection[int]) -> int:
        """Return the number of threads for ``number`` of ``cpus``: without hyperthreads, one for each physical core."""
        # The hyperthreads of a core share its arithmetic units, so a second thread that computes with arrays gains little.
        if self.profile != "numeric" or self.settings["hyperthreads"] or not cpus:
            return number
        limit = self.machine["cpu_limit"] or len(cpus)
        cores = min(physical_cores(self.machine, cpus), limit)
        return max(1, number * cores // min(len(cpus), limit)) if number > 0 else number

    def take(self, cores: int, memory: float, busy: Mapping[int, int] | None = None) -> None:
        """Set the processes and threads of the pool from its share of CPUs and memory (bytes).

        ``busy`` has the number of CPUs to which other workers are restricted, by NUMA node.
        """
        self.cores = cores
        cores = self._countable(cores, self.machine["cpus"] if self.pinned is None else self.pinned)
        nodes = [one for one in self.machine["nodes"] if self.pinned is None or self.pinned & set(one["cpus"])]
        count, threads = processes_and_threads(self.profile, cores, len(nodes) or 1, memory, self.given_memory)
        if self.threads and not self.count and self.profile != "numeric":
            count = max(1, cores * (IO_THREADS if self.profile == "io" else 1) // self.threads)
        if self.count and not self.threads:
            threads = max(1, cores * (IO_THREADS if self.profile == "io" else 1) // self.count)
        if not self.threads and _is_auto(self.settings["numa_node"]):
            # The NUMA node with the fewest free CPUs limits the threads of all workers.
            count = self.count or count
            for index, one in enumerate(nodes):
                here = len(range(index, count, len(nodes)))
                free = len(one["cpus"]) - (busy or {}).get(one["id"], 0)
                room = self._countable(free, one["cpus"]) // max(1, here)
                threads = max(1, min(threads, room)) if here else threads
        self.count, self.threads = self.count or count, self.threads or threads

    def places(self) -> Iterator[tuple[int | None, set[int] | None, str]]:
        """Yield the NUMA node (None for any), the CPUs (None for all) and the GPU (may be empty) of each worker."""
        nodes = {one["id"]: set(one["cpus"]) for one in self.machine["nodes"]}
        for index in range(self.count):
            gpu = self.gpus[index] if self.gpus else None
            node = None
            if _is_auto(self.settings["numa_node"]):
                node = sorted(nodes)[index % len(nodes)] if len(nodes) > 1 else None
            elif str(self.settings["numa_node"]).strip():
                node = int(self.settings["numa_node"])
            elif gpu and self.pinned is None:
                node = gpu["node"] if gpu["node"] in nodes and len(nodes) > 1 else None
            yield node, self.pinned if node is None else nodes[node], str(gpu["index"]) if gpu else ""


def _share_cores(host: str, machine: Mapping[str, Any], pools: Sequence[Pool], reserve: int, memory: float) -> None:
    """Set the share of the CPUs of each pool without a fixed size."""
    usable = usable_cpus(machine)
    for pool in pools:
        if pool.pinned is not None and not (pool.count and pool.threads):
            mine = min(len(pool.pinned), usable)
            pool.take(mine, memory * mine / usable)
    followers = [pool for pool in pools if pool.follows()]
    fixed = [pool for pool in pools if pool not in followers]
    left = usable - reserve - sum(pool.cores for pool in fixed)
    # Pools of profile `io` need few CPUs, because their threads mostly wait.
    others = [pool for pool in followers if pool.profile != "io"]
    waiting = [pool for pool in followers if pool.profile == "io"] if others else []
    others = others or followers
    shares = {id(pool): 1 for pool in waiting}
    busy = _cores_by_node(machine, fixed)
    sharing = 0  # number of CPUs of the other pools that share the remaining memory
    for pool in fixed:
        memory -= int(pool.given_memory * HEADROOM) * pool.count
        sharing += 0 if pool.given_memory else pool.cores
    for index, pool in enumerate(others):
        shares[id(pool)] = (left - len(waiting) + len(others) - 1 - index) // len(others)
    for pool in followers:
        if shares[id(pool)] < 1 or left < len(followers):
            raise PlanError(
                f"{host} has {shown_cpus(machine)} CPUs, and none is left for {pool.where('count')}. Lower the CPUs of the "
                "other pools or dask_worker_cores_reserve, or set the number of workers and threads of this pool."
            )
        pool.take(shares[id(pool)], max(0, memory) * shares[id(pool)] / (sum(shares.values()) + sharing), busy)


def _cores_by_node(machine: Mapping[str, Any], pools: Sequence[Pool]) -> dict[int, int]:
    """Return the number of CPUs to which workers are restricted, by NUMA node."""
    busy = {}
    for one in machine["nodes"]:
        kept = [
            pool.cost() / pool.count
            for pool in pools
            for _node, cpus, _gpu in pool.places()
            if cpus and cpus <= set(one["cpus"])
        ]
        busy[one["id"]] = math.ceil(sum(kept))
    return busy


def _components(sets: Iterable[frozenset[int]]) -> list[list[frozenset[int]]]:
    """Return groups of sets, in which sets of different groups do not overlap."""
    groups: list[list[frozenset[int]]] = []
    for one in sets:
        touching = [group for group in groups if any(one & other for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([one, *itertools.chain.from_iterable(touching)])
    return groups


def _combinations(group: list[frozenset[int]]) -> Iterator[tuple[frozenset[int], ...]]:
    """Yield all combinations of the sets in a group; for more than 10 sets, only each single set and all sets together."""
    sizes = range(1, len(group) + 1) if len(group) <= 10 else (1, len(group))
    return itertools.chain.from_iterable(itertools.combinations(group, size) for size in sizes)


def _check_gpus(pools: Sequence[Pool]) -> None:
    """Raise `PlanError` if two workers would use one GPU."""
    holders: dict[str, str] = {}
    for pool in pools:
        for gpu in [gpu for _node, _cpus, gpu in pool.places() if gpu]:
            if gpu in holders:
                raise PlanError(
                    f"{holders[gpu]} and {pool.where('gpus')} both name the GPU {gpu}. Remove it from one of them."
                )
            holders[gpu] = pool.where("gpus")


def _check_cores(host: str, machine: Mapping[str, Any], pools: Sequence[Pool], reserve: int) -> None:
    """Raise `PlanError` if the workers need more CPUs than the host has."""
    cores = usable_cpus(machine) - reserve
    if sum(pool.cost() for pool in pools) > cores:
        wanted = " and ".join(map(str, pools))
        less = f" less {reserve} for the system" if reserve else ""
        if len(pools) == 1:
            (pool,) = pools
            remedy = (
                f"Lower {pool.where('count')} or {pool.where('threads')}, or set {pool.where('threads')} to 'auto'."
            )
        else:
            remedy = "Lower count or threads of a pool in dask_worker_pools, or set them to 'auto'."
        total = sum(pool.cost() for pool in pools)
        raise PlanError(f"{wanted} need {total} CPUs, but {host} has {shown_cpus(machine)}{less}. {remedy}")
    # Workers may be restricted to CPUs: each union of such sets must have enough CPUs for the workers inside.
    kept = [
        (pool, frozenset(cpus), pool.cost() / pool.count)
        for pool in pools
        for _node, cpus, _gpu in pool.places()
        if cpus
    ]
    sets = sorted({cpus for _pool, cpus, _cost in kept}, key=sorted)
    for some in itertools.chain.from_iterable(map(_combinations, _components(sets))):
        together: frozenset[int] = frozenset().union(*some)
        inside = [(pool, cost) for pool, cpus, cost in kept if cpus <= together]
        if sum(cost for _pool, cost in inside) > len(together):
            names = sorted({pool.where("cpus" if pool.settings["cpus"] else "numa_node") for pool, _cost in inside})
            raise PlanError(
                f"{host}: workers that {', '.join(names)} {'restricts' if len(names) == 1 else 'restrict'} to the CPUs "
                f"{ranges(together)} need {math.ceil(sum(cost for _pool, cost in inside))} CPUs, but these are only "
                f"{len(together)}. Give more CPUs, or lower count or threads."
            )


def _share_memory(host: str, memory: int, pools: Sequence[Pool], reserve: int, scheduler: int) -> None:
    """Set the memory limit of the workers of each pool."""
    automatic = [pool for pool in pools if not pool.given_memory]
    usable = max(0, memory - reserve - scheduler)
    left = max(0, usable - sum(int(pool.given_memory * HEADROOM) * pool.count for pool in pools))
    others = f"the system's {format_size(reserve)}"
    others += f" and the scheduler's {format_size(scheduler)}" if scheduler else ""
    variables = ["dask_worker_memory_reserve", *(["dask_scheduler_memory"] if scheduler else [])]
    for pool in pools:
        part = left * pool.cores / sum(one.cores for one in automatic) if pool in automatic else 0
        pool.memory_limit = pool.given_memory or int(part / pool.count / HEADROOM) // MIB * MIB
        if pool.memory_limit < SMALLEST_WORKER:
            lower = [pool.where("count"), *variables, *(["the memory of other pools"] if len(pools) > 1 else [])]
            raise PlanError(
                f"{pool} of {format_size(pool.memory_limit)} and {others} do not fit into {host}, which has "
                f"{format_size(memory)}. Lower {' or '.join(lower)}."
            )
    if sum(int(pool.memory_limit * HEADROOM) * pool.count for pool in pools) > usable:
        sizes = " and ".join(f"{pool} of {format_size(pool.memory_limit)}" for pool in pools)
        remedy = "Lower memory or count of a pool in dask_worker_pools, or set memory to 'auto'."
        if len(pools) == 1:
            (pool,) = pools
            largest = int(usable / pool.count / HEADROOM) // MIB
            remedy = (
                f"Lower {pool.where('memory')} to {largest}MiB or less, or {pool.where('count')}, or set it to 'auto'."
                if largest * MIB >= SMALLEST_WORKER
                else f"Lower {' or '.join([pool.where('count'), *variables])}."
            )
        raise PlanError(
            f"{sizes}, a tenth more for each unit's MemoryMax, and {others} do not fit into {host}, which has "
            f"{format_size(memory)}. {remedy}"
        )


def _used_ports(pool: Pool) -> dict[str, int]:
    """Return the first port of each kind of port on which the workers of a pool listen."""
    # The nanny of `dask cuda worker` listens on a random port.
    nanny = pool.settings["nanny"] and pool.settings["command"] == "dask worker"
    return {kind: port(pool.settings[kind], pool.where(kind)) for kind in PORTS if kind != "nanny_port" or nanny}


def _give_ports(pools: Sequence[Pool]) -> list[dict[str, int | None]]:
    """Return the ports of each worker by kind, in order. Pools with the same first port share a sequence.

    All ports of a kind are consecutive if they fit between the first ports of the kinds. The ports of further workers come
    after those of the last kind. With 8800, 8900 and 9000, the 101st worker has 9100, 9200 and 9300.
    """
    try:
        return _ports_in_rows(pools, 65536, 65536)
    except PlanError:
        firsts = sorted({first for pool in pools for first in _used_ports(pool).values()})
        row = min((after - before for before, after in itertools.pairwise(firsts)), default=0)
        if row < BLOCK:
            raise
        return _ports_in_rows(pools, row, firsts[-1] + row - firsts[0])


def _ports_in_rows(pools: Sequence[Pool], row: int, stride: int) -> list[dict[str, int | None]]:
    """Return the ports of `_give_ports` in rows of ``row`` consecutive ports of a kind, with a distance of ``stride``."""
    following: dict[tuple[str, int], int] = {}
    holders: dict[int, str] = {}
    found = []
    for pool in pools:
        used = _used_ports(pool)
        for dummy in range(pool.count):
            mine: dict[str, int | None] = dict.fromkeys(PORTS)
            for kind, first in used.items():
                index = following.get((kind, first), 0)
                following[kind, first] = index + 1
                number = first + index // row * stride + index % row
                if number > 65535:
                    raise PlanError(f"{pool.where(kind)} is {first}, so its workers need ports above 65535. Lower it.")
                if number in holders:
                    raise PlanError(
                        f"{holders[number]} and {pool.where(kind)} overlap: both need port {number}. Set them at least "
                        f"{sum(one.count for one in pools)} apart."
                    )
                holders[number] = pool.where(kind)
                mine[kind] = number
            found.append(mine)
    return found


def plan_workers(host: str, machine: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the planned workers of a host.

    Parameters
    ----------
    host : str
        Name in the inventory. Worker ``N`` has the name ``HOST-N``, or ``HOST-POOL-N`` in a pool with a name.
    machine : dict
        ``cpus`` (numbers of the CPUs on which processes may run), ``cores`` (their physical cores, each a list of CPUs),
        ``cpu_limit`` (number of CPUs whose time processes may use, 0 for no limit), ``memory`` (bytes), NUMA ``nodes`` (each
        with ``id`` and ``cpus``) and ``gpus`` (each with ``index``, ``uuid`` and ``node``).
    settings : dict
        ``memory_reserve``, ``cores_reserve``, ``scheduler_memory`` (empty without a scheduler on this host) and ``pools``.
        The latter has the settings of each pool by name: the values of the variables ``dask_worker_…``, without this prefix.
        The name of a host's only pool may be empty.

    Returns
    -------
    list of dict
        Each worker has ``name``, ``pool``, systemd ``unit``, ``threads``, ``memory_limit`` and ``memory_max`` (bytes),
        ``port``, ``dashboard_port``, ``nanny_port`` (None without a nanny), ``cpus`` (list in the format of Linux, empty for
        all), preferred ``numa_node`` (None for any) and ``gpu`` (empty for none).

    Raises
    ------
    PlanError
        If a value is invalid, or the workers need more than the host has.
    """
    memory = machine["memory"]
    cores_reserve = _number(settings["cores_reserve"], "dask_worker_cores_reserve", smallest=0)
    reserve = _size(settings["memory_reserve"], "dask_worker_memory_reserve", system_reserve(memory))
    scheduler = scheduler_memory(settings["scheduler_memory"], host, memory)
    usable = max(0, memory - reserve - scheduler)
    pools = [Pool(host, machine, name, about, usable) for name, about in settings["pools"].items()]
    _share_cores(host, machine, pools, cores_reserve, usable)
    _check_cores(host, machine, pools, cores_reserve)
    _check_gpus(pools)
    _share_memory(host, memory, pools, reserve, scheduler)
    ports = iter(_give_ports(pools))
    workers = []
    for pool in pools:
        prefix = f"{pool.name}-" if pool.name else ""
        for number, (node, cpus, gpu) in enumerate(pool.places(), start=1):
            workers.append(
                {
                    "name": f"{host}-{prefix}{number}",
                    "pool": pool.name,
                    "unit": f"dask-worker@{prefix}{number}.service",
                    "threads": pool.threads,
                    "memory_limit": pool.memory_limit,
                    "memory_max": int(pool.memory_limit * HEADROOM),
                    **next(ports),
                    "cpus": ranges(cpus) if cpus else "",
                    "numa_node": node,
                    "gpu": gpu,
                }
            )
    return workers


def odd_ones_out(values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the most common value, and the hosts with other values.

    Parameters
    ----------
    values : dict
        Value by host.

    Returns
    -------
    tuple of (object, dict)
        The most common value, and the other values by host.
    """
    if not values:
        return None, {}
    kinds = sorted(set(values.values()), key=str)
    common = max(kinds, key=list(values.values()).count)
    return common, {host: value for host, value in values.items() if value != common}
