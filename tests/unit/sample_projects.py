# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small projects of users, and a builder for them."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.projects import BUILD_LOCK, Builder

ROOT = Path(__file__).parents[2]

#: The packages that builds need are fetched once, into the cache of the tests.
TOOLS = ROOT / ".cache/daskops"

BACKENDS = {
    "hatchling": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
    "setuptools": '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n',
    "uv_build": '[build-system]\nrequires = ["uv_build>=0.13,<0.14"]\nbuild-backend = "uv_build"\n',
}


def write_project(directory, name="analysis", version="1.4", requires=(), backend="hatchling", text="answer = 42\n"):
    """Write a project, and return its directory."""
    (directory / "src" / name).mkdir(parents=True)
    (directory / "src" / name / "__init__.py").write_text(text)
    project = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(requires)}\n'
    (directory / "pyproject.toml").write_text(project + BACKENDS.get(backend, backend))
    return directory


class CachedBuilder(Builder):
    """A builder whose wheels are in a directory of the test, and the tools in the cache of all tests."""

    def __init__(self, cache, lock=BUILD_LOCK):
        super().__init__(read_lock(str(lock))[0], read_lock(TOOLS_LOCK)[0], "", str(cache))

    def _tools(self):
        os.makedirs(TOOLS, exist_ok=True)
        cache, self.cache = self.cache, str(TOOLS)
        try:
            return super()._tools()
        finally:
            self.cache = cache
