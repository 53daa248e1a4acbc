# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that hosts run, as text."""

from ansible_collections.daskops.cluster.plugins.filter.versions import versions


def host(environment="e1", releases=("r1",), python="3.11.2", lock="abc", labels=None, applications=None, **packages):
    """Return the result of `host_info` with one environment."""
    about = {"id": environment, "python": python, "lock": lock, "releases": list(releases), "packages": packages}
    about.update(labels=labels or {}, applications=applications or {})
    return {"versions": [about], "applications": {"a1": {"packages": {"analysis": "1.4", "tools": "2"}}}}


def test_equal_hosts_share_a_line():
    assert versions({"a": host(dask="1"), "b": host(dask="1")}) == [
        "Environment e1: Python 3.11.2, lock abc.",
        "Release r1 on a, b.",
    ]


def test_hosts_with_other_packages_are_not_merged():
    lines = versions({"a": host(dask="1"), "b": host(dask="2")}, packages=True)
    assert lines == [
        "Environment e1: Python 3.11.2, lock abc.",
        "Release r1 on a.",
        "dask 1",
        "Environment e1: Python 3.11.2, lock abc.",
        "Release r1 on b.",
        "dask 2",
    ]


def test_unreachable_host_is_left_out_and_unknown_values_are_named():
    seen = {"a": {"unreachable": True}, "b": host(python="", lock="")}
    assert versions(seen)[0] == "Environment e1: Python unknown, lock unknown."
    assert versions({"a": {"unreachable": True}}) == []


def test_packed_environment_is_named_by_its_archive():
    seen = host()
    seen["versions"][0] = {**seen["versions"][0], "lock": "", "archive": "5d0a"}
    assert versions({"a": seen})[0] == "Environment e1: Python 3.11.2, archive 5d0a."


def test_managed_python_is_named_by_its_build():
    first, second = host(python="3.13.5"), host(python="3.13.5")
    first["versions"][0]["managed_python"] = "3.13.5+20261101-x86_64"
    second["versions"][0]["managed_python"] = "3.13.5+20261129-x86_64"
    assert versions({"a": first, "b": second}) == [
        "Environment e1: managed Python 3.13.5+20261101-x86_64, lock abc.",
        "Release r1 on a.",
        "Environment e1: managed Python 3.13.5+20261129-x86_64, lock abc.",
        "Release r1 on b.",
    ]


def test_long_lists_of_hosts_are_complete_only_with_packages():
    seen = {f"node{number}": host() for number in range(30)}
    assert versions(seen)[1].endswith(" and 10 more.")
    assert "node29" in versions(seen, packages=True)[1]


def test_releases_have_their_labels():
    seen = {"a": host(releases=["r1", "r2"], labels={"r2": "v1.4"}), "b": host(releases=["r2"], labels={"r2": "v1.4"})}
    assert versions(seen)[1:] == ["Release r1 on a.", "Release r2 (v1.4) on a, b."]


def test_releases_have_their_applications():
    seen = {"a": host(releases=["r1", "r2"], labels={"r2": "v1.4"}, applications={"r1": "gone", "r2": "a1"})}
    assert versions(seen)[1:] == [
        "Release r1 with the application unknown (gone) on a.",
        "Release r2 (v1.4) with the application analysis 1.4, tools 2 (a1) on a.",
    ]
