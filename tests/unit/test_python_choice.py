# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of each host: its own interpreter or a managed one."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster import python_choice
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Cluster
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import (
    DEFAULT,
    Choice,
    choose,
    is_valid,
    own_python,
    unsupported,
    with_managed,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import minor
from hypothesis import given
from hypothesis import strategies as st

HOSTS = ["s1", "w1", "w2"]
GROUPS = {"dask_scheduler": ["s1"], "dask_workers": ["w1", "w2"]}
LIBC = ["glibc", "2.36"]


def info(version, runs=None, managed=None, architecture="x86_64", libc=LIBC):
    """Return what `host_info` returns of a host with a Python, empty for none, and the Python that its services run."""
    environment = {"python": runs, **({"managed_python": managed} if managed else {})}
    return {
        "python": {"version": version} if version else {},
        "architecture": architecture,
        "libc": libc,
        "pythons": [],
        "current": {"environment": "e"} if runs else {},
        "environments": {"e": environment} if runs else {},
    }


def cluster_of(infos, wanted="auto", scheduler_info=None, home="/opt/dask", **variables):
    """Return a cluster whose run has the hosts of ``infos``; ``wanted`` is the value of ``dask_python``, also by host."""
    by_host = wanted if isinstance(wanted, dict) else dict.fromkeys(infos, wanted)
    values = {host: complete({"dask_python": by_host[host], "dask_home": home, **variables}) for host in infos}
    return Cluster(GROUPS, list(infos), values, infos, scheduler_info or infos.get("s1", {}))


def chosen(infos, wanted="auto", scheduler_info=None, **variables):
    """Return the choice; hosts without a Python, and with one older than 3.10, cannot use their own."""
    old = [
        host for host, about in infos.items() if not about["python"] or about["python"]["version"].startswith("3.9.")
    ]
    return choose(cluster_of(infos, wanted, scheduler_info, **variables), dict.fromkeys(old, "unfit"))


# Values of dask_python


@pytest.mark.parametrize(
    "value", ["auto", "python3", "python3.12", "/usr/bin/python3", "3.10", "3.13", 3.13, "3.13.5", "3.13.5+20261129"]
)
def test_valid_values_are_accepted(value):
    assert is_valid(value)


@pytest.mark.parametrize(
    "value",
    [3.1, "3.1", 3, "3", "2.7", "3.9", "3.9.20", "3.13+20261129", "3.13.5+1", "3.13t", "3.13.0rc1", "4.0", {}, None],
)
def test_invalid_values_are_rejected(value):
    assert not is_valid(value)


@pytest.mark.parametrize(
    "value, own", [("auto", "python3"), ("python3.12", "python3.12"), ("/a/b", "/a/b"), ("3.13", ""), (3.13, "")]
)
def test_own_interpreter_is_inspected_unless_a_version_is_wanted(value, own):
    assert own_python(value) == own


# The choice


def test_hosts_with_one_suitable_version_use_their_own_python():
    assert chosen({"s1": info("3.11.2"), "w1": info("3.11.9"), "w2": info("3.11.2")}) == Choice()


def test_hosts_with_different_versions_get_a_managed_one():
    found = chosen({"s1": info("3.11.2"), "w1": info("3.13.5"), "w2": info("3.11.2")})
    assert found.managed == dict.fromkeys(HOSTS, (DEFAULT, ""))
    assert found.reason.endswith("s1 (3.11), w1 (3.13), w2 (3.11)")


@pytest.mark.parametrize("unsuitable", ["", "3.9.2"])
def test_hosts_get_a_managed_one_if_a_host_has_none_that_is_suitable(unsuitable):
    found = chosen({"s1": info("3.11.2"), "w1": info(unsuitable), "w2": info("3.11.2")})
    assert set(found.managed) == set(HOSTS)
    assert "w1 (none)" in found.reason


def test_running_minor_version_is_kept():
    found = chosen({"s1": info("3.11.2", runs="3.11.2"), "w1": info("3.13.5"), "w2": info("3.11.2", runs="3.11.2")})
    assert found.managed["w1"] == ("3.11", DEFAULT, "")


def test_old_minor_version_is_not_kept():
    found = chosen({"s1": info("3.9.2", runs="3.9.2"), "w1": info("3.9.2"), "w2": info("3.9.2")})
    assert found.managed["w1"] == (DEFAULT, "")


def test_version_means_a_managed_python_on_every_host():
    assert chosen({"s1": info(""), "w1": info("3.9.2"), "w2": info("3.11.2")}, "3.12") == Choice(
        dict.fromkeys(HOSTS, ("3.12",))
    )


def test_number_is_read_as_a_version():
    assert chosen({"s1": info("")}, 3.12).managed == {"s1": ("3.12",)}


def test_path_and_version_may_be_mixed():
    wanted = {"s1": "3.12", "w1": "/usr/bin/python3.12", "w2": "auto"}
    found = chosen({"s1": info(""), "w1": info("3.12.1"), "w2": info("3.12.1")}, wanted)
    assert found == Choice({"s1": ("3.12",)})


def test_packed_environment_needs_no_managed_python():
    infos = {"s1": info("3.11.2"), "w1": info("3.13.5"), "w2": info("")}
    assert chosen(infos, dask_environment_archive="env.tar.gz") == Choice()
    assert set(chosen(infos, "3.12", dask_environment_archive="env.tar.gz").managed) == set(HOSTS)


def test_limited_run_follows_the_scheduler_host():
    outside = info("3.11.2", runs="3.11.4", managed="3.11.4+20261129-x86_64")
    found = chosen({"w2": info("3.13.5")}, scheduler_info=outside)
    assert found.managed == {"w2": ("3.11", DEFAULT, "")}
    outside = info("3.11.2", runs="3.11.4")
    # Its own Python differs, which is rejected later.
    assert chosen({"w2": info("3.13.5")}, scheduler_info=outside) == Choice()
    assert chosen({"w2": info("3.9.2")}, scheduler_info=outside) == Choice()


def test_limited_run_decides_for_itself_before_the_first_installation():
    assert chosen({"w2": info("3.13.5")}, scheduler_info=info("3.11.2")) == Choice()
    assert set(chosen({"w2": info("3.9.2")}, scheduler_info=info("3.11.2")).managed) == {"w2"}


def test_scheduler_alone_is_a_limited_run():
    assert set(chosen({"s1": info("3.11.2", runs="3.13.1", managed="m")}).managed) == {"s1"}
    assert chosen({"s1": info("3.11.2", runs="3.11.2")}) == Choice()


VERSIONS = st.sampled_from(["", "3.9.2", "3.10.1", "3.11.2", "3.11.9", "3.13.5"])


@given(
    st.fixed_dictionaries({host: VERSIONS for host in HOSTS}),
    st.sampled_from([None, "3.9.1", "3.11.1", "3.12.1"]),
    st.sampled_from([None, "some-build"]),
    st.sets(st.sampled_from(HOSTS), min_size=1),
)
def test_all_hosts_with_auto_agree(versions, running, managed, playing):
    infos = {host: info(versions[host], running, managed) for host in HOSTS}
    found = chosen({host: infos[host] for host in sorted(playing)}, scheduler_info=infos["s1"])
    assert set(found.managed) in (set(), playing)  # all or none
    assert len(set(found.managed.values())) <= 1
    assert bool(found.managed) == bool(found.reason)
    if playing == set(HOSTS):
        suitable = {
            minor(version) if version and not version.startswith("3.9.") else None for version in versions.values()
        }
        assert bool(found.managed) == (len(suitable) > 1 or None in suitable)
    elif running:
        assert bool(found.managed) == bool(managed)


# Hosts on which no managed Python runs


@pytest.mark.parametrize(
    "machine, libc, runs",
    [
        ("x86_64", ["glibc", "2.17"], True),
        ("aarch64", ["glibc", "2.41"], True),
        ("x86_64", ["glibc", "2.12"], False),
        ("ppc64le", ["glibc", "2.36"], False),
        ("x86_64", ["musl", "1.2.4"], False),
        ("x86_64", ["", ""], False),
        ("x86_64", ["glibc"], False),
        ("x86_64", [], False),
    ],
)
def test_hosts_of_other_platforms_are_rejected(machine, libc, runs):
    infos = {
        "w1": info("", architecture=machine, libc=libc),
        "w2": info("", architecture="s390x", libc=[]),
    }
    found = list(unsupported(Choice({"w1": ("3.13",)}), infos))
    assert len(found) == (0 if runs else 1)
    for sentence in found:
        assert sentence.startswith(
            "w1: dask_python needs a managed Python, which exists only for x86_64 and aarch64 with glibc 2.17"
        )
        assert sentence.endswith("Set dask_python to an interpreter of the host.")


# The result


def test_managed_python_replaces_what_the_host_has():
    before = cluster_of({"w1": info("3.9.2"), "w2": info("3.11.2")}, home="/srv/dask")
    after = with_managed(before, {"w1": ("3.13.5+20261129-x86_64", "3.13.5")}).infos
    assert after["w1"]["python"] == {
        "executable": "/srv/dask/pythons/3.13.5+20261129-x86_64/bin/python3",
        "version": "3.13.5",
        "implementation": "cpython",
        "prefix": "/srv/dask/pythons/3.13.5+20261129-x86_64",
        "machine": "x86_64",
        "libc": ["glibc", "2.36"],
        "usable": True,
        "changeable": "",
        "managed": "3.13.5+20261129-x86_64",
    }
    assert after["w2"] == before.infos["w2"] and before.infos["w1"]["python"] == {"version": "3.9.2"}


def test_default_version_is_supported():
    assert python_choice.numbers(DEFAULT) >= python_choice.OLDEST_PYTHON
