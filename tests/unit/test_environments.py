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
