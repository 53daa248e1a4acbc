# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of long steps that begin."""

from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins


def test_step_and_host_are_printed(capsys):
    begins("fetching the packages")
    begins("draining", "node1")
    assert capsys.readouterr().out == "controller: fetching the packages\nnode1: draining\n"
