# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How reports name a release."""

from ansible_collections.daskops.cluster.plugins.module_utils.release_names import with_label


def test_label_follows_the_name():
    assert with_label("3f2a91c04d5e", "v1.4") == "3f2a91c04d5e (v1.4)"
    assert with_label("3f2a91c04d5e", "") == with_label("3f2a91c04d5e", None) == "3f2a91c04d5e"
