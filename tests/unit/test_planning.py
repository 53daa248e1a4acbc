# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of a host's workers, which fit the host, and errors, which name the variable to change."""

import re
from collections import Counter

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import (
    HEADROOM,
    PlanError,
    odd_ones_out,
    parse_cpus,
    plan_workers,
    port,
    processes_for,
    scheduler_memory,
    system_reserve,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import ranges
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB, MIB, parse_size
from hypothesis import given
from hypothesis import strategies as st
from worker_plans import POOL, RESERVES, machine, plan_pools

cores = st.integers(1, 256)
memory = st.integers(256 * MIB, 2048 * GIB)
ports = st.one_of(st.integers(8700, 9100), st.integers(-1, 70000))
sizes = st.one_of(
    st.just("auto"),
    st.builds("{}%".format, st.integers(0, 101)),
    st.floats(0, 1),
    st.builds("{}{}".format, st.integers(0, 5000), st.sampled_from(["", "MiB", "GB", "GiB"])),
)
settings = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(["numeric", "python", "mixed", "io"]),
        "count": st.one_of(st.just("auto"), st.integers(-1, 64), st.integers(1, 64).map(str)),
        "threads": st.one_of(st.just("auto"), st.integers(-1, 64), st.just("many")),
        "memory": sizes,
        "memory_reserve": sizes,
        "port": ports,
        "dashboard_port": ports,
        "nanny_port": ports,
        "nanny": st.booleans(),
    }
)


def plan(on=None, **changes):
    """Return the plan of a host without pools."""
    reserves = {**RESERVES, **{name: changes.pop(name) for name in RESERVES if name in changes}}
    return plan_workers("node1", on or machine(), {**reserves, "pools": {"": {**POOL, **changes}}})


def sizes_of(workers):
    """Return the number of workers and the threads of each."""
    (threads,) = {worker["threads"] for worker in workers}
    return len(workers), threads


def check(workers, cores, memory, settings):
    """Assert the invariants of a plan."""
    reserve = settings["memory_reserve"]
    reserve = system_reserve(memory) if reserve == "auto" else parse_size(reserve, zero=True)
    assert workers
    threads = sum(worker["threads"] for worker in workers)
    assert threads <= (4 * cores if settings["profile"] == "io" else cores)
    # The kernel enforces MemoryMax, so the sum of these limits must fit.
    assert sum(worker["memory_max"] for worker in workers) <= memory - reserve
    # Ports are consecutive, unless they would overlap those of another kind.
    consecutive = len(workers) <= abs(settings["port"] - settings["dashboard_port"])
    for index, worker in enumerate(workers):
        assert worker["name"] == f"node1-{index + 1}"
        assert worker["unit"] == f"dask-worker@{index + 1}.service"
        assert worker["threads"] >= 1
        assert worker["memory_max"] > worker["memory_limit"] > 1
        if consecutive and not settings["nanny"]:
            assert all(worker[kind] == settings[kind] + index for kind in ("port", "dashboard_port"))
        assert (worker["nanny_port"] is not None) is settings["nanny"]
    used = [worker[kind] for worker in workers for kind in ("port", "dashboard_port", "nanny_port") if worker[kind]]
    assert len(set(used)) == len(used)
    assert all(1024 <= number <= 65535 for number in used)


@given(cores=cores, memory=memory, settings=settings)
def test_every_plan_fits_the_host_and_every_error_names_a_variable(cores, memory, settings):
    try:
        workers = plan(machine(cores, memory), **settings)
    except PlanError as error:
        assert re.search(
            r"\bdask_worker_(count|threads|memory|memory_reserve|port|dashboard_port|nanny_port)\b", str(error)
        )
    else:
        check(workers, cores, memory, settings)


# The default port ranges leave room for 100 processes of each kind.
few_processes = cores.filter(lambda cores: processes_for(cores) <= 100)


@given(cores=few_processes, memory=st.integers(64 * GIB, 2048 * GIB), profile=st.sampled_from(["numeric", "mixed"]))
def test_automatic_settings_use_all_cores(cores, memory, profile):
    workers = plan(machine(cores, memory), profile=profile)
    check(workers, cores, memory, {**POOL, **RESERVES, "profile": profile})
    assert (
        sum(worker["threads"] for worker in workers) == cores
    )  # automatic counts divide the cores without a remainder


def test_default_is_one_worker_with_all_cores():
    (worker,) = plan()
    assert worker["threads"] == 8
    # 16 GiB less a tenth for the system. MemoryMax is a tenth above the limit, because Dask measures memory with a delay.
    assert worker["memory_limit"] == int((16 - 1.6) / 1.1 * 1024) * MIB


def test_numbers_may_be_text():
    assert plan(count="2", threads="4", port="8800", memory="4GiB") == plan(count=2, threads=4, memory=4 * GIB)


@given(cores)
def test_automatic_processes_divide_the_cores_and_are_no_fewer_than_threads(cores):
    count = processes_for(cores)
    assert cores % count == 0
    assert count >= cores // count


@given(memory)
def test_system_reserve_is_within_bounds(memory):
    assert 256 * MIB <= system_reserve(memory) <= 4 * GIB


@pytest.mark.parametrize(
    "changes, variable, remedy",
    [
        ({"count": 0}, "dask_worker_count", "Give a whole number, 1 to 100000, or 'auto'"),
        ({"count": "some"}, "dask_worker_count", "Give a whole number"),
        ({"count": True}, "dask_worker_count", "Give a whole number"),
        ({"threads": 1.5}, "dask_worker_threads", "Give a whole number"),
        ({"threads": 9}, "dask_worker_threads", "set dask_worker_threads to 'auto'"),
        (
            {"threads": 8, "cores_reserve": 1},
            "dask_worker_threads",
            "need 8 CPUs, but node1 has 8 less 1 for the system",
        ),
        ({"cores_reserve": 8}, "dask_worker_cores_reserve", "none is left"),
        ({"cores_reserve": "-1"}, "dask_worker_cores_reserve", "Give a whole number, 0 or more"),
        ({"profile": "io", "count": 2, "threads": 17}, "dask_worker_threads", "need 9 CPUs"),
        ({"cpus": "0-3", "threads": 5}, "dask_worker_cpus", "need 5 CPUs, but these are only 4"),
        ({"cpus": "6-9"}, "dask_worker_cpus", "but node1 has 0-7. Remove 8-9."),
        ({"cpus": "one"}, "dask_worker_cpus", "Write it like 0-3,8"),
        ({"cpus": "3-1"}, "dask_worker_cpus", "Write it like 0-3,8"),
        ({"cpus": "0-999999999"}, "dask_worker_cpus", "'0-999999999' is not a list of CPUs"),
        ({"cpus": "0," + "9" * 5000}, "dask_worker_cpus", "is not a list of CPUs"),
        ({"cpus": "0", "numa_node": 0}, "dask_worker_numa_node", "Keep one of the two"),
        ({"numa_node": 1}, "dask_worker_numa_node", "node1 has 0. Give one of these, or 'auto'"),
        (
            {"profile": "gpu"},
            "dask_worker_gpus",
            "shows no GPU, because no driver is loaded. Install the driver, or give",
        ),
        ({"profile": "gpu", "gpus": "all"}, "dask_worker_gpus", "Give a whole number"),
        ({"profile": "gpu", "gpus": 10**9}, "dask_worker_gpus", "Give a whole number, 1 to 1024, or 'auto'"),
        ({"profile": "gpu", "gpus": []}, "dask_worker_gpus", "names no GPU"),
        ({"profile": "gpu", "gpus": 2, "count": 3}, "dask_worker_count", "one worker for each of 2 GPU(s)"),
        ({"count": 3, "threads": 3}, "dask_worker_count", "Lower dask_worker_count"),
        ({"count": 9}, "dask_worker_count", "Lower dask_worker_count"),
        ({"memory": "lots"}, "dask_worker_memory", "Write it like 4GiB or 500MB, or a share like 75%, or 'auto'"),
        ({"memory": "16GiB"}, "dask_worker_memory", "Lower dask_worker_memory to 13405MiB or less"),
        ({"memory": "9" * 400}, "dask_worker_memory", "is not a size. Write it like 4GiB"),
        ({"memory_reserve": "9" * 400}, "dask_worker_memory_reserve", "is not a size. Write it like 4GiB"),
        ({"count": 10**19}, "dask_worker_count", "Give a whole number, 1 to 100000"),
        ({"profile": "io", "count": 2, "threads": 10**400}, "dask_worker_threads", "Give a whole number, 1 to 100000"),
        ({"memory": "63MiB"}, "dask_worker_memory", "needs about 64MiB. Give more, as a size with a unit"),
        ({"memory": 2}, "dask_worker_memory", "is '2', which is 2 B, but even an idle worker"),
        ({"memory": 1}, "dask_worker_memory", "'1' is not a size. Write it like 4GiB or 500MB, or a share like 75%"),
        ({"memory": "0%"}, "dask_worker_memory", "'0%' is not a share. Write it like 75%, at most 100%"),
        ({"memory": "101 %"}, "dask_worker_memory", "'101 %' is not a share. Write it like 75%, at most 100%"),
        ({"memory": 0.001}, "dask_worker_memory", "is '0.001', which is 13.0 MiB, but even an idle worker"),
        ({"memory": "60%", "count": 2}, "dask_worker_memory", "Lower dask_worker_memory to 6702MiB or less"),
        ({"memory_reserve": "none"}, "dask_worker_memory_reserve", "Write it like 4GiB or 500MB, or 0, or 'auto'."),
        (
            {"memory_reserve": "16GiB"},
            "dask_worker_memory_reserve",
            "Lower dask_worker_count or dask_worker_memory_reserve",
        ),
        ({"port": 80}, "dask_worker_port", "Only root can use ports below 1024"),
        ({"port": 65536}, "dask_worker_port", "1 to 65535"),
        ({"port": "auto"}, "dask_worker_port", "Give a whole number"),
        ({"port": 65535, "count": 2}, "dask_worker_port", "Lower it"),
        ({"port": 8899, "count": 2}, "dask_worker_dashboard_port", "Set them at least 2 apart"),
        ({"port": 8999, "count": 2, "nanny": True}, "dask_worker_nanny_port", "Set them at least 2 apart"),
    ],
)
def test_each_error_names_the_variable_and_the_remedy(changes, variable, remedy):
    with pytest.raises(PlanError) as error:
        plan(**changes)
    assert re.search(rf"\b{variable}\b", str(error.value))
    assert remedy in str(error.value)


@pytest.mark.parametrize(
    "profile, on, size",
    [
        ("numeric", machine(16), (1, 16)),
        ("numeric", machine(16, nodes=2), (2, 8)),
        ("numeric", machine(1, nodes=2), (1, 1)),
        ("python", machine(16), (16, 1)),
        ("python", machine(16, 4 * GIB), (6, 1)),  # 512 MiB for each, and a tenth more for MemoryMax
        ("mixed", machine(16), (4, 4)),
        ("io", machine(4), (1, 16)),
        ("io", machine(16), (2, 32)),
        ("gpu", machine(16, gpus=(0, 0)), (2, 1)),
    ],
)
def test_profile_sets_the_number_of_processes_and_threads(profile, on, size):
    assert sizes_of(plan(on, profile=profile)) == size


def test_profile_python_is_limited_by_memory():
    small = machine(8, 8 * GIB)
    pools = plan_pools(small, given={"count": 1, "threads": 1, "memory": "6GiB"}, python={"profile": "python"})
    assert len(pools["python"]) == 1 and pools["python"][0]["memory_limit"] > 400 * MIB
    assert sizes_of(plan(machine(64, 128 * GIB), profile="python", memory="4GiB")) == (28, 1)
    pools = plan_pools(machine(8, 4 * GIB), given={"count": 1, "threads": 4}, python={"profile": "python"})
    assert sizes_of(pools["python"]) == (3, 1) and pools["python"][0]["memory_limit"] >= 512 * MIB


def test_profile_numeric_uses_one_process_per_allowed_numa_node():
    two = machine(16, nodes=2)
    assert sizes_of(plan(two, numa_node=0)) == (1, 8)
    assert sizes_of(plan(two, cpus="0,2,4,6")) == (1, 4)
    assert sizes_of(plan(two, cpus="0-3")) == (2, 2)


def test_automatic_threads_leave_room_for_other_pools_on_a_node():
    two = machine(16, nodes=2, gpus=(0, 0))
    pools = plan_pools(two, numeric={"numa_node": "auto"}, gpu={"profile": "gpu"})
    assert sizes_of(pools["numeric"]) == (2, 6)
    assert sizes_of(plan(two, numa_node="auto", count=1)) == (1, 8)
    uneven = {**machine(8), "nodes": [{"id": 0, "cpus": [0, 1, 2, 3, 4, 5]}, {"id": 1, "cpus": [6, 7]}]}
    assert sizes_of(plan(uneven, numa_node="auto")) == (2, 2)


def test_host_with_many_numa_nodes_is_planned_quickly():
    assert sizes_of(plan(machine(128, 256 * GIB, nodes=32), numa_node="auto", port=9500)) == (32, 4)


def hyperthreaded(cores=8, nodes=1, limit=0, memory=16 * GIB):
    """Return the facts of a host with two hyperthreads for each core: its CPU ``n`` and its CPU ``n + cores``."""
    return {
        **machine(2 * cores, memory, nodes),
        "cores": [[core, core + cores] for core in range(cores)],
        "cpu_limit": limit,
    }


@pytest.mark.parametrize(
    ("on", "settings", "size"),
    [
        (hyperthreaded(), {}, (1, 8)),
        (hyperthreaded(), {"hyperthreads": True}, (1, 16)),
        (hyperthreaded(nodes=2), {}, (2, 4)),
        (hyperthreaded(nodes=2), {"numa_node": "auto"}, (2, 4)),
        (hyperthreaded(nodes=2), {"numa_node": 1}, (1, 4)),
        (hyperthreaded(), {"count": 4}, (4, 2)),
        (hyperthreaded(), {"cpus": "0-3"}, (1, 4)),  # four cores
        (hyperthreaded(), {"cpus": "0-1,8-9"}, (1, 2)),  # both hyperthreads of two cores
        (hyperthreaded(), {"cores_reserve": 2}, (1, 7)),  # both hyperthreads of one core
        (hyperthreaded(), {"threads": 16, "count": 1}, (1, 16)),  # a number that the user gives
        # Profiles whose tasks wait for each other or for networks use hyperthreads.
        (hyperthreaded(), {"profile": "python"}, (16, 1)),
        (hyperthreaded(), {"profile": "mixed"}, (4, 4)),
        (hyperthreaded(), {"profile": "io"}, (2, 32)),
        # Cores of which only some have hyperthreads.
        ({**machine(6), "cores": [[0, 1], [2, 3], [4], [5]]}, {}, (1, 4)),
        # A quota of CPU time.
        (hyperthreaded(limit=4), {}, (1, 4)),
        (hyperthreaded(limit=12), {}, (1, 8)),
        (hyperthreaded(limit=12), {"hyperthreads": True}, (1, 12)),
        (hyperthreaded(limit=4), {"profile": "python"}, (4, 1)),
        (hyperthreaded(limit=1), {}, (1, 1)),
        (hyperthreaded(limit=3), {"cpus": "0-5"}, (1, 3)),
        # A host that does not know its cores.
        ({**machine(4), "cores": []}, {}, (1, 1)),
    ],
)
def test_profile_numeric_counts_physical_cores(on, settings, size):
    assert sizes_of(plan(on, **settings)) == size


def test_pools_share_hyperthreads():
    pools = plan_pools(hyperthreaded(), numeric={}, python={"profile": "python"})
    # Each gets 8 of 16 hyperthreads: 4 cores, or 8 processes. Both get half of the memory.
    assert {name: sizes_of(workers) for name, workers in pools.items()} == {"numeric": (1, 4), "python": (8, 1)}
    limits = {name: sum(worker["memory_limit"] for worker in workers) for name, workers in pools.items()}
    assert limits["numeric"] == pytest.approx(limits["python"], rel=0.01)


def test_number_that_exceeds_a_quota_is_rejected():
    with pytest.raises(PlanError, match=r"need 5 CPUs, but node1 has 4 \(of 16, by a quota of its control group\)"):
        plan(hyperthreaded(limit=4), threads=5)


@pytest.mark.parametrize("share", ["75%", " 75 % ", 0.75, "0.75", ".75"])
def test_memory_may_be_a_share(share):
    (automatic,) = plan()
    (worker,) = plan(memory=share)
    assert worker["memory_limit"] == pytest.approx(0.75 * automatic["memory_limit"], abs=MIB)
    assert plan(memory="100%")[0]["memory_limit"] == automatic["memory_limit"]


def test_shares_are_of_the_memory_without_other_pools():
    one = {"count": 1, "threads": 1}
    pools = plan_pools(half={**one, "memory": "50%"}, big={**one, "memory": "2GiB"}, rest={})
    usable = 16 * GIB - system_reserve(16 * GIB)
    assert pools["half"][0]["memory_limit"] == pytest.approx(usable / 2 / HEADROOM, abs=MIB)
    assert pools["rest"][0]["memory_max"] == pytest.approx(usable / 2 - 2 * GIB * HEADROOM, abs=2 * MIB)
    # Profile `python` makes as many processes as have this share.
    assert sizes_of(plan(profile="python", memory="25%")) == (4, 1)


def test_workers_beside_a_scheduler_get_the_memory_that_it_leaves():
    reserves = {"scheduler_memory": "4GiB"}
    (worker,) = plan_pools(reserves=reserves, a={})["a"]
    assert worker["memory_max"] == pytest.approx(16 * GIB - system_reserve(16 * GIB) - 4 * GIB, abs=2 * MIB)
    with pytest.raises(PlanError) as error:
        plan_pools(reserves=reserves, a={"count": 1, "memory": "12GiB"})
    assert "the system's 1.6 GiB and the scheduler's 4.0 GiB do not fit into node1" in str(error.value)
    with pytest.raises(PlanError, match="Lower .* dask_worker_memory_reserve or dask_scheduler_memory"):
        plan_pools(reserves={"scheduler_memory": "14.39GiB"}, a={})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lots", "'lots' is not a size. Write it like 4GiB or 500MB, or leave it empty for no limit"),
        ("75%", "'75%' is not a size"),
        ("100MiB", "even an idle scheduler needs up to 256MiB. Give more, with a unit, like 8GiB"),
        (8, "is '8', which is 8 B"),
        ("17GiB", "but s1 has 16.0 GiB. Lower it"),
    ],
)
def test_invalid_memory_of_a_scheduler_is_rejected(value, said):
    with pytest.raises(PlanError, match="^dask_scheduler_memory") as error:
        scheduler_memory(value, "s1", 16 * GIB)
    assert said in str(error.value)


def test_memory_of_a_scheduler_may_be_unlimited():
    assert scheduler_memory("", "s1", GIB) == 0
    assert scheduler_memory("2 GB", "s1", 16 * GIB) == 2_000_000_000


def test_automatic_io_pools_share_a_host():
    pools = plan_pools(a={"profile": "io"}, b={"profile": "io"})
    assert [sizes_of(workers) for workers in pools.values()] == [(1, 16), (1, 16)]


def test_settings_override_the_profile():
    assert sizes_of(plan(profile="python", threads=2)) == (4, 2)
    assert sizes_of(plan(profile="mixed", count=2)) == (2, 4)
    assert sizes_of(plan(profile="numeric", threads=2)) == (1, 2)
    assert sizes_of(plan(profile="io", count=4)) == (4, 8)
    assert sizes_of(plan(profile="io", threads=8)) == (4, 8)
    assert sizes_of(plan(cores_reserve=2)) == (1, 6)


def test_workers_may_get_all_of_the_memory():
    (worker,) = plan(machine(memory=16 * GIB), memory_reserve=0, memory="100%")
    assert 16 * GIB - 2 * MIB < worker["memory_max"] <= 16 * GIB


def test_pools_share_the_remaining_cores_and_memory():
    pools = plan_pools(given={"count": 1, "threads": 2}, one={}, two={"profile": "python"}, waits={"profile": "io"})
    # Of 8 cores, `given` takes 2 and the I/O pool 1. The other two pools share 5.
    assert {name: sizes_of(workers) for name, workers in pools.items()} == {
        "given": (1, 2), "one": (1, 3), "two": (2, 1), "waits": (1, 4),
    }  # fmt: skip
    limits = {name: sum(worker["memory_limit"] for worker in workers) for name, workers in pools.items()}
    assert limits["one"] / limits["given"] == pytest.approx(3 / 2, rel=0.01)
    assert [worker["name"] for worker in pools["two"]] == ["node1-two-1", "node1-two-2"]
    assert [worker["unit"] for worker in pools["two"]] == ["dask-worker@two-1.service", "dask-worker@two-2.service"]


def test_memory_of_a_pool_is_not_shared():
    pools = plan_pools(big={"count": 1, "threads": 1, "memory": "8GiB"}, rest={})
    assert pools["big"][0]["memory_limit"] == 8 * GIB
    assert pools["rest"][0]["memory_limit"] == pytest.approx((16 - 1.6 - 8.8) / 1.1 * GIB, rel=0.01)


def test_ports_of_pools_are_consecutive_by_default():
    pools = plan_pools(a={"count": 2}, b={"count": 1, "nanny": True}, c={"count": 1, "port": 9500})
    assert [worker["port"] for pool in pools.values() for worker in pool] == [8800, 8801, 8802, 9500]
    assert [worker["dashboard_port"] for pool in pools.values() for worker in pool] == [8900, 8901, 8902, 8903]
    assert [worker["nanny_port"] for pool in pools.values() for worker in pool] == [None, None, 9000, None]


@pytest.mark.parametrize("nanny", [False, True])
@pytest.mark.parametrize("count", [1, 100, 101, 128, 256, 1024])
def test_default_ports_suffice_for_any_number_of_workers(count, nanny):
    on = {**machine(count, 2 * GIB * count), "nodes": []}
    pools = {"": {**POOL, "profile": "python", "nanny": nanny}}
    workers = plan_workers("n", on, {**RESERVES, "pools": pools})
    kinds = ["port", "dashboard_port", *(["nanny_port"] if nanny else [])]
    used = [worker[kind] for worker in workers for kind in kinds]
    assert len(used) == len(set(used)) == count * len(kinds)
    # The first 100 workers use the default ranges; further ones use the next free ranges.
    row = [(8800 + index, 8900 + index, 9000 + index if nanny else None) for index in range(min(count, 100))]
    assert [(worker["port"], worker["dashboard_port"], worker["nanny_port"]) for worker in workers[:100]] == row
    if count > 100:
        behind = (9100, 9200, 9300) if nanny else (9000, 9100, None)
        assert (workers[100]["port"], workers[100]["dashboard_port"], workers[100]["nanny_port"]) == behind


def test_default_ports_suffice_for_several_pools():
    on = {**machine(256, 512 * GIB), "nodes": []}
    some = {**POOL, "profile": "python"}
    pools = {"a": some, "b": {**some, "nanny": True}, "c": {**some, "port": 20000}}
    workers = plan_workers("n", on, {**RESERVES, "pools": pools})
    used = [worker[kind] for worker in workers for kind in ("port", "dashboard_port", "nanny_port") if worker[kind]]
    assert len(used) == len(set(used)) > 512


def test_port_ranges_stay_contiguous():
    on = {**machine(120, 240 * GIB), "nodes": []}
    some = {**POOL, "profile": "python", "count": 60, "threads": 1}
    workers = plan_workers("n", on, {**RESERVES, "pools": {"c": {**some, "port": 9500}, "a": some}})
    assert [worker["dashboard_port"] for worker in workers] == list(range(8900, 9020))


@pytest.mark.parametrize(
    "pools, said",
    [
        ({"a": {"threads": 6, "count": 1}, "b": {"threads": 3, "count": 1}}, r"\(a\) and 1 .*\(b\) need 9 CPUs"),
        ({"a": {"threads": 8, "count": 1}, "b": {}}, r"none is left for dask_worker_pools\.b\.count"),
        (
            {"a": {"cpus": "0-3"}, "b": {"cpus": "2-5"}},
            r"dask_worker_pools\.a\.cpus.*b\.cpus restrict to the CPUs 0-5 need 8 CPUs",
        ),
        ({"a": {"memory": "9GiB"}, "b": {"memory": "9GiB"}}, r"Lower memory or count of a pool in dask_worker_pools"),
        ({"a": {"memory": "13.05GiB"}, "b": {}}, r"Lower dask_worker_pools\.b\.count.* the memory of other pools"),
        (
            {"a": {"profile": "gpu", "gpus": 1}, "b": {"profile": "gpu", "gpus": [0]}},
            r"a\.gpus and .*b\.gpus both name the GPU 0",
        ),
        ({"a": {"profile": "gpu", "gpus": [0, 0]}}, r"both name the GPU 0"),
        ({"a": {"profile": "gpu", "gpus": ["0;1"]}}, r"a\.gpus names 0;1"),
        ({"a": {"count": "x"}}, r"dask_worker_pools\.a\.count is 'x'"),
        (
            {"a": {"port": 8898, "count": 3}},
            r"a\.dashboard_port and .*a\.port overlap: both need port 8900. Set them at",
        ),
        ({"a": {"port": 8900}, "b": {}}, r"a\.dashboard_port overlap|a\.port.* overlap"),
    ],
)
def test_pools_that_do_not_fit_are_rejected(pools, said):
    with pytest.raises(PlanError, match=said):
        plan_pools(**pools)


def test_workers_are_bound_to_their_cpus_and_numa_nodes():
    two = machine(8, nodes=2)  # node 0 has the even CPUs, node 1 the odd ones
    assert [worker["cpus"] for worker in plan(two, cpus="0-2,5")] == ["0-2,5", "0-2,5"]
    spread = plan(two, numa_node="auto")
    assert [(worker["numa_node"], worker["cpus"]) for worker in spread] == [(0, "0,2,4,6"), (1, "1,3,5,7")]
    (one,) = plan(two, numa_node=1, count=1)
    assert (one["numa_node"], one["cpus"], one["threads"]) == (1, "1,3,5,7", 4)
    with pytest.raises(PlanError, match="need 8 CPUs, but these are only 4"):
        plan(two, numa_node="auto", count=1, threads=8)
    # With a single NUMA node, workers are not bound.
    (one,) = plan(numa_node="auto")
    assert (one["numa_node"], one["cpus"]) == (None, "")


def test_each_gpu_has_a_worker_on_its_numa_node():
    on = machine(8, nodes=2, gpus=(1, 0, None))
    workers = plan(on, profile="gpu", threads=2)
    assert [(worker["gpu"], worker["numa_node"], worker["threads"]) for worker in workers] == [
        ("0", 1, 2), ("1", 0, 2), ("2", None, 2),
    ]  # fmt: skip
    assert [worker["cpus"] for worker in workers] == ["1,3,5,7", "0,2,4,6", ""]
    assert [worker["gpu"] for worker in plan(on, profile="gpu", gpus=[2, "GPU-0"])] == ["2", "0"]
    assert [worker["gpu"] for worker in plan(on, profile="gpu", gpus=["MIG-7"])] == ["MIG-7"]
    assert [worker["gpu"] for worker in plan(profile="gpu", gpus="2")] == ["0", "1"]  # declared, but not detected
    with pytest.raises(PlanError, match="dask_worker_gpus names 3, but node1 has 0, 1, 2"):
        plan(on, profile="gpu", gpus=4)
    cuda = plan(on, profile="gpu", command="dask cuda worker", nanny=True)
    assert {worker["nanny_port"] for worker in cuda} == {None}  # dask cuda worker chooses the port of each nanny


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists_are_parsed_as_written(cpus):
    assert parse_cpus(ranges(cpus)) == cpus


def test_memory_suggested_by_an_error_is_accepted():
    for count in (1, 2, 3, 7):
        with pytest.raises(PlanError) as error:
            plan(count=count, memory="100GiB")
        offered = re.search(r"to (\S+) or less", str(error.value)).group(1)
        assert plan(count=count, memory=offered)


def test_nanny_port_is_free_without_nannies():
    assert plan(nanny_port=8800, nanny=False)
    with pytest.raises(PlanError):
        plan(nanny_port=8800, nanny=True)


@given(st.integers(1024, 65535))
def test_ports_are_numbers_or_text(number):
    assert port(number, "dask_scheduler_port") == port(str(number), "dask_scheduler_port") == number


def test_odd_ones_out_differ_from_the_most_common_value():
    values = {"a": "3.11", "b": "3.12", "c": "3.11", "d": "3.9"}
    assert odd_ones_out(values) == ("3.11", {"b": "3.12", "d": "3.9"})


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 3)))
def test_odd_ones_out_are_minimal(values):
    common, odd = odd_ones_out(values)
    assert len(odd) == len(values) - max(Counter(values.values()).values(), default=0)
    assert common not in odd.values()
