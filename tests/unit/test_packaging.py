# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the package packaging."""

import subprocess
import sys

import packaging.version
from ansible_collections.daskops.cluster.plugins.plugin_utils import _packaging
from playbook_runs import ROOT

IMPORT_ALL = """
import importlib, pathlib, sys
sys.modules["packaging"] = None
plugins = pathlib.Path("plugins")
for path in sorted(plugins.rglob("*.py")):
    importlib.import_module("ansible_collections.daskops.cluster." + ".".join(path.with_suffix("").parts))
"""


def test_names_are_those_of_the_package():
    assert _packaging.Version is packaging.version.Version
    assert all(hasattr(_packaging, name) for name in _packaging.__all__)


def test_all_plugins_can_be_imported_without_it():
    command = [sys.executable, "-c", IMPORT_ALL]
    environment = {"PYTHONPATH": str(ROOT / ".collections"), "HOME": "/nonexistent"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
