# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How reports name a release."""

from ansible_collections.daskops.cluster.plugins.module_utils.release_names import name_of, with_label


def test_label_follows_the_name():
    assert with_label("3f2a91c04d5e", "v1.4") == "3f2a91c04d5e (v1.4)"
    assert with_label("3f2a91c04d5e", "") == with_label("3f2a91c04d5e", None) == "3f2a91c04d5e"


def test_name_is_the_part_that_services_have_in_common():
    services = {"scheduler": {"dask-scheduler.service": "3f2a.1"}, "worker": {"dask-worker@1.service": "3f2a.7b21"}}
    assert name_of({"id": "0c1d", "label": "v1.4", "services": services}) == "3f2a (v1.4)"
    assert name_of({"id": "0c1d", "services": {"worker": {}}}) == "0c1d"
