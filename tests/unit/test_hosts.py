# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation errors of several hosts together."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import hosts as together
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import same_machine
from sentences import only, says


def test_two_hosts_on_one_machine_are_rejected():
    hosts = {
        "w1": {"machine": "a"},
        "s1": {"machine": "b"},
        "w2": {"machine": "a"},
        "w3": {"machine": ""},
        "w4": {"machine": ""},
    }
    assert list(together.one_machine_twice(hosts)) == [str(same_machine(["w1", "w2"]))]


def test_unreachable_external_scheduler_is_rejected():
    address = "tls://10.0.0.5:8786"
    assert list(together.no_scheduler_to_join({"w1": {"refused": ""}}, address)) == []
    reasons = {"w1": "Connection refused", "w2": "timed out", "w3": "Connection refused", "w4": ""}
    assert list(together.no_scheduler_to_join({host: {"refused": why} for host, why in reasons.items()}, address)) == [
        f"w1, w3 cannot connect to dask_scheduler_address ({address}): Connection refused. Start that scheduler, correct "
        "the address, or open its port.",
        f"w2 cannot connect to dask_scheduler_address ({address}): timed out. Start that scheduler, correct the address, or "
        "open its port.",
    ]


def importing(**paths):
    """Return variables of hosts: the scheduler ``s`` and workers import from these directories."""
    return {
        host: {"dask_scheduler_import_paths" if host == "s" else "dask_worker_import_paths": found}
        for host, found in paths.items()
    }


def test_import_paths_that_the_scheduler_lacks_are_reported():
    workers = ["w1", "w2", "elsewhere"]
    assert list(together.not_importable(importing(s=["/a"], w1=["/a"], w2=[]), workers, "s")) == []
    sentence = only(together.not_importable(importing(s=["/a"], w1=["/a", "/b"], w2=["/b"]), workers, "s"))
    assert says(sentence, "w1, w2: dask_worker_import_paths has /b, but dask_scheduler_import_paths does not", "Add it")
    # In a limited run, and with a scheduler of another system, the scheduler's settings are not known.
    assert list(together.not_importable(importing(w1=["/b"]), workers, "s")) == []
    assert list(together.not_importable(importing(w1=["/b"]), workers, "")) == []


def test_equal_worker_names_on_two_hosts_are_rejected():
    plans = {"a": [{"name": "a-gpu-1"}], "a-gpu": [{"name": "a-gpu-1"}], "b": [{"name": "b-1"}]}
    sentence = only(together.names_twice(plans))
    assert says(sentence, "a and a-gpu would both have a worker a-gpu-1", "Rename the host or the pool")


@pytest.mark.parametrize(
    ("route", "listens", "rejected"),
    [
        (["10.0.0.2", "10.0.0.1"], "10.0.0.1", False),
        (["fd00::2", "fd00::1"], "fd00::1", False),
        (["fd00::2", "fd00::1"], "::", False),
        (["fd00::2", "fd00::1"], "10.0.0.1", True),
        (["fd00::2", "fd00::1"], "0.0.0.0", True),
        (["10.0.0.2", "10.0.0.1"], "fd00::1", True),
        ([], "10.0.0.1", False),
        (["fd00::2", "fd00::1"], "", False),
    ],
)
def test_host_that_reaches_the_scheduler_over_another_protocol_is_rejected(route, listens, rejected):
    found = list(together.other_family({"w1": {"route": route}}, {"address": listens} if listens else {}))
    assert bool(found) == rejected
    if rejected:
        assert says(only(found), f"w1 reaches the scheduler's host at {route[1]}", f"listen at {listens} only")
        assert says(only(found), "Set dask_scheduler_host to an address", "all over IPv6")


def behind(contact, port, number=2):
    """Return workers that others reach at a name, from a first port on."""
    return [{"contact_host": contact, "port": port + n, "dashboard_port": port + 100 + n} for n in range(number)]


def test_hosts_behind_one_gateway_with_different_ports_are_accepted():
    plans = {"a": behind("gate", 8800), "b": behind("gate", 8802), "c": behind("", 8800), "d": behind("", 8800)}
    assert list(together.contacts_twice(plans)) == []


def test_hosts_with_the_same_ports_of_one_gateway_are_rejected():
    sentence = only(together.contacts_twice({"a": behind("gate", 8800), "b": behind("Gate", 8801)}))
    assert says(sentence, "a and b would both have a worker at port 8801 of Gate (dask_worker_contact_host)")
    assert says(sentence, "Give one of them other ports: dask_worker_port and dask_worker_dashboard_port")


def test_equal_minor_versions_of_python_are_accepted():
    hosts = {name: {"python": {"version": version}} for name, version in {"a": "3.11.2", "b": "3.11.9"}.items()}
    assert list(together.differing_pythons(hosts)) == []


def test_different_minor_versions_of_python_are_rejected():
    versions = {"a": "3.11.2", "b": "3.12.1", "c": "3.11.4", "d": "3.10.0"}
    sentence = only(together.differing_pythons({name: {"python": {"version": v}} for name, v in versions.items()}))
    assert says(
        sentence,
        "b (3.12), d (3.10)",
        "the other hosts have 3.11",
        "Set dask_python to one that every host has, or for all hosts to a version such as '3.11' for a managed one.",
    )


@pytest.mark.parametrize("workers, refused", [(50, False), (51, True)])
def test_number_of_workers_is_limited_for_a_scheduler_on_windows(workers, refused):
    found = list(together.too_many_for_windows({"a": [{}] * 50, "b": [{}] * workers}, 100))
    assert bool(found) == refused
    if refused:
        assert says(only(found), "101 worker processes", "dask_windows_scheduler_max_workers is 100")
        assert says(only(found), "Move the scheduler to Linux", "dask_worker_count")


def test_equal_packages_are_accepted():
    assert list(together.differing_packages({"a": {"dask": "1", "lz4": "2"}, "b": {"lz4": "2", "dask": "1"}})) == []
    assert list(together.differing_packages({})) == []


def test_different_packages_are_rejected():
    common = {"dask": "1", "lz4": "2", "numpy": "3"}
    found = together.differing_packages({"a": common, "b": {"dask": "1", "lz4": "9", "pandas": "4"}, "c": common})
    sentence = only(found)
    assert says(sentence, "b has other packages", "Use the same architecture and Python")
    assert says(sentence, "lz4 9 (others: 2)", "numpy missing (others: 3)", "pandas 4 (others: missing)")
    assert "dask" not in sentence
