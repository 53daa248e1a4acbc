# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of the packages of hosts."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.hosts import differing_packages


def only(sentences):
    """Return the only sentence."""
    (sentence,) = sentences
    return sentence


def says(sentence, *parts):
    return all(part in sentence for part in parts)


def test_equal_packages_are_accepted():
    assert list(differing_packages({"a": {"dask": "1", "lz4": "2"}, "b": {"lz4": "2", "dask": "1"}})) == []
    assert list(differing_packages({})) == []


def test_different_packages_are_rejected():
    common = {"dask": "1", "lz4": "2", "numpy": "3"}
    found = differing_packages({"a": common, "b": {"dask": "1", "lz4": "9", "pandas": "4"}, "c": common})
    sentence = only(found)
    assert says(sentence, "b has other packages", "Give every host the same architecture and Python")
    assert says(sentence, "lz4 9 (others: 2)", "numpy missing (others: 3)", "pandas 4 (others: missing)")
    assert "dask" not in sentence
