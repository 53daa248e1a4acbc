# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan never asks for more than the host has, and a refusal says which variable to change."""

import re
from collections import Counter

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import (
    PlanError,
    odd_ones_out,
    plan_workers,
    port,
    processes_for,
    system_reserve,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import GIB, MIB, parse_size
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = {
    "count": 1,
    "threads": "auto",
    "memory": "auto",
    "memory_reserve": "auto",
    "port": 8800,
    "dashboard_port": 8900,
    "nanny_port": 9000,
    "nanny": False,
}
cores = st.integers(1, 256)
memory = st.integers(256 * MIB, 2048 * GIB)
ports = st.one_of(st.integers(8700, 9100), st.integers(-1, 70000))
sizes = st.one_of(
    st.just("auto"), st.builds("{}{}".format, st.integers(0, 5000), st.sampled_from(["", "MiB", "GB", "GiB"]))
)
settings = st.fixed_dictionaries(
    {
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


def plan(**changes):
    """The plan of a host of 8 cores and 16 GiB."""
    return plan_workers("node1", 8, 16 * GIB, {**SETTINGS, **changes})


def check(workers, cores, memory, settings):
    """All that must hold of any plan."""
    reserve = settings["memory_reserve"]
    reserve = system_reserve(memory) if reserve == "auto" else parse_size(reserve)
    assert workers
    assert sum(worker["threads"] for worker in workers) <= cores
    # MemoryMax is what the kernel lets workers have, so it is what must fit.
    assert sum(worker["memory_max"] for worker in workers) <= memory - reserve
    for index, worker in enumerate(workers):
        assert worker["name"] == f"node1-{index + 1}"
        assert worker["unit"] == f"dask-worker@{index + 1}.service"
        assert worker["threads"] >= 1
        assert worker["memory_max"] > worker["memory_limit"] > 1
        for kind in ("port", "dashboard_port"):
            assert worker[kind] == settings[kind] + index
        assert worker["nanny_port"] == (settings["nanny_port"] + index if settings["nanny"] else None)
    used = [worker[kind] for worker in workers for kind in ("port", "dashboard_port", "nanny_port") if worker[kind]]
    assert len(set(used)) == len(used)
    assert all(1024 <= number <= 65535 for number in used)


@given(cores=cores, memory=memory, settings=settings)
def test_any_plan_fits_the_host_and_any_refusal_names_a_variable(cores, memory, settings):
    try:
        workers = plan_workers("node1", cores, memory, settings)
    except PlanError as refusal:
        assert re.search(
            r"\bdask_worker_(count|threads|memory|memory_reserve|port|dashboard_port|nanny_port)\b", str(refusal)
        )
    else:
        check(workers, cores, memory, settings)


# More processes than lie between the ports of the defaults are refused, and so are a hundred cores in a prime number.
few_processes = cores.filter(lambda cores: processes_for(cores) <= 100)


@given(cores=few_processes, memory=st.integers(64 * GIB, 2048 * GIB), count=st.sampled_from([1, "auto"]))
def test_automatic_settings_plan_every_host_of_some_size(cores, memory, count):
    settings = {**SETTINGS, "count": count}
    workers = plan_workers("node1", cores, memory, settings)
    check(workers, cores, memory, settings)
    assert sum(worker["threads"] for worker in workers) == cores  # `auto` counts divide the cores without a rest


def test_a_plain_host_gets_one_worker_with_all_its_cores():
    (worker,) = plan()
    assert worker["threads"] == 8
    # 16 GiB less a tenth for the system; a tenth above the limit is room for what Dask sees too late.
    assert worker["memory_limit"] == int((16 - 1.6) / 1.1 * 1024) * MIB


def test_numbers_may_be_text_as_in_an_ini_inventory():
    assert plan(count="2", threads="4", port="8800", memory="4GiB") == plan(count=2, threads=4, memory=4 * GIB)


@given(cores)
def test_automatic_processes_divide_the_cores_and_are_no_fewer_than_threads(cores):
    count = processes_for(cores)
    assert cores % count == 0
    assert count >= cores // count


@given(memory)
def test_the_system_keeps_a_tenth_within_bounds(memory):
    assert 256 * MIB <= system_reserve(memory) <= 4 * GIB


@pytest.mark.parametrize(
    "changes, variable, remedy",
    [
        ({"count": 0}, "dask_worker_count", "give a whole number, 1 or more, or 'auto'"),
        ({"count": "some"}, "dask_worker_count", "give a whole number"),
        ({"count": True}, "dask_worker_count", "give a whole number"),
        ({"threads": 1.5}, "dask_worker_threads", "give a whole number"),
        ({"threads": 9}, "dask_worker_threads", "set dask_worker_threads to 'auto'"),
        ({"count": 3, "threads": 3}, "dask_worker_count", "Lower dask_worker_count"),
        ({"count": 9}, "dask_worker_count", "Lower dask_worker_count"),
        ({"memory": "lots"}, "dask_worker_memory", "write it like 4GiB or 500MB, or 'auto'"),
        ({"memory": "16GiB"}, "dask_worker_memory", "Lower dask_worker_memory to 13405MiB or less"),
        ({"memory": "63MiB"}, "dask_worker_memory", "at least 64MiB"),
        ({"memory": 0.5}, "dask_worker_memory", "write it like 4GiB"),
        ({"memory_reserve": "none"}, "dask_worker_memory_reserve", "write it like 4GiB"),
        (
            {"memory_reserve": "16GiB"},
            "dask_worker_memory_reserve",
            "Lower dask_worker_count or dask_worker_memory_reserve",
        ),
        ({"port": 80}, "dask_worker_port", "ports below 1024 need root"),
        ({"port": 65536}, "dask_worker_port", "1 to 65535"),
        ({"port": "auto"}, "dask_worker_port", "give a whole number"),
        ({"port": 65535, "count": 2}, "dask_worker_port", "Lower it"),
        ({"port": 8899, "count": 2}, "dask_worker_dashboard_port", "Set them at least 2 apart"),
        ({"port": 8999, "count": 2, "nanny": True}, "dask_worker_nanny_port", "Set them at least 2 apart"),
    ],
)
def test_each_refusal_names_the_variable_and_the_remedy(changes, variable, remedy):
    with pytest.raises(PlanError) as refusal:
        plan(**changes)
    assert re.search(rf"\b{variable}\b", str(refusal.value))
    assert remedy in str(refusal.value)


def test_the_memory_that_a_refusal_offers_is_accepted():
    for count in (1, 2, 3, 7):
        with pytest.raises(PlanError) as refusal:
            plan(count=count, memory="100GiB")
        offered = re.search(r"to (\S+) or less", str(refusal.value)).group(1)
        assert plan(count=count, memory=offered)


def test_a_nannys_port_is_free_for_others_where_there_is_none():
    assert plan(nanny_port=8800, nanny=False)
    with pytest.raises(PlanError):
        plan(nanny_port=8800, nanny=True)


@given(st.integers(1024, 65535))
def test_ports_are_numbers_or_their_text(number):
    assert port(number, "dask_scheduler_port") == port(str(number), "dask_scheduler_port") == number


def test_odd_ones_out_are_those_that_differ_from_most():
    values = {"a": "3.11", "b": "3.12", "c": "3.11", "d": "3.9"}
    assert odd_ones_out(values) == ("3.11", {"b": "3.12", "d": "3.9"})


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 3)))
def test_odd_ones_out_are_as_few_as_can_be(values):
    common, odd = odd_ones_out(values)
    assert len(odd) == len(values) - max(Counter(values.values()).values(), default=0)
    assert common not in odd.values()
