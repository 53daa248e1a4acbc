# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of an environment as its diff shows them."""

from ansible_collections.daskops.cluster.plugins.action.environment import with_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import package_differences


def test_diff_names_a_changed_managed_python():
    packages = {"dask": "2026.8.0"}
    (diff,) = package_differences(with_python(packages, "3.13.5+20260101"), with_python(packages, "3.13.5+20260202"))
    assert (diff["before"], diff["after"]) == ("managed-python==3.13.5+20260101\n", "managed-python==3.13.5+20260202\n")
    assert package_differences(with_python(packages, ""), with_python(packages, "")) == []
