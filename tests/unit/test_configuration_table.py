# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the settings of services."""

import re

from ansible_collections.daskops.cluster.plugins.filter.configuration_table import configuration_table


def test_table_of_settings():
    common = {"a.b": [1, "default"], "a.c": [0.5, "file"], "a.l": [["x" * 60], "file"], "--name": ["x", "command line"]}
    scheduler = {"a.c": [0.5, "file"], "--no-dashboard": ["", "command line"]}

    def answer(unit, settings, drift=()):
        return {"services": {unit: {"settings": settings, "drift": list(drift)}}, "silent": {}}

    answers = {
        "n0": answer("dask-scheduler.service", scheduler),
        "n1": answer("dask-worker@1.service", common),
        "n2": answer("dask-worker@1.service", {**common, "a.d": ["y", "/x.yaml"]}, ["a.d"]),
        "n3": {"services": {}, "silent": {"dask-scheduler.service": "no"}},
    }
    hosts = ["n0", "n1", "n2", "n3", "n4"]
    rows = [re.split("  +", line) for line in configuration_table(answers, hosts)][1:]
    assert rows == [
        ["a.c", "0.5", "file", "all services"],
        ["a.d", "y", "/x.yaml, DIFFERS FROM THE RELEASE", "n2 dask-worker@1"],
        ["a.l", f'["{"x" * 45}...', "file", "all workers"],
        ["n0 dask-scheduler: --no-dashboard"],
        ["n1 dask-worker@1: --name x"],
        ["n2 dask-worker@1: --name x"],
        ["n3 dask-scheduler.service: not known, no"],
        ["n4: not known, because the host could not be reached"],
    ]
    assert any(line.startswith("a.b ") for line in configuration_table(answers, hosts, defaults=True))
