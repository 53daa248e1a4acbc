# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments that a run prepares for hosts."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import environments


def only(sentences):
    """Return the only sentence."""
    (sentence,) = sentences
    return sentence


def says(sentence, *parts):
    return all(part in sentence for part in parts)


@pytest.mark.parametrize("line", ["dask==1", "# distributed==1", "distributed-plus==1"])
def test_lock_without_distributed_is_rejected(tmp_path, line):
    lock = tmp_path / "lock.txt"
    lock.write_text(f"{line}\n")
    found, (sentence,) = environments.environments({}, str(lock), "controller", "", str(tmp_path))
    assert found == {}
    assert says(sentence, f"dask_environment_lock ({lock}): it does not contain distributed")


@pytest.mark.parametrize("line", ["distributed==2026.8.0", "distributed @ file:///x.whl", "distributed[http]==1"])
def test_lock_with_distributed_is_accepted(tmp_path, line):
    lock = tmp_path / "lock.txt"
    lock.write_text(f"a==1\n{line}\n")
    assert environments.environments({}, str(lock), "controller", "", str(tmp_path)) == ({}, [])


def python(libc, machine="x86_64", **about):
    return {
        "version": "3.13.5",
        "machine": machine,
        "libc": list(libc),
        "executable": "/opt/x",
        "prefix": "/opt",
        **about,
    }


def libcs(**pythons):
    return {host: found["libc"][-1] for host, found in environments.with_oldest_libc(pythons).items()}


def test_hosts_of_one_kind_share_packages_for_the_oldest_libc():
    new, newer, old = python(("glibc", "2.36")), python(("glibc", "2.41")), python(("glibc", "2.9"))
    assert libcs(a=new, b=newer) == {"a": "2.36", "b": "2.36"}
    assert libcs(a=newer, b=old, c=new) == {"a": "2.9", "b": "2.9", "c": "2.9"}
    assert libcs(a=newer) == {"a": "2.41"} and libcs() == {}


def test_hosts_of_different_kinds_do_not_share_packages():
    assert libcs(
        a=python(("glibc", "2.36")),
        b=python(("glibc", "2.41"), "aarch64"),
        c=python(("musl", "1.2")),
        d=python(("glibc", "2.39"), version="3.12.1"),
    ) == {"a": "2.36", "b": "2.41", "c": "1.2", "d": "2.39"}


def test_managed_pythons_in_different_directories_are_of_one_kind():
    one, two = (python(("glibc", version), prefix=f"/{version}", managed="m") for version in ("2.36", "2.41"))
    assert environments.kind_of(one) != environments.kind_of(two)  # their libc differs
    first, second = environments.with_oldest_libc({"a": one, "b": two}).values()
    assert environments.kind_of(first) == environments.kind_of(second)
    own = environments.with_oldest_libc({"a": {**one, "managed": ""}, "b": {**two, "managed": ""}})
    assert len(set(map(environments.kind_of, own.values()))) == 2
