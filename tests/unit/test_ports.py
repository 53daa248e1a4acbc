# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows about ports, which list each port of the plan once and name the clients of each."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe, ranges, rows
from hypothesis import given
from hypothesis import strategies as st
from worker_plans import worker_ports


def numbers(text):
    """Return the numbers in a text that `ranges` made."""
    parts = [part.split("-") for part in text.split(",") if part]
    return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}


@given(st.sets(st.integers(1, 65535)))
def test_ranges_contain_the_same_numbers(wanted):
    assert numbers(ranges(wanted)) == wanted


def test_ranges_are_minimal():
    assert ranges([8803, 8786, 8801, 8802, 8786]) == "8786,8801-8803"


@given(count=st.integers(1, 64), nanny=st.booleans())
def test_every_port_of_the_plan_is_in_the_table_once(count, nanny):
    ports = worker_ports(count, nanny)
    listed = [numbers(row[1]) for row in rows("w1", 22, ports, "none")]
    assert sum(map(len, listed)) == len(set().union(*listed))
    assert set().union(*listed) == {22} | {port["port"] for port in ports}


def test_nanny_ports_are_listed_only_with_nannies():
    assert len(list(rows("w1", 22, worker_ports(2), "none"))) == 3
    nannies = list(rows("w1", 22, worker_ports(2, nanny=True), "none"))[-1]
    assert nannies[:3] == ("w1", "9000-9001", "dask-worker@1 to 2")


def test_dashboard_behind_a_proxy_is_local():
    behind = describe(8787, "dask_scheduler_dashboard_port", "dask-scheduler.service", local=True)
    assert (behind["connects"], behind["clients"]) == ("the host itself", False)
